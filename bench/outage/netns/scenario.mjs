// One pass in real time across network namespaces: links between the gateway and three nodes are cut, muted, reset and
// taken down, nodes are frozen and killed, and nobody is to notice.

import { fileURLToPath } from 'node:url';
import { now, sleep } from '../clock.mjs';
import { CHAIN_ID, Nodes, load } from '../mock/nodes.mjs';
import { startSeawall } from '../seawall.mjs';
import { summary } from '../stats.mjs';
import { World } from './world.mjs';

const FORWARDER = fileURLToPath(new URL('../forwarder.mjs', import.meta.url));
const OWNERS = ['ann', 'bob', 'cyd'];
const PORT = 8545;
const START_IN_MS = 500;
const CALM_MS = 3000;
const FAULT_MS = 5000;
const REST_MS = 2000;
const WRITES_A_SECOND = 4;

/** What happens, one line after another; with two in a line, the second begins while the first goes on. */
const SCRIPT = [
  ['blackhole'], ['rst'], ['mute'], ['freeze'], ['down'], ['deaf'], ['lossy'], ['kill'],
  ['blackhole', 'rst'], ['mute', 'kill'], ['freeze', 'down'], ['rst', 'blackhole'], ['lossy', 'freeze'],
];
const SMOKE = [['blackhole'], ['rst'], ['mute', 'down']];

export async function netns({ lab, stage, settings, say }) {
  const rate = settings.rate ?? (settings.smoke ? 100 : 200);
  const script = settings.smoke ? SMOKE : SCRIPT;
  const until = now() + (settings.seconds ?? 0) * 1000;
  const world = new World(stage.mark, OWNERS.map((_, i) => 'abc'[i]));
  world.build();
  const nodes = new Nodes(OWNERS, OWNERS.map((_, i) => world.chainHost(i)));
  await nodes.start({ lab, stage });
  const links = new Links({ stage, world, nodes });
  OWNERS.forEach((_, i) => links.start(i));
  const upstreams = OWNERS.map((provider, i) => ({ name: nodes.names[i], provider, url: `http://${world.nodeHost(i)}:${PORT}/` }));
  const seawall = await startSeawall({ lab, stage }, {
    name: 'netns', chainId: CHAIN_ID, upstreams, within: world.gateway, host: world.gatewayHost,
  });
  const startAt = now() + START_IN_MS;
  const running = load(lab, { url: seawall.url, rate, seconds: 3600, startAt, seed: 32452843, writesPerSecond: WRITES_A_SECOND });
  await sleep(START_IN_MS + CALM_MS);
  const faults = [];
  for (let round = 0; round === 0 || now() < until; round += 1) {
    for (const [at, line] of script.entries()) {
      faults.push(...(await oneLine(links, line, round + at, say, startAt)));
      await sleep(REST_MS);
    }
  }
  await sleep(CALM_MS);
  running.stop();
  const found = await running.found;
  const accepted = await nodes.accepted();
  const lost = found.sent.filter((hash) => !accepted[hash]).length;
  const { ok, said } = await seawall.verify();
  const stopped = await seawall.stop();
  nodes.close();
  stage.clear();
  world.clear();
  const result = {
    requests: found.requests, failed: found.failed, wrong: found.wrong + lost, backwards: found.backwards, sent: found.sent.length,
    latency_ms: summary(found.latencies), schedule_lag_ms: summary(found.lags),
    faults: windows(found, faults, startAt), examples: found.examples, stopped, missed: [],
  };
  for (const what of ['failed', 'wrong', 'backwards']) if (result[what] > 0) result.missed.push(`${what} ${result[what]}, not 0`);
  if (!ok) result.missed.push(`journal does not verify: ${said}`);
  if (stopped !== 'exit 0') result.missed.push(`stopped by ${stopped}`);
  return result;
}

/** One line of the script: each fault at another node, in turn. */
async function oneLine(links, line, turn, say, startAt) {
  const faults = [];
  for (const [k, how] of line.entries()) {
    const node = (turn + k) % OWNERS.length;
    faults.push({ node, how, at: now() });
    say(`netns: ${Math.round((now() - startAt) / 1000)} s: ${how} ${links.names[node]}`);
    links.break(node, how);
    await sleep(FAULT_MS);
  }
  for (const fault of faults) {
    await links.mend(fault.node, fault.how);
    fault.until = now();
  }
  return faults;
}

/** The nodes' processes, each in its namespace, and the links to them. */
class Links {
  #stage;
  #world;
  #nodes;
  #children = [];

  constructor({ stage, world, nodes }) {
    this.#stage = stage;
    this.#world = world;
    this.#nodes = nodes;
    this.names = nodes.names;
  }

  start(i) {
    const to = `${this.#world.chainHost(i)}:${this.#nodes.ports[i]}`;
    const command = ['netns', 'exec', this.#world.node(i), process.execPath, FORWARDER, `${this.#world.nodeHost(i)}:${PORT}`, to];
    this.#children[i] = this.#stage.start(`node-${this.names[i]}`, 'ip', command);
  }

  break(i, how) {
    if (how === 'freeze') this.#children[i].kill('SIGSTOP');
    else if (how === 'kill') this.#children[i].kill('SIGKILL');
    else this.#world.break(i, how);
  }

  async mend(i, how) {
    if (how === 'freeze') {
      this.#children[i].kill('SIGCONT');
    } else if (how === 'kill') {
      await this.#children[i].ended;
      this.start(i);
    } else {
      this.#world.mend(i, how);
    }
  }
}

/** What each fault cost. */
function windows(found, faults, startAt) {
  return faults.map(({ node, how, at, until }) => {
    const [from, to] = [at - startAt, until - startAt];
    const within = found.latencies.filter((_, i) => found.ats[i] >= from && found.ats[i] < to);
    const { p50, p99, slowest } = summary(within);
    return { at_s: Math.round(from / 1000), node: 'abc'[node], what: how, requests: within.length, p50, p99, slowest };
  });
}
