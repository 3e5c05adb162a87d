// Orders, over HTTP and over sockets, that are taken and then answered 502, never, or by a reset: what clients were told,
// held against the venue's ledger.

import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { now, openLoop, sleep, until } from '../clock.mjs';
import { Http } from '../rpc.mjs';
import { freePorts } from '../stage.mjs';
import { open } from './socket.mjs';

const OPERATIONS = 10_000;
const RATE = 150;
const SHARE = 10;
/** Closes while the first address is dead, of each way to be dead. */
const CLOSES = 200;
/** Clients of the sockets, each with one of its own. */
const SOCKETS = 20;
const CLEARED_UP_MS = 5_000;
const PATIENCE_MS = 20_000;

export async function venue({ lab, stage, settings, say }) {
  const operations = settings.smoke ? 400 : OPERATIONS;
  const rate = settings.rate ?? RATE;
  const [first, second, control, gateway, admin] = await freePorts(5);
  const script = fileURLToPath(new URL('venue.mjs', import.meta.url));
  stage.start('venue', process.execPath, [script, first, second, control, SHARE].map(String));
  const file = join(stage.subdir('venue'), 'seawall.toml');
  writeFileSync(file, estate({ first, second, gateway, admin, journal: join(stage.dir, 'venue/journal') }));
  stage.start('seawall', lab.seawall, ['run', file]);
  const http = new Http();
  await until('Seawall ready', 15_000, async () => (await http.send('GET', `http://127.0.0.1:${admin}/readyz`)).status === 200);

  const base = `http://127.0.0.1:${gateway}/venue`;
  const ways = { http: new Requests(base), socket: new Messages(`${base}/v1/ws`) };
  const result = { ways: {}, missed: [] };
  for (const [way, clients] of Object.entries(ways)) {
    // A third place, a third cancel what was placed, a third close what was placed.
    const lives = Math.ceil(operations / 3);
    await openLoop({ rate: rate / 3, seconds: (3 * lives) / rate, startAt: now() + 50, fire: (i) => clients.live(`${way}${i}`) });
    await clients.settled();
    say(`venue: ${clients.told.length} operations (${way})`);
  }
  const dead = {};
  for (const [way, clients] of Object.entries(ways)) {
    for (const how of ['refuse', 'mute']) {
      await ways.socket.afresh();
      await http.send('POST', `http://127.0.0.1:${control}/first`, { body: how });
      const before = clients.told.length;
      const seconds = (settings.smoke ? CLOSES / 4 : CLOSES) / 50;
      await openLoop({ rate: 50, seconds, startAt: now() + 50, fire: (i) => clients.close(`${way}-${how}${i}`) });
      await clients.settled();
      const told = clients.told.slice(before);
      dead[`${way}, ${how}`] = { closes: told.length, failed: told.filter((t) => t.outcome !== 'done').length, slowest_ms: slowest(told) };
      await http.send('POST', `http://127.0.0.1:${control}/first`, { body: 'well' });
      let asked = 0;
      // It is tried once in 30 s at the least, and may then meet one of the venue's faults.
      await until('the first address is found well', 120_000, async () => {
        // By what goes there: nobody else finds out.
        await Promise.all([http.send('GET', `${base}/v1/orders/nobody`), ways.http.close(`${way}-${how}-back${(asked += 1)}`)]);
        return isWell(await http.send('GET', `http://127.0.0.1:${admin}/v1/pools`));
      });
    }
  }
  const { counts, ledger } = JSON.parse((await http.send('GET', `http://127.0.0.1:${control}/ledger`)).text);
  http.close();
  for (const [way, clients] of Object.entries(ways)) result.ways[way] = judge(clients.told, new Map(ledger), (what) => result.missed.push(`${way}: ${what}`));
  const bar = (holds, what) => holds || result.missed.push(what);
  // Else nothing would be shown by it.
  for (const [what, n] of Object.entries(counts)) bar(n > 0, `there were none: ${what}`);
  for (const [how, { failed, closes }] of Object.entries(dead)) bar(failed === 0, `${failed} of ${closes} closes failed with the first address dead (${how})`);
  return { ...result, venue: counts, first_dead: dead };
}

function isWell({ text }) {
  const first = JSON.parse(text).pools[0].upstreams.find((u) => u.name === 'first');
  return first.breakers.every((b) => b.state === 'admitting');
}

