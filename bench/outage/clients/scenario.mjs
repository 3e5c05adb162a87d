// Real client libraries run their ordinary flows against one healthy node, and through Seawall before, during and after
// a failover, over a reorganisation and in front of a network of real peers: the transcripts must be the same.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, until } from '../clock.mjs';
import { Providers } from '../chain/providers.mjs';
import { Http } from '../rpc.mjs';
import { startSeawall } from '../seawall.mjs';
import { freePorts } from '../stage.mjs';
import { PEERS_BLOCK_TIME, PEERS_CHAIN_ID, startPeers } from './peers.mjs';

const CHAIN_ID = 31337;
/** Clients whose flows run side by side, each with chains and a Seawall of its own. */
const LANES = 2;
const FLOW_MS = 240_000;
const REORG_DEPTH = 2;
/** Until the new blocks have been seen everywhere; waited for at the one healthy node too. */
const REORG_SEEN_MS = 4000;
const SHOWN = 400;

/** What a flow is run by. */
const CLIENTS = {
  ethers: () => [process.execPath, flow('ethers.mjs')],
  viem: () => [process.execPath, flow('viem.mjs')],
  'web3.py': (lab) => [join(lab.dir, 'python/bin/python'), flow('web3_py.py')],
  cast: () => [process.execPath, flow('cast.mjs')],
};

const fault = (provider, action) => ({ providers }) => providers.fault({ provider, action });
const reorg = ({ http, node }) => http.call(node.url, 'anvil_reorg', [REORG_DEPTH, []]).then(() => sleep(REORG_SEEN_MS));

/** What happens at the pauses of a flow. Each is compared with the flow at one healthy node, `like` that. */
const PHASES = [
  { phase: 'before', like: 'quiet', at: {} },
  {
    phase: 'failover', like: 'quiet',
    at: { deployed: [fault(0, 'kill')], sending: [fault(1, 'freeze')], logged: [fault(0, 'restart'), fault(1, 'continue'), fault(2, 'kill')], mined: [fault(2, 'restart')] },
  },
  { phase: 'after', like: 'quiet', at: {} },
  { phase: 'reorg', like: 'reorg', at: { mined: [reorg] } },
];
/** This library does not hand removed logs on to a listener of events. */
const LEAVES_OUT_REMOVED = 'ethers';
/** The node leaves out what the protocol asks for: logs of a block that has gone are told once more, as removed. */
const withRemoved = (steps) => steps.map(({ step, value }) => ({
  step, value: step === 'events-after' ? [...value, ...value.map((log) => [...log.slice(0, -1), true])] : value,
}));

const signal = (peer, name) => ({ nodes }) => nodes[peer].process.kill(name);
/**
 * The same at a network of peers, the first of which seals its blocks. Nobody hangs while transactions are refused:
 * what one says no to and another is silent on is not known to have failed, and is not said to.
 */
const PEERS_PHASES = [
  { phase: 'peers', at: {} },
  { phase: 'peers, failover', at: { deployed: [signal(1, 'SIGSTOP')], sending: [signal(1, 'SIGCONT'), signal(2, 'SIGSTOP')], logged: [signal(2, 'SIGCONT')] } },
];
const DIRECT = [{ phase: 'quiet', at: {} }, { phase: 'reorg', at: { mined: [reorg] } }];

