// Another process takes over under load, again and again; then one of two gateways is killed.

import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:http2';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { now, openLoop, sleep, until } from './clock.mjs';
import { CHAIN_ID, Nodes } from './mock/nodes.mjs';
import { startSeawall } from './seawall.mjs';

const UPGRADES = 20;
const PAUSE_MS = 500;
const TIMEOUT_MS = 15_000;
/** Of this many requests, one comes on a connection of its own, and one over HTTP/2. */
const FRESH_EVERY = 10;
const H2_EVERY = 10;
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

/** An open loop of reads that repeats nothing: only a connection that was refused is tried at the next gateway. */
class Clients {
  counts = { requests: 0, answered: 0, failed: 0 };
  examples = [];
  /** When each that failed was sent. */
  failures = [];
  #urls;
  #agent = new Agent({ keepAlive: true });
  #h2 = null;
  #slowest = 0;

  constructor(urls) {
    this.#urls = urls;
  }

  fire(i) {
    this.counts.requests += 1;
    const began = now();
    const params = [`0x${i.toString(16).padStart(40, '0')}`, 'latest'];
    const body = JSON.stringify({ jsonrpc: '2.0', id: i, method: 'eth_getBalance', params });
    const work = i % H2_EVERY === 1 ? this.#overH2(body) : this.#overH1(body, i % FRESH_EVERY === 0);
    work.then((text) => {
      if (!text.includes('"result":"0x')) throw new Error(text.slice(0, 200));
      this.counts.answered += 1;
      this.#slowest = Math.max(this.#slowest, now() - began);
    }).catch((error) => {
      this.counts.failed += 1;
      this.failures.push(began);
      if (this.examples.length < 3) this.examples.push(`${error.code ?? ''} ${error.message}`);
    });
  }

  async #overH1(body, fresh) {
    for (const [i, url] of this.#urls.entries()) {
      try {
        return await this.#send(url, body, fresh);
      } catch (error) {
        if (error.code !== 'ECONNREFUSED' || i + 1 === this.#urls.length) throw error;
      }
    }
  }

  #send(url, body, fresh) {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const req = request(url, { method: 'POST', agent: fresh ? false : this.#agent, headers, timeout: TIMEOUT_MS }, (res) => {
        let text = '';
        res.on('data', (part) => (text += part));
        res.on('end', () => (res.complete ? resolve(text) : reject(new Error('cut short'))));
        res.on('error', reject);
      });
      req.on('timeout', () => req.destroy(new Error(`nothing for ${TIMEOUT_MS} ms`)));
      req.on('error', reject);
      req.end(body);
    });
  }

  #overH2(body) {
    if (this.#urls.length > 1) return this.#overH1(body, true);
    if (!this.#h2 || this.#h2.closed || this.#h2.destroyed) {
      this.#h2 = connect(this.#urls[0]);
      const mine = this.#h2;
      mine.on('error', () => {}); // told to each of its requests
      mine.on('goaway', () => this.#h2 === mine && (this.#h2 = null));
    }
    return new Promise((resolve, reject) => {
      const req = this.#h2.request({ ':method': 'POST', ':path': '/', 'content-type': 'application/json' });
      let text = '';
      req.on('data', (part) => (text += part));
      req.on('end', () => resolve(text));
      req.on('error', reject);
      req.end(body);
    });
  }

  told() {
    return `${this.counts.requests} requests, ${this.counts.failed} failed, slowest ${Math.round(this.#slowest)} ms`;
  }

  async settled() {
    await until('all answers', TIMEOUT_MS, () => this.counts.answered + this.counts.failed === this.counts.requests);
    this.counts.slowest_ms = Math.round(this.#slowest);
    this.#agent.destroy();
    this.#h2?.close();
  }
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