function judge(told, ledger, miss) {
  const of = (t) => ledger.get(t.id)?.[t.field] ?? 0;
  const reconciled = told.filter((t) => t.reconciled);
  const result = {
    operations: told.length,
    doubled: told.filter((t) => of(t) > 1).length,
    lost: told.filter((t) => t.outcome === 'done' && of(t) === 0).length,
    told_undone_and_done: told.filter((t) => t.outcome === 'undone' && of(t) > 0).length,
    undone: told.filter((t) => t.outcome === 'undone').length,
    unknown: told.filter((t) => t.outcome === 'unknown').length,
    reconciled: reconciled.length,
    slowest_reconciled_ms: slowest(reconciled),
    slowest_ms: slowest(told),
  };
  const bar = (holds, what) => holds || miss(what);
  bar(result.doubled === 0, `${result.doubled} took effect more than once`);
  bar(result.lost === 0, `${result.lost} were told to be done and are not`);
  bar(result.told_undone_and_done === 0, `${result.told_undone_and_done} were told not to be done and are`);
  const first = (outcome) => told.find((t) => t.outcome === outcome);
  // A gateway that refuses everything would hold the others.
  bar(result.undone === 0, `${result.undone} were refused, as ${first('undone')?.id}: ${first('undone')?.detail}`);
  bar(result.reconciled > 0, 'nothing had to be reconciled');
  bar(result.unknown === 0, `${result.unknown} remained unknown, as ${first('unknown')?.id}: ${first('unknown')?.detail}`);
  bar(result.slowest_ms <= CLEARED_UP_MS, `one was cleared up after ${result.slowest_ms} ms`);
  const odd = told.find((t) => t.outcome === 'odd');
  bar(!odd, `an answer that says nothing of the outcome: ${odd?.detail}`);
  return result;
}

function slowest(told) {
  return Math.round(Math.max(0, ...told.map((t) => t.ms)));
}

/** Clients that send each thing once, and believe what they are told. */
class Clients {
  told = [];
  #open = 0;

  /** An order is placed, and then cancelled and closed. */
  async live(id) {
    await this.#tell('place', id);
    await Promise.all([this.#tell('cancel', id), this.close(id)]);
  }

  close(id) {
    return this.#tell('close', id);
  }

  async #tell(what, id) {
    const began = now();
    this.#open += 1;
    const told = await this.send(what, id).catch((error) => ({ outcome: 'odd', detail: error.message }));
    this.#open -= 1;
    this.told.push({ field: FIELDS[what], id, ms: now() - began, ...told });
  }

  async settled() {
    await until('all answers', PATIENCE_MS + 5_000, () => this.#open === 0);
  }
}

const FIELDS = { place: 'placed', cancel: 'cancelled', close: 'closed' };

/** Over HTTP. */
class Requests extends Clients {
  #url;
  #agent = new Agent({ keepAlive: true });

  constructor(url) {
    super();
    this.#url = url;
  }

  send(what, id) {
    const [path, value] = what === 'place' ? ['orders', { clientOrderId: id, side: 'buy', amount: '1' }] : [`${what === 'cancel' ? 'orders' : 'positions'}/${id}/${what}`, {}];
    const body = JSON.stringify(value);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const req = request(`${this.#url}/v1/${path}`, { method: 'POST', agent: this.#agent, headers, timeout: PATIENCE_MS }, (res) => {
        let text = '';
        res.on('data', (part) => (text += part));
        res.on('end', () => resolve(outcomeOf({ status: res.statusCode, said: res.headers['x-seawall-outcome'], text })));
        res.on('error', reject);
      });
      req.on('timeout', () => req.destroy(new Error('no answer')));
      req.on('error', reject);
      req.end(body);
    });
  }
}

/** Over sockets, which are opened anew when they are lost; what is under way on one then has no answer. */
class Messages extends Clients {
  #url;
  #sockets = [];
  #waiting = new Map();
  #sent = 0;

  constructor(url) {
    super();
    this.#url = url;
  }

  async send(op, id) {
    const req = (this.#sent += 1);
    const place = req % SOCKETS;
    const socket = await (this.#sockets[place] ??= this.#open(place));
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no answer')), PATIENCE_MS);
      this.#waiting.set(req, { place, reject, hear: (answer) => (clearTimeout(late), resolve(outcomeOfMessage(answer))) });
      socket.send(JSON.stringify({ req, op, id }));
    });
  }

