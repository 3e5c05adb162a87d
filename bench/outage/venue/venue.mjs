// A small venue: order entry over HTTP and WebSocket at two addresses of one account, and a ledger of what took effect.
//   node venue.mjs FIRST SECOND CONTROL SHARE
//
// Nothing is known again: whoever sends an order twice has two. Of the writes, SHARE percent take effect and are then
// answered 502, never, or by a reset; every fourth of them takes effect only some time after that. A fifth as many are
// answered so and take no effect. Of the look-ups, some are answered 503, or never. CONTROL tells the ledger
// (GET /ledger) and has the first address die (POST /first, body `refuse`, `mute` or `well`).

import { createServer } from 'node:http';
import { accept } from './socket.mjs';

const [first, second, control, share] = process.argv.slice(2).map(Number);
const NO_EFFECT = 0.2;
const FAULTS = ['502', 'hang', 'reset'];
const LATENCY_MS = 2;
/** From when to when after the fault what comes late takes effect: before the look-up believes that it never does. */
const LATE_MS = [150, 400];
const LATE = 0.25;
const FAILED_LOOKUPS = 0.04;

/** By order: how often it was placed, cancelled and closed. */
const ledger = new Map();
const counts = { writes: 0, reads: 0, faults: 0, without_effect: 0, late: 0, failed_reads: 0, muted: 0 };
let drawn = 12345;

/** The same faults in every run of as many writes. */
function draw() {
  drawn = (Math.imul(drawn, 1103515245) + 12345) >>> 0;
  return drawn / 2 ** 32;
}

const HOPS = { place: 'placed', cancel: 'cancelled', close: 'closed' };

function effect(what, id) {
  const order = ledger.get(id) ?? { placed: 0, cancelled: 0, closed: 0 };
  order[HOPS[what]] += 1;
  ledger.set(id, order);
}

function answer(res, status, value) {
  const body = JSON.stringify(value);
  setTimeout(() => res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body), LATENCY_MS);
}

/** Takes a write in, as far as it takes effect; how it is answered. */
function take(what, id) {
  counts.writes += 1;
  const lot = draw() * 100;
  const faulty = lot < share * (1 + NO_EFFECT);
  if (!faulty) {
    effect(what, id);
    return 'well';
  }
  counts.faults += 1;
  if (lot >= share) counts.without_effect += 1;
  else if (draw() < LATE) {
    counts.late += 1;
    setTimeout(() => effect(what, id), LATE_MS[0] + draw() * (LATE_MS[1] - LATE_MS[0]));
  } else effect(what, id);
  return FAULTS[Math.floor(draw() * FAULTS.length)];
}

function write(req, res, what, id) {
  switch (take(what, id)) {
    case 'well': return answer(res, what === 'place' ? 201 : 200, { id, status: HOPS[what] });
    case '502': return answer(res, 502, { error: 'bad gateway' });
    case 'hang': return undefined;
    default: return setTimeout(() => req.socket.resetAndDestroy(), LATENCY_MS);
  }
}

/** A write that came over a socket. */
function hear(text, socket) {
  const { req, op, id } = JSON.parse(text);
  const say = (value) => setTimeout(() => socket.send(JSON.stringify({ req, ...value })), LATENCY_MS);
  switch (take(op, id)) {
    case 'well': return say({ id, status: HOPS[op] });
    case '502': return say({ error: { code: 502 } });
    case 'hang': return undefined;
    default: return setTimeout(() => socket.cut(), LATENCY_MS);
  }
}

function read(res, id) {
  counts.reads += 1;
  if (draw() < FAILED_LOOKUPS) {
    counts.failed_reads += 1;
    return draw() < 0.5 ? answer(res, 503, { error: 'try again' }) : undefined;
  }
  const order = ledger.get(id);
  if (!order) return answer(res, 404, { error: 'no such order' });
  const yes = (n) => (n > 0 ? 'yes' : 'no');
  return answer(res, 200, { id, placed: yes(order.placed), cancelled: yes(order.cancelled), closed: yes(order.closed) });
}

function serve(req, res) {
  const parts = new URL(req.url, 'http://venue').pathname.split('/').filter(Boolean);
  let body = '';
  req.on('data', (part) => (body += part));
  req.on('end', () => {
    const [, , id, what] = parts;
    if (req.method === 'GET') return read(res, id);
    if (parts.length === 2) return write(req, res, 'place', JSON.parse(body).clientOrderId);
    return write(req, res, what, id);
  });
}

let server;
let muted = false;
const sockets = new Set();
const mute = () => void (counts.muted += 1);

function open() {
  server = createServer((req, res) => (muted ? mute() : serve(req, res))).listen(first, '127.0.0.1');
  server.on('upgrade', (req, stream) => {
    if (muted) return mute();
    const socket = accept(req, stream, (text) => (muted ? mute() : hear(text, socket)), () => sockets.delete(socket));
    sockets.add(socket);
  });
}
open();
createServer(serve).listen(second, '127.0.0.1').on('upgrade', (req, stream) => accept(req, stream, hear));
createServer((req, res) => {
  let body = '';
  req.on('data', (part) => (body += part));
  req.on('end', () => {
    if (req.method === 'GET') return res.end(JSON.stringify({ counts, ledger: [...ledger] }));
    muted = body === 'mute';
    if (body === 'refuse') {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.cut();
    } else if (!server.listening) open();
    return res.end();
  });
}).listen(control, '127.0.0.1');