export async function clients({ lab, stage, settings, say }) {
  const names = settings.only ?? Object.keys(CLIENTS);
  const unknown = names.filter((name) => !Object.hasOwn(CLIENTS, name));
  if (unknown.length > 0) throw new Error(`no client ${unknown.join(', ')}; there are ${Object.keys(CLIENTS).join(', ')}`);
  const phases = settings.smoke ? PHASES.filter(({ phase }) => ['failover', 'reorg'].includes(phase)) : PHASES;
  const result = { clients: [], examples: [], missed: [] };
  const left = [...names];
  const add = (name, phase, like, told) => {
    const differences = compare(like, told);
    const figures = { client: name, phase, steps: told.length, same: differences.length === 0 && isWhole(told) };
    result.clients.push(figures);
    result.examples.push(...differences.map((d) => ({ client: name, phase, ...d })));
    if (!figures.same) result.missed.push(`${name}, ${phase}: not as at one healthy node`);
    say(`clients: ${JSON.stringify(figures)}`);
  };
  const lane = async () => {
    for (let name = left.shift(); name; name = left.shift()) await oneClient({ lab, stage, name, phases, add });
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  stage.clear();
  if (!settings.smoke) await peers({ lab, stage, names, add });
  return result;
}

/** One client after another: at a peer, and through Seawall in front of the network of them. */
async function peers({ lab, stage, names, add }) {
  const http = new Http();
  const nodes = await startPeers({ lab, stage, http });
  const upstreams = nodes.map(({ url }, i) => ({ name: 'abc'[i], provider: ['ann', 'bob', 'cyd'][i], url }));
  const seawall = await startSeawall({ lab, stage }, { name: 'peers', chainId: PEERS_CHAIN_ID, blockTime: PEERS_BLOCK_TIME, upstreams });
  for (const name of names) {
    const flow = { lab, command: CLIENTS[name](lab), context: { nodes } };
    const direct = await transcript({ ...flow, ...nodes[0], at: {} });
    if (!isWhole(direct)) throw new Error(`${name} at one healthy peer: ${JSON.stringify(direct.at(-1))}`);
    for (const { phase, at } of PEERS_PHASES) add(name, phase, direct, await transcript({ ...flow, ...urls(seawall.url), at }));
  }
  await seawall.stop();
  http.close();
}

/** Everything but the peers, with one client; the transcript at one healthy node. */
async function oneClient({ lab, stage, name, phases, add }) {
  const http = new Http();
  const command = CLIENTS[name](lab);
  const healthy = await chain({ lab, stage, http });
  const direct = {};
  for (const { phase, at } of DIRECT) {
    direct[phase] = await transcript({ lab, command, ...urls(healthy.url), at, context: { http, node: healthy } });
    if (!isWhole(direct[phase])) throw new Error(`${name} at one healthy node, ${phase}: ${JSON.stringify(direct[phase].at(-1))}`);
  }
  const node = await chain({ lab, stage, http });
  const providers = new Providers(stage, node.port);
  await providers.start();
  const upstreams = ['ann', 'bob', 'cyd'].map((provider, i) => ({ name: providers.names[i], provider, url: providers.url(i) }));
  const seawall = await startSeawall({ lab, stage }, { name: `clients-${name}`, chainId: CHAIN_ID, upstreams });
  for (const { phase, like, at } of phases) {
    const wanted = like === 'reorg' && name !== LEAVES_OUT_REMOVED ? withRemoved(direct[like]) : direct[like];
    add(name, phase, wanted, await transcript({ lab, command, ...urls(seawall.url), at, context: { http, node, providers } }));
  }
  await seawall.stop();
  http.close();
}

async function chain({ lab, stage, http }) {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}/`;
  stage.start('anvil', lab.anvil, ['--port', String(port), '--block-time', '1', '--chain-id', String(CHAIN_ID), '--silent']);
  await until('the chain node', 10_000, () => http.call(url, 'eth_chainId'));
  return { port, url };
}

function urls(url) {
  return { url, ws: url.replace('http:', 'ws:') };
}

/** Runs a flow to its end; does at each pause what is to be done there. */
export async function transcript({ lab, command, url, ws, at, context }) {
  const child = spawn(command[0], [...command.slice(1), url, ws, lab.dir], { stdio: ['pipe', 'pipe', 'ignore'] });
  const kill = () => child.kill('SIGKILL');
  const late = setTimeout(kill, FLOW_MS);
  process.once('exit', kill);
  const steps = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const told = JSON.parse(line);
    if (told.pause) {
      for (const act of at[told.pause] ?? []) await act(context);
      child.stdin.write('\n');
    } else {
      steps.push(told);
    }
  }
  clearTimeout(late);
  process.off('exit', kill);
  return steps;
}

export function isWhole(steps) {
  return steps.at(-1)?.step === 'end' && steps.at(-1).value === 'whole';
}

/** The steps that came out otherwise. */
export function compare(direct, told) {
  const text = (value) => JSON.stringify(value ?? null);
  const names = [...new Set([...direct, ...told].map((s) => s.step))];
  const of = (steps, name) => steps.find((s) => s.step === name)?.value;
  return names
    .filter((name) => text(of(direct, name)) !== text(of(told, name)))
    .map((name) => ({ step: name, healthy: text(of(direct, name)).slice(0, SHOWN), seawall: text(of(told, name)).slice(0, SHOWN) }));
}

function flow(file) {
  return fileURLToPath(new URL(file, import.meta.url));
}
