// Clients that mean ill: heads and bodies without end, and floods of HTTP/2 frames, beside clients that go on.

import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { sleep } from './clock.mjs';
import { CHAIN_ID, Nodes } from './mock/nodes.mjs';
import { Http } from './rpc.mjs';
import { startSeawall } from './seawall.mjs';

/** Connections of each attack, at once. */
const WIDTH = 100;
/** What one connection sends at most. */
const SENDS = 4 * 1024 * 1024;
const WAITS_MS = 4_000;
const GROWTH_KIB = 64 * 1024;
/** Honest requests, one after another. */
const PAUSE_MS = 5;

const HEAD = 'POST / HTTP/1.1\r\nhost: seawall\r\ncontent-type: application/json\r\n';
const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0))]);
/** `:method POST`, `:scheme http`, `:path /`, `:authority s`, as HPACK. */
const FIELDS = Buffer.from([0x83, 0x86, 0x84, 0x41, 0x01, 0x73]);
const [END_STREAM, END_HEADERS] = [1, 4];

/** Each of these has to be answered, and is, as fast as its sender takes the answers: there is no end to be had, only to memory. */
const ANSWERED = new Set(['pings', 'settings']);

/** Each gives what it sends first, and what it goes on sending. */
const ATTACKS = {
  'head without end': () => [HEAD, (i) => `x-${i}: ${'a'.repeat(4000)}\r\n`],
  'one header without end': () => [`${HEAD}x: `, () => 'a'.repeat(16_000)],
  'body over the limit': () => [`${HEAD}content-length: ${SENDS}\r\n\r\n`, () => ' '.repeat(64_000)],
  'chunks without end': () => [`${HEAD}transfer-encoding: chunked\r\n\r\n`, () => `fa00\r\n${' '.repeat(0xfa00)}\r\n`],
  'chunk extensions without end': () => [`${HEAD}transfer-encoding: chunked\r\n\r\n1;`, () => 'a'.repeat(16_000)],
  'rapid reset': () => [PREFACE, (i) => streams(i, 100, (id) => [frame(1, END_HEADERS | END_STREAM, id, FIELDS), frame(3, 0, id, u32(8))])],
  'streams left open': () => [PREFACE, (i) => streams(i, 100, (id) => [frame(1, END_HEADERS, id, FIELDS)])],
  'continuation without end': () => [Buffer.concat([PREFACE, frame(1, 0, 1, FIELDS)]), () => frame(9, 0, 1, literal(16_000))],
  'pings': () => [PREFACE, () => many(200, frame(6, 0, 0, Buffer.alloc(8)))],
  'settings': () => [PREFACE, () => many(200, frame(4, 0, 0, Buffer.alloc(0)))],
  'empty data': () => [Buffer.concat([PREFACE, frame(1, END_HEADERS, 1, FIELDS)]), () => many(500, frame(0, 0, 1, Buffer.alloc(0)))],
};

export async function hostile({ lab, stage, settings, say }) {
  const nodes = new Nodes();
  await nodes.start({ lab, stage });
  const seawall = await startSeawall({ lab, stage }, { name: 'hostile', chainId: CHAIN_ID, upstreams: nodes.upstreams, log: 'error' });
  const port = Number(new URL(seawall.url).port);
  const honest = new Honest(seawall.url);
  await sleep(1000);
  const pid = seawall.child.pid;
  const result = { attacks: [], honest: null, missed: [] };
  const width = settings.smoke ? WIDTH / 4 : WIDTH;
  for (const [name, attack] of Object.entries(ATTACKS)) {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const before = kib(pid, 'VmRSS');
    const sent = await Promise.all(Array.from({ length: width }, () => one(port, attack())));
    const figures = {
      attack: name, connections: width, ended: sent.filter((s) => s.ended).length,
      sent_mb: Math.round(sent.reduce((sum, s) => sum + s.bytes, 0) / 1e5) / 10, grown_kib: kib(pid, 'VmHWM') - before,
    };
    result.attacks.push(figures);
    say(`hostile: ${JSON.stringify(figures)}`);
    if (figures.grown_kib > GROWTH_KIB) result.missed.push(`${name}: ${figures.grown_kib} KiB more`);
    if (figures.ended < width && !ANSWERED.has(name)) result.missed.push(`${name}: ${width - figures.ended} connections were not ended`);
  }
  result.honest = await honest.end();
  if (result.honest.failed > 0) result.missed.push(`${result.honest.failed} honest requests failed: ${result.honest.example}`);
  await seawall.stop();
  nodes.close();
  return result;
}

/** One connection; it is ended by the other side, or has sent all it may and waited. */
function one(port, [first, more]) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let [bytes, ended, over, i] = [0, false, false, 0];
    const finish = () => {
      if (over) return;
      over = true;
      socket.destroy();
      resolve({ bytes, ended });
    };
    const patience = setTimeout(finish, WAITS_MS);
    const end = () => {
      ended = true;
      clearTimeout(patience);
      finish();
    };
    socket.on('error', end).on('end', end).on('close', end);
    // An answer that refuses is an end as well, whether the connection stays or not.
    socket.on('data', (data) => /^HTTP\/1\.1 4\d\d /.test(data.toString('latin1', 0, 16)) && end());
    const go = () => {
      while (!over && bytes < SENDS) {
        const part = Buffer.from(bytes === 0 ? first : more((i += 1)));
        bytes += part.length;
        if (!socket.write(part)) return socket.once('drain', go);
      }
      return undefined;
    };
    socket.once('connect', go);
  });
}

class Honest {
  #http = new Http();
  #over = false;
  #told = { requests: 0, failed: 0, slowest_ms: 0 };
  #running;

  constructor(url) {
    this.#running = this.#run(url);
  }

  async #run(url) {
    while (!this.#over) {
      const began = performance.now();
      this.#told.requests += 1;
      try {
        await this.#http.call(url, 'eth_getBalance', [`0x${this.#told.requests.toString(16).padStart(40, '0')}`, 'latest']);
      } catch (error) {
        this.#told.failed += 1;
        this.#told.example ??= error.message;
      }
      this.#told.slowest_ms = Math.max(this.#told.slowest_ms, Math.round(performance.now() - began));
      await sleep(PAUSE_MS);
    }
  }

  async end() {
    this.#over = true;
    await this.#running;
    this.#http.close();
    return this.#told;
  }
}

function kib(pid, what) {
  return Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

function frame(type, flags, stream, payload) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function u32(n) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}

/** A header field of some length that no table keeps. */
function literal(length) {
  return Buffer.concat([Buffer.from([0x00, 0x01, 0x78, 0x7f, 0x81, 0x7c]), Buffer.alloc(length, 'a')]);
}

function many(count, one) {
  return Buffer.concat(Array.from({ length: count }, () => one));
}

function streams(i, count, frames) {
  return Buffer.concat(Array.from({ length: count }, (_, k) => frames(2 * ((i - 1) * count + k) + 1)).flat());
}
