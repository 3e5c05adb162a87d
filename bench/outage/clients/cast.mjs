// The ordinary flows with cast: a process for each call, as in a shell script.

import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { COUNTER, FRIEND, KEY, POOR_KEY, failure, outcome, pause, run, shape, step, until } from './flow.mjs';

const TIMEOUT_MS = 40_000;

await run(async ({ http, ws, lab }) => {
  const binary = join(lab, 'clients/node_modules/@foundry-rs/cast-linux-amd64/bin/cast');
  const env = { ...process.env, ETH_RPC_URL: http };
  const cast = async (...args) => {
    const { stdout } = await promisify(execFile)(binary, args.map(String), { env, timeout: TIMEOUT_MS });
    return stdout.trim();
  };
  const json = async (command, ...args) => JSON.parse(await cast(command, '--json', ...args));
  // Fees and nonces are others each time.
  const same = (line) => line.trim().replace(/(tx cost|overshot|next nonce) \d+/g, '$1 …');
  const said = (e) => (e.stderr ?? e.message).trim().split('\n').map(same).filter((l) => l.startsWith('Error') || /^- |code|reverted/.test(l));
  const me = await cast('wallet', 'address', KEY);
  const send = (...args) => json('send', '--private-key', KEY, ...args);

  step('network', [await cast('chain-id'), await cast('chain')]);
  step('fees', [Number(await cast('gas-price')) > 0, Number(await cast('base-fee')) > 0]);
  step('rich', BigInt(await cast('balance', me)) > 10n ** 18n);

  const constructed = COUNTER.bytecode + (await cast('abi-encode', 'f(uint256)', 40)).slice(2);
  const deployed = await send('--create', constructed);
  const address = deployed.contractAddress;
  step('deployed', { status: deployed.status, gas: deployed.gasUsed, code: (await cast('code', address)).length, shape: shape(deployed) });
  await pause('deployed');

  const count = (...more) => cast('call', address, 'count()(uint256)', ...more);
  step('call', [await count(), (await cast('call', address, 'owner()(address)')) === me]);
  step('estimate', await cast('estimate', address, 'add(uint256)', 5, '--from', me));
  step('static', await failure(cast('call', address, 'add(uint256)', 500, '--from', me), said));
  step('reverts', await failure(cast('call', address, 'refuse()'), said));

  const listening = spawn(binary, ['logs', '--subscribe', '--address', address, '--rpc-url', ws], { stdio: ['ignore', 'pipe', 'ignore'] });
  const events = [];
  // As JSON it would print nothing before its end.
  let data = '';
  createInterface({ input: listening.stdout }).on('line', (line) => {
    const [, name, value] = /^[- ] (\w+): (\w+)$/.exec(line) ?? [];
    if (name === 'data') data = value;
    if (name === 'removed') events.push(told({ data, removed: value === 'true' }));
  });
  const filter = JSON.parse(await cast('rpc', 'eth_newFilter', JSON.stringify({ address })));
  const blocks = JSON.parse(await cast('rpc', 'eth_newBlockFilter'));
  // It subscribes in a process of its own, which says nothing of it.
  await new Promise((resolve) => setTimeout(resolve, 1500));

  const first = await send(address, 'add(uint256)', 5);
  step('sent', { status: first.status, gas: first.gasUsed, logs: first.logs.length });
  const base = Number(await cast('nonce', me));
  const signed = (nonce, ...args) => cast('mktx', ...args, '--private-key', KEY, '--nonce', nonce, '--gas-limit', 60000);
  const two = await cast('publish', '--async', await signed(base, address, 'add(uint256)', 7));
  const three = await cast('publish', '--async', await signed(base + 1, address, 'add(uint256)', 8, '--value', 3));
  step('pending', Number(await cast('nonce', me, '--block', 'pending')) - base <= 2);
  await pause('sending');
  const receipts = [await json('receipt', two), await json('receipt', three)];
  step('waited', receipts.map((r) => [r.status, r.logs.length, r.logs[0].blockHash === r.blockHash]));
  step('count', [await count(), await cast('balance', address)]);
  const gift = await send(FRIEND, '--value', 12345);
  await until('a block on top', async () => Number(await cast('block-number')) > Number(gift.blockNumber));
  step('gift', [gift.status, gift.gasUsed, BigInt(await cast('balance', FRIEND)) % 12345n]);
  step('nonces', Number(await cast('nonce', me)) - base);

  const rpc = async (...args) => JSON.parse(await cast('rpc', ...args));
  const changes = async (id) => (await rpc('eth_getFilterChanges', id)).map(told);
  step('filter', await changes(filter));
  step('filter-again', await changes(filter));
  step('filter-all', (await rpc('eth_getFilterLogs', filter)).map(told));
  step('block-filter', (await rpc('eth_getFilterChanges', blocks)).length >= 3);
  step('uninstalled', [await rpc('eth_uninstallFilter', filter), await rpc('eth_uninstallFilter', blocks)]);
  const logs = async () => (await json('logs', '--address', address, '--from-block', Number(deployed.blockNumber))).map(told);
  step('logs', await logs());
  step('query', (await json('logs', '--address', address, '--from-block', Number(deployed.blockNumber), 'Added(address indexed,uint256,uint256)', me)).map(told));
  await until('events', () => events.length >= 3);
  step('events', events);
  await pause('logged');

  const number = Number(first.blockNumber);
  const block = await json('block', number, '--full');
  const transaction = await json('tx', first.transactionHash);
  step('block', [shape(block), block.hash === first.blockHash]);
  step('transaction', [Number(transaction.blockNumber) === number, shape(transaction)]);
  step('past', [await count('--block', number), await cast('storage', address, 0, '--block', number)]);
  step('finalized', await outcome(cast('block', 'finalized', '--field', 'number').then(async (n) => Number(n) <= Number(await cast('block-number'))), said));
  step('age', (await cast('age', number)).length > 0);

  step('unknown', await failure(cast('rpc', 'eth_noSuchThing'), said));
  step('poor', await failure(cast('send', FRIEND, '--value', 1, '--gas-limit', 21000, '--private-key', POOR_KEY), said));
  step('stale', await failure(cast('send', FRIEND, '--value', 1, '--gas-limit', 21000, '--nonce', 0, '--private-key', KEY), said));

  const last = await send(address, 'add(uint256)', 9);
  step('last', [last.status, await count()]);
  await until('the last event', () => events.length >= 4);
  await pause('mined');
  const after = await failure(cast('receipt', last.transactionHash, 'status', '--async'), () => 'not found');
  step('after', { receipt: after === 'not found' ? after : 'there', count: await count(), logs: await logs() });
  step('events-after', events.slice(3));
  listening.kill();
});

/** The value and total of an event. */
function told({ data, removed }) {
  return [BigInt(`0x${data.slice(2, 66)}`), BigInt(`0x${data.slice(66)}`), removed];
}
