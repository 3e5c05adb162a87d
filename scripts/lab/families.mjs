#!/usr/bin/env node
// Seawall in front of real nodes of other chains than the EVM's: btcd (three peers), Tendermint, monerod.
//
//   families.mjs SEAWALL BIN
//
// SEAWALL is its binary, BIN the folder with `btcd` and `tendermint`; monerod is on PATH. Exits with 1 at the first
// thing that is not as it should be.

import { spawn, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [seawall, bin] = process.argv.slice(2);
if (!bin) {
  console.error('families.mjs SEAWALL BIN');
  process.exit(2);
}
const dir = mkdtempSync(join(tmpdir(), 'families-'));
const children = new Set();
let checks = 0;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

function check(what, good, seen) {
  if (!good) throw new Error(`${what}: ${JSON.stringify(seen)?.slice(0, 600)}`);
  checks += 1;
  console.log(`families: ok: ${what}`);
}

async function freePorts(n) {
  const servers = await Promise.all(Array.from({ length: n }, () => new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => done(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function start(name, program, args, env = {}) {
  const log = join(dir, `${name}.log`);
  const out = openSync(log, 'w');
  const child = spawn(program, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env } });
  children.add(child);
  child.log = log;
  child.on('exit', () => children.delete(child));
  return child;
}

async function rpc(url, method, params, auth) {
  const headers = { 'content-type': 'application/json', ...(auth && { authorization: auth }) };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(15_000) });
  return answer.json();
}

/** Tries until it gives something, for up to a minute. */
async function until(what, look, limit = 60_000) {
  const end = Date.now() + limit;
  let last;
  while (Date.now() < end) {
    try {
      const seen = await look();
      if (seen) return seen;
    } catch (error) {
      last = error;
    }
    await sleep(200);
  }
  throw new Error(`it never came to pass that ${what}: ${last}`);
}

// Bitcoin: outputs that anybody may spend, so that no key is needed.

const ANYBODY = Buffer.from('a914da1745e9b549bd0bfa1a569971c77eba30cd5a4b87', 'hex'); // pays to the hash of OP_TRUE

function address() {
  const body = Buffer.concat([Buffer.from([0xc4]), ANYBODY.subarray(2, 22)]);
  let n = BigInt(`0x${Buffer.concat([body, sha256(sha256(body)).subarray(0, 4)]).toString('hex')}`);
  let text = '';
  for (; n > 0n; n /= 58n) text = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'[Number(n % 58n)] + text;
  return text;
}

/** Spends the only output of `id`, of that many satoshi, less a fee. */
function spend(id, value) {
  const amount = Buffer.alloc(8);
  amount.writeBigUInt64LE(BigInt(value - 10_000));
  const raw = Buffer.concat([
    Buffer.from('0100000001', 'hex'), Buffer.from(id, 'hex').reverse(), Buffer.from('00000000', 'hex'),
    Buffer.from('020151', 'hex'), Buffer.from('ffffffff01', 'hex'), amount,
    Buffer.from([ANYBODY.length]), ANYBODY, Buffer.from('00000000', 'hex'),
  ]);
  return { raw: raw.toString('hex'), id: sha256(sha256(raw)).reverse().toString('hex') };
}

const AUTH = `Basic ${Buffer.from('user:pass').toString('base64')}`;

async function bitcoin() {
  const ports = await freePorts(6);
  const node = (i) => start(`btcd${i}`, join(bin, 'btcd'), [
    '--regtest', '--notls', '--rpcuser=user', '--rpcpass=pass', '--txindex', '--relaynonstd',
    `--rpclisten=127.0.0.1:${ports[i]}`, `--listen=127.0.0.1:${ports[3 + i]}`, `--miningaddr=${address()}`,
    `--datadir=${join(dir, `btcd${i}`)}`, `--logdir=${join(dir, `btcdlog${i}`)}`,
    ...[0, 1, 2].filter((peer) => peer !== i).map((peer) => `--addpeer=127.0.0.1:${ports[3 + peer]}`),
  ]);
  const nodes = [0, 1, 2].map(node);
  const url = (i) => `http://127.0.0.1:${ports[i]}/`;
  for (const i of [0, 1, 2]) await until(`btcd ${i} answers`, async () => (await rpc(url(i), 'getblockcount', [], AUTH)).result === 0);
  const upstreams = [0, 1, 2].map((i) => `{ name = "n${i}", provider = "p${i}", url = "${url(i)}", headers = { authorization = "env:LAB_AUTH" } }`);
  const at = await gateway('bitcoin', 'bitcoin', 'regtest', 'poll = "250ms"', upstreams, { LAB_AUTH: AUTH });
  const ask = (method, ...params) => rpc(at, method, params);
  await until('the peers have one another', async () => (await rpc(url(0), 'getconnectioncount', [], AUTH)).result >= 2);
  // The first block ends a new chain's initial download. Peers that had begun it with one another look for a better one
  // once a minute only.
  await rpc(url(0), 'generate', [101], AUTH);
  await until('the pool agrees on block 101', async () => (await ask('getblockcount')).result === 101, 240_000);
  // Two of three agree; the third is to be alone with its blocks below, and nobody could give it those it lacks.
  await until('the last peer has block 101', async () => (await rpc(url(2), 'getblockcount', [], AUTH)).result === 101, 240_000);
  const best = await ask('getbestblockhash');
  const own = await rpc(url(0), 'getbestblockhash', [], AUTH);
  check('bitcoin: the agreed head is the nodes’ own', best.result === own.result, { best, own });
  const first = (await rpc(url(0), 'getblock', [(await rpc(url(0), 'getblockhash', [1], AUTH)).result], AUTH)).result.tx[0];
  const tx = spend(first, 50e8);
  const sent = await ask('sendrawtransaction', tx.raw);
  check('bitcoin: a transaction is taken and known by its id', sent.result === tx.id, sent);
  const again = await ask('sendrawtransaction', tx.raw);
  check('bitcoin: sent again it is taken once', again.result === tx.id, again);
  nodes[0].kill('SIGKILL');
  nodes[1].kill('SIGSTOP');
  const failed = [];
  for (let i = 0; i < 100; i += 1) {
    const block = await ask('getblockheader', best.result);
    if (block.result?.height !== 101) failed.push({ i, block });
  }
  nodes[1].kill('SIGCONT');
  check('bitcoin: one node dead and one frozen: 100 reads, none failed', failed.length === 0, failed);
  await rpc(url(2), 'generate', [1], AUTH);
  await until('the head goes on', async () => (await ask('getblockcount')).result === 102);
  const mined = await ask('getrawtransaction', tx.id, 1);
  check('bitcoin: the transaction is mined once', mined.result?.confirmations === 1, mined);
  const wrong = await ask('getblockhash', 5_000);
  check('bitcoin: an error is passed on', wrong.error?.code < 0 && !wrong.error.data, wrong);
}

async function tendermint() {
  const [rpcPort, p2p] = await freePorts(2);
  const home = join(dir, 'tendermint');
  execFileSync(join(bin, 'tendermint'), ['init', '--home', home], { stdio: 'ignore' });
  const { chain_id: network } = JSON.parse(readFileSync(join(home, 'config/genesis.json'), 'utf8'));
  start('tendermint', join(bin, 'tendermint'), [
    'node', '--home', home, '--proxy_app=kvstore', `--rpc.laddr=tcp://127.0.0.1:${rpcPort}`,
    `--p2p.laddr=tcp://127.0.0.1:${p2p}`,
  ]);
  const url = `http://127.0.0.1:${rpcPort}/`;
  await until('tendermint makes blocks', async () => Number((await rpc(url, 'status', {})).result.sync_info.latest_block_height) > 1);
  const at = await gateway('tendermint', 'cometbft', network, 'block_time = "1s"', [`{ name = "n", provider = "p", url = "${url}" }`]);
  const head = await until('a head is agreed on', async () => (await rpc(at, 'status', {})).result?.sync_info);
  check('tendermint: its status comes through', Number(head.latest_block_height) > 1, head);
  const raw = Buffer.from('seawall=stands').toString('base64');
  const hash = sha256(Buffer.from(raw, 'base64'));
  const sent = await rpc(at, 'broadcast_tx_sync', { tx: raw });
  check('tendermint: a transaction is taken', sent.result?.hash === hash.toString('hex').toUpperCase(), sent);
  const again = await rpc(at, 'broadcast_tx_sync', { tx: raw });
  check('tendermint: sent again it is known', again.result?.hash === sent.result.hash && again.result.code === 0, again);
  const mined = await until('it is in a block', async () => (await rpc(at, 'tx', { hash: hash.toString('base64') })).result);
  check('tendermint: it is found in its block', Number(mined.height) > 0, mined);
  const value = await rpc(at, 'abci_query', { path: '', data: Buffer.from('seawall').toString('hex') });
  check('tendermint: its effect is read', value.result.response.value === Buffer.from('stands').toString('base64'), value);
  const wrong = await rpc(at, 'block', { height: '1000000' });
  check('tendermint: an error is passed on', wrong.error?.code === -32603, wrong);
}

async function monero() {
  const [rpcPort, p2p] = await freePorts(2);
  start('monerod', 'monerod', [
    '--regtest', '--offline', '--non-interactive', '--fixed-difficulty', '1', '--no-zmq',
    '--rpc-bind-port', rpcPort, '--p2p-bind-port', p2p, '--data-dir', join(dir, 'monero'),
  ]);
  const url = `http://127.0.0.1:${rpcPort}/json_rpc`;
  await until('monerod answers', async () => (await rpc(url, 'get_block_count', {})).result.count === 1);
  const at = await gateway('monero', 'monero', 'fakechain', 'poll = "250ms"', [`{ name = "n", provider = "p", url = "${url}" }`]);
  await until('a head is agreed on', async () => (await rpc(at, 'get_block_count', {})).result?.count === 1);
  const own = await rpc(url, 'get_last_block_header', {});
  const seen = await rpc(at, 'get_last_block_header', {});
  check('monero: its head comes through', seen.result.block_header.hash === own.result.block_header.hash, seen);
  const wrong = await rpc(at, 'get_block_header_by_height', { height: 100 });
  check('monero: an error is passed on', wrong.error?.code === -2, wrong);
}

/** Starts Seawall with one pool at `/`, and gives its address. */
async function gateway(name, kind, network, more, upstreams, env) {
  const [port, admin] = await freePorts(2);
  const file = join(dir, `${name}.toml`);
  const providers = [...new Set(upstreams.map((u) => /provider = "([^"]+)"/.exec(u)[1]))];
  writeFileSync(file, [
    '[estate]', `name = "${name}"`, '[listen]', `gateway = "127.0.0.1:${port}"`, `admin = "127.0.0.1:${admin}"`,
    ...providers.map((p) => `[providers.${p}]`), '[pools.chain]', `kind = "${kind}"`, `network = "${network}"`, 'route = "/"',
    more, `upstreams = [\n${upstreams.join(',\n')}\n]`, '',
  ].join('\n'));
  const child = start(`seawall-${name}`, seawall, ['run', file], env);
  await until(`Seawall is ready for ${name}`, async () => {
    if (child.exitCode !== null) throw new Error(readFileSync(child.log, 'utf8'));
    return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
  });
  return `http://127.0.0.1:${port}/`;
}

let code = 0;
try {
  await bitcoin();
  await tendermint();
  await monero();
  console.log(`families: ${checks} checks held`);
} catch (error) {
  console.error(`families: FAILED: ${error.message}`);
  code = 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
  await sleep(300);
  if (code === 0) rmSync(dir, { recursive: true, force: true });
  else console.error(`families: the logs are in ${dir}`);
}
process.exit(code);
