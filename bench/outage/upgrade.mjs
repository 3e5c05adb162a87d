// Another process takes over under load, again and again; then one of two gateways is killed.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { now, openLoop, sleep, until } from './clock.mjs';
import { CHAIN_ID, Nodes } from './mock/nodes.mjs';
import { Clients } from './readers.mjs';
import { startSeawall } from './seawall.mjs';

const UPGRADES = 20;
const PAUSE_MS = 500;
/** What a socket is told whose server goes away (RFC 6455, section 7.4.1). */
const GOING_AWAY = 1001;

export async function upgrade({ lab, stage, settings, say }) {
  const rate = settings.rate ?? (settings.smoke ? 200 : 1000);
  const upgrades = settings.smoke ? 2 : UPGRADES;
  const nodes = new Nodes();
  await nodes.start({ lab, stage });
  const options = { name: 'upgrade', chainId: CHAIN_ID, upstreams: nodes.upstreams, drain: '8s' };
  const seawall = await startSeawall({ lab, stage }, options);
  const clients = new Clients([seawall.url]);
  const subscriber = new Subscriber(lab, seawall.url);
  let over = false;
  const loop = openLoop({ rate, seconds: 600, startAt: now() + 100, fire: (i) => clients.fire(i), stopped: () => over });
  let pid = seawall.child.pid;
  for (let n = 1; n <= upgrades; n += 1) {
    await sleep(PAUSE_MS);
    process.kill(pid, 'SIGUSR2');
    const next = await until('another process is started', 30_000, () => childOf(pid), 5);
    stage.adopt(next);
    await until('the old one ends', 60_000, () => !isAlive(pid), 5);
    pid = next;
    say(`upgrade ${n} of ${upgrades}: ${clients.told()}`);
  }
  await sleep(PAUSE_MS);
  over = true;
  await loop;
  await clients.settled();
  const afterwards = subscriber.end();
  process.kill(pid, 'SIGTERM');
  await until('the last one ends', 60_000, () => !isAlive(pid));
  const verified = await seawall.verify();
  const upgraded = { upgrades, rate, ...clients.counts, ...afterwards, journal: verified.said.split('\n').at(-1) };

  const killed = await oneOfTwo({ lab, stage, nodes, rate: Math.min(rate, 500) });
  nodes.close();
  const missed = [];
  if (upgraded.failed > 0) missed.push(`${upgraded.failed} requests failed`, ...clients.examples);
  if (upgraded.left_out > 0) missed.push(`a subscriber was not told of ${upgraded.left_out} blocks`);
  if (upgraded.odd_ends.length > 0) missed.push(`sockets ended with ${upgraded.odd_ends.join(', ')}`);
  if (!verified.ok) missed.push('the journal does not verify');
  if (killed.failed_later > 0) missed.push(`${killed.failed_later} failed that were sent after one of two gateways had ended`);
  return { upgraded, one_of_two_killed: killed, missed };
}

/** Two gateways, and clients that go to the other one when theirs is gone. */
async function oneOfTwo({ lab, stage, nodes, rate }) {
  const start = (name) => startSeawall({ lab, stage }, { name, chainId: CHAIN_ID, upstreams: nodes.upstreams });
  const [one, two] = [await start('one'), await start('two')];
  const clients = new Clients([one.url, two.url]);
  let over = false;
  const loop = openLoop({ rate, seconds: 60, startAt: now() + 100, fire: (i) => clients.fire(i), stopped: () => over });
  await sleep(2000);
  one.child.kill('SIGKILL');
  await one.child.ended;
  const ended = now();
  await sleep(2000);
  over = true;
  await loop;
  await clients.settled();
  await two.stop();
  return { rate, ...clients.counts, failed_later: clients.failures.filter((began) => began > ended).length };
}

/** Subscribes to new heads, again whenever its socket is told that its server goes away. */
class Subscriber {
  #last = null;
  #heads = 0;
  #leftOut = 0;
  #resubscribed = 0;
  #odd = [];
  #socket;
  #over = false;

  constructor(lab, url) {
    const { WebSocket } = createRequire(join(lab.dir, 'package.json'))('ws');
    const open = () => {
      const socket = new WebSocket(url.replace('http:', 'ws:'));
      this.#socket = socket;
      let first = true;
      socket.on('open', () => socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'));
      socket.on('message', (text) => {
        const head = JSON.parse(text).params?.result;
        if (!head) return;
        const number = Number(head.number);
        if (!first) this.#leftOut += number - this.#last - 1;
        [first, this.#last] = [false, number];
        this.#heads += 1;
      });
      socket.on('error', (error) => this.#odd.push(error.code ?? error.message));
      socket.on('close', (code) => {
        if (this.#over) return;
        if (code !== GOING_AWAY) this.#odd.push(code);
        this.#resubscribed += 1;
        open();
      });
    };
    open();
  }

  end() {
    this.#over = true;
    this.#socket.terminate();
    return { heads: this.#heads, left_out: this.#leftOut, resubscribed: this.#resubscribed, odd_ends: this.#odd };
  }
}

function stat(pid) {
  try {
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return null;
  }
}

function childOf(pid) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).find((id) => stat(id)?.parent === pid);
}

function isAlive(pid) {
  const { state } = stat(pid) ?? {};
  return state !== undefined && state !== 'Z';
}
