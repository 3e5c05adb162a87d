// A network of real nodes: three of them, one seals blocks (clique), the others follow it over the peer-to-peer network.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../clock.mjs';
import { freePorts } from '../stage.mjs';

const NODES = 3;
const PERIOD_S = 1;
const READY_MS = 90_000;
/** The sealer's key is its own; the account of the flows is funded in the first block. */
const SEALER_KEY = '11'.repeat(32);
const SEALER = '19e7e376e7c213b7e7e7e46cc70a5dd086daff2a';
const RICH = 'f39fd6e51aad88f6f4ce6ab8827279cfffb92266';

export const PEERS_CHAIN_ID = 4711;
export const PEERS_BLOCK_TIME = `${PERIOD_S}s`;

const GENESIS = {
  config: {
    chainId: PEERS_CHAIN_ID, homesteadBlock: 0, eip150Block: 0, eip155Block: 0, eip158Block: 0, byzantiumBlock: 0,
    constantinopleBlock: 0, petersburgBlock: 0, istanbulBlock: 0, berlinBlock: 0, londonBlock: 0,
    clique: { period: PERIOD_S, epoch: 30_000 },
  },
  nonce: '0x0', timestamp: '0x60000000', gasLimit: '0x1c9c380', difficulty: '0x1', coinbase: `0x${'00'.repeat(20)}`,
  extraData: `0x${'00'.repeat(32)}${SEALER}${'00'.repeat(65)}`,
  alloc: { [RICH]: { balance: '0x21e19e0c9bab2400000' } },
};

/** Starts the network; the nodes' `{ url, ws, process }`, the sealer first, once all of them follow the chain. */
export async function startPeers({ lab, stage, http }) {
  const dir = stage.subdir('peers');
  const at = (name, text) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const genesis = at('genesis.json', JSON.stringify(GENESIS));
  const sealer = at('sealer', SEALER_KEY);
  const password = at('password', '');
  const ports = await freePorts(3 * NODES);
  const geth = lab.geth;
  // What it says is in the error, if it fails.
  const once = (args) => execFileSync(geth, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const nodes = [];
  const enodes = [];
  for (let i = 0; i < NODES; i += 1) {
    const [port, rpc, ws] = ports.slice(3 * i);
    const data = join(dir, `node-${i}`);
    once(['--datadir', data, 'init', genesis]);
    const seals = ['--mine', '--miner.etherbase', `0x${SEALER}`, '--unlock', `0x${SEALER}`, '--password', password, '--allow-insecure-unlock'];
    if (i === 0) once(['--datadir', data, 'account', 'import', '--lightkdf', '--password', password, sealer]);
    const child = stage.start(`peer-${i}`, geth, [
      '--datadir', data, '--networkid', String(PEERS_CHAIN_ID), '--port', String(port), '--nat', 'extip:127.0.0.1', '--nodiscover',
      '--syncmode', 'full', '--gcmode', 'archive', '--ipcdisable', '--authrpc.port', '0', '--http', '--http.port', String(rpc), '--http.api', 'eth,net,web3,admin',
      '--ws', '--ws.port', String(ws), '--ws.api', 'eth,net,web3', '--ws.origins', '*', ...(i === 0 ? seals : []),
    ]);
    const node = { url: `http://127.0.0.1:${rpc}/`, ws: `ws://127.0.0.1:${ws}/`, process: child };
    await until(`peer ${i}`, READY_MS, () => http.call(node.url, 'eth_chainId'), 200);
    for (const enode of enodes) await http.call(node.url, 'admin_addPeer', [enode]);
    const { enode } = await http.call(node.url, 'admin_nodeInfo');
    enodes.push(enode.replace(/@.*$/, `@127.0.0.1:${port}`));
    nodes.push(node);
  }
  await until('every peer follows', READY_MS, async () => {
    const heads = await Promise.all(nodes.map((n) => http.call(n.url, 'eth_blockNumber').then(Number)));
    return Math.min(...heads) >= 3;
  }, 500);
  return nodes;
}
