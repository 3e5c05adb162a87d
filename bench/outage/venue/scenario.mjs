// Orders that are taken and then answered 502, never, or by a reset: what clients were told, held against the venue's ledger.

import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { now, openLoop, sleep, until } from '../clock.mjs';
import { Http } from '../rpc.mjs';
import { freePorts } from '../stage.mjs';

const OPERATIONS = 10_000;
const RATE = 150;
const SHARE = 10;
/** Closes while the first address is dead, of each way to be dead. */
const CLOSES = 200;
const RECONCILED_MS = 5_000;
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

  const clients = new Clients(`http://127.0.0.1:${gateway}/venue`);
  // A third place, a third cancel what was placed, a third close what was placed.
  const lives = Math.ceil(operations / 3);
  await openLoop({ rate: rate / 3, seconds: (3 * lives) / rate, startAt: now() + 50, fire: (i) => clients.live(`o${i}`) });
  await clients.settled();
  say(`venue: ${clients.told.length} operations`);

  const dead = {};
  for (const how of ['refuse', 'mute']) {
    await http.send('POST', `http://127.0.0.1:${control}/first`, { body: how });
    const before = clients.told.length;
    const seconds = (settings.smoke ? CLOSES / 4 : CLOSES) / 50;
    await openLoop({ rate: 50, seconds, startAt: now() + 50, fire: (i) => clients.close(`${how}${i}`) });
    await clients.settled();
    const told = clients.told.slice(before);
    dead[how] = { closes: told.length, failed: told.filter((t) => t.outcome !== 'done').length, slowest_ms: slowest(told) };
    await http.send('POST', `http://127.0.0.1:${control}/first`, { body: 'well' });
    await sleep(500);
  }
  const { counts, ledger } = JSON.parse((await http.send('GET', `http://127.0.0.1:${control}/ledger`)).text);
  http.close();
  return judge(clients.told, new Map(ledger), counts, dead);
}

function judge(told, ledger, counts, dead) {
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
    venue: counts,
    first_dead: dead,
    missed: [],
  };
  const bar = (holds, what) => holds || result.missed.push(what);
  bar(result.doubled === 0, `${result.doubled} took effect more than once`);
  bar(result.lost === 0, `${result.lost} were told to be done and are not`);
  bar(result.told_undone_and_done === 0, `${result.told_undone_and_done} were told not to be done and are`);
  // Else nothing would be shown: not by a gateway that refuses everything, nor by a venue that never fails.
  bar(result.undone === 0, `${result.undone} were refused`);
  bar(result.reconciled > 0 && counts.faults > 0, 'nothing had to be reconciled');
  bar(result.unknown === 0, `${result.unknown} remained unknown`);
  bar(result.slowest_reconciled_ms <= RECONCILED_MS, `one was reconciled after ${result.slowest_reconciled_ms} ms`);
  for (const [how, { failed, closes }] of Object.entries(dead)) bar(failed === 0, `${failed} of ${closes} closes failed with the first address dead (${how})`);
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
  #url;
  #agent = new Agent({ keepAlive: true });
  #open = 0;

  constructor(url) {
    this.#url = url;
  }

  /** An order is placed, and then cancelled and closed. */
  async live(id) {
    await this.#tell('placed', id, '/v1/orders', { clientOrderId: id, side: 'buy', amount: '1' });
    await Promise.all([this.#tell('cancelled', id, `/v1/orders/${id}/cancel`), this.close(id)]);
  }

  close(id) {
    return this.#tell('closed', id, `/v1/positions/${id}/close`);
  }

  async #tell(field, id, path, value = {}) {
    const began = now();
    this.#open += 1;
    const told = await this.#send(path, JSON.stringify(value)).then(outcomeOf, (error) => ({ outcome: 'odd', detail: error.message }));
    this.#open -= 1;
    this.told.push({ field, id, ms: now() - began, ...told });
  }

  #send(path, body) {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const req = request(this.#url + path, { method: 'POST', agent: this.#agent, headers, timeout: PATIENCE_MS }, (res) => {
        let text = '';
        res.on('data', (part) => (text += part));
        res.on('end', () => resolve({ status: res.statusCode, said: res.headers['x-seawall-outcome'], text }));
        res.on('error', reject);
      });
      req.on('timeout', () => req.destroy(new Error('no answer')));
      req.on('error', reject);
      req.end(body);
    });
  }

  async settled() {
    await until('all answers', PATIENCE_MS + 5_000, () => this.#open === 0);
  }
}

/** What a client makes of an answer. */
function outcomeOf({ status, said, text }) {
  if (said === 'unknown') return { outcome: 'unknown', detail: text };
  if (said === 'absent') return { outcome: 'undone' };
  if (status >= 200 && status < 300) return { outcome: 'done', reconciled: said === 'reconciled' };
  // Refused before it was sent, as the gateway's own code says.
  if (/"SW03(01|02|04|06|61)"/.test(text)) return { outcome: 'undone' };
  return { outcome: 'odd', detail: `${status} ${said ?? ''} ${text.slice(0, 200)}` };
}

function estate({ first, second, gateway, admin, journal }) {
  const rule = (path, id, lookup, more = []) => ['[[pools.venue.paths]]', 'methods = ["POST"]', `path = "${path}"`, 'effect = "write"', `id = "${id}"`, ...more,
    'attempt_timeout = "1s"', 'deadline = "8s"', `lookup = { ${lookup}, found = [200], absent = [404], settle = "500ms", within = "5s", resend = true }`, ''];
  return [
    '[estate]', 'name = "venue"', '', '[listen]', `gateway = "127.0.0.1:${gateway}"`, `admin = "127.0.0.1:${admin}"`, '',
    '[journal]', `dir = "${journal}"`, '', '[log]', 'level = "warn"', '', '[providers.venue]', '',
    '[pools.venue]', 'kind = "http"', 'route = "/venue"', '',
    ...rule('/v1/orders', '/clientOrderId', 'path = "/v1/orders/{id}"'),
    ...rule('/v1/orders/{id}/cancel', 'path:id', 'path = "/v1/orders/{id}", field = "/cancelled", done = ["yes"]', ['critical = true']),
    ...rule('/v1/positions/{id}/close', 'path:id', 'path = "/v1/positions/{id}", field = "/closed", done = ["yes"]', ['critical = true']),
    '[[pools.venue.upstreams]]', 'name = "first"', 'provider = "venue"', `url = "http://127.0.0.1:${first}"`, '',
    '[[pools.venue.upstreams]]', 'name = "second"', 'provider = "venue"', 'path_of = "first"', `url = "http://127.0.0.1:${second}"`, '',
  ].join('\n');
}