  /** Leaves, and comes back: to the first address, if that is well. */
  async afresh() {
    for (const socket of this.#sockets.splice(0)) (await socket)?.cut();
    for (let place = 0; place < SOCKETS; place += 1) await (this.#sockets[place] = this.#open(place));
  }

  #open(place) {
    const hear = (text) => {
      const answer = JSON.parse(text);
      this.#waiting.get(answer.req)?.hear(answer);
      this.#waiting.delete(answer.req);
    };
    const ended = () => {
      if (this.#sockets[place] === opened) this.#sockets[place] = undefined;
      for (const [req, waits] of this.#waiting) {
        if (waits.place !== place) continue;
        waits.reject(new Error('the socket ended without an answer'));
        this.#waiting.delete(req);
      }
    };
    const opened = open(this.#url, hear, ended).catch((error) => {
      this.#sockets[place] = undefined;
      throw error;
    });
    return opened;
  }
}

/** What a client makes of a message. */
function outcomeOfMessage(answer) {
  if (answer.outcome === 'unknown') return { outcome: 'unknown', detail: JSON.stringify(answer) };
  if (answer.outcome === 'absent') return { outcome: 'undone', detail: JSON.stringify(answer) };
  if (answer.outcome === 'reconciled' || !answer.error) return { outcome: 'done', reconciled: answer.outcome === 'reconciled' };
  return { outcome: 'odd', detail: JSON.stringify(answer) };
}

/** What a client makes of an answer. */
function outcomeOf({ status, said, text }) {
  if (said === 'unknown') return { outcome: 'unknown', detail: text };
  if (said === 'absent') return { outcome: 'undone', detail: text };
  if (status >= 200 && status < 300) return { outcome: 'done', reconciled: said === 'reconciled' };
  // Refused before it was sent, as the gateway's own code says.
  if (/"SW03(01|02|04|06|61)"/.test(text)) return { outcome: 'undone', detail: text };
  return { outcome: 'odd', detail: `${status} ${said ?? ''} ${text.slice(0, 200)}` };
}

function estate({ first, second, gateway, admin, journal }) {
  const lookup = (what) => `lookup = { ${what}, found = [200], absent = [404], settle = "500ms", within = "4s", resend = true }`;
  const looks = {
    place: lookup('path = "/v1/orders/{id}"'),
    cancel: lookup('path = "/v1/orders/{id}", field = "/cancelled", done = ["yes"]'),
    close: lookup('path = "/v1/positions/{id}", field = "/closed", done = ["yes"]'),
  };
  const times = ['attempt_timeout = "1s"', 'deadline = "8s"'];
  const rule = (path, id, what, more = []) => ['[[pools.venue.paths]]', 'methods = ["POST"]', `path = "${path}"`, 'effect = "write"', `id = "${id}"`, ...more,
    ...times, looks[what], ''];
  const message = (what) => ['[[pools.venue.paths.socket.messages]]', `when = "/op=${what}"`, 'id = "/id"', 'unsure = ["/error/code=502"]', 'critical = true', looks[what], ''];
  return [
    '[estate]', 'name = "venue"', '', '[listen]', `gateway = "127.0.0.1:${gateway}"`, `admin = "127.0.0.1:${admin}"`, '',
    '[journal]', `dir = "${journal}"`, '', '[log]', 'level = "warn"', '', '[providers.venue]', '',
    '[pools.venue]', 'kind = "http"', 'route = "/venue"', '',
    ...rule('/v1/orders', '/clientOrderId', 'place'),
    ...rule('/v1/orders/{id}/cancel', 'path:id', 'cancel', ['critical = true']),
    ...rule('/v1/positions/{id}/close', 'path:id', 'close', ['critical = true']),
    '[[pools.venue.paths]]', 'path = "/v1/ws"', 'critical = true', ...times, 'socket.id = "req"', 'socket.resume = true', '',
    ...Object.keys(looks).flatMap(message),
    '[[pools.venue.upstreams]]', 'name = "first"', 'provider = "venue"', `url = "http://127.0.0.1:${first}"`, '',
    '[[pools.venue.upstreams]]', 'name = "second"', 'provider = "venue"', 'path_of = "first"', `url = "http://127.0.0.1:${second}"`, '',
  ].join('\n');
}
