// A small venue: order entry over HTTP at two addresses of one account, and a ledger of what took effect.
//   node venue.mjs FIRST SECOND CONTROL SHARE
//
// Nothing is known again: whoever sends an order twice has two. Of the writes, SHARE percent take effect and are then
// answered 502, never, or by a reset; a fifth as many are answered so and take no effect. CONTROL tells the ledger
// (GET /ledger) and has the first address die (POST /first, body `refuse`, `mute` or `well`).

import { createServer } from 'node:http';

const [first, second, control, share] = process.argv.slice(2).map(Number);
const NO_EFFECT = 0.2;
const FAULTS = ['502', 'hang', 'reset'];
const LATENCY_MS = 2;

/** By order: how often it was placed, cancelled and closed. */
const ledger = new Map();
const counts = { writes: 0, reads: 0, faults: 0, without_effect: 0 };
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

function write(req, res, what, id) {
  counts.writes += 1;
  const lot = draw() * 100;
  const faulty = lot < share * (1 + NO_EFFECT);
  if (!faulty || lot < share) effect(what, id);
  if (!faulty) return answer(res, what === 'place' ? 201 : 200, { id, status: HOPS[what] });
  counts.faults += 1;
  if (lot >= share) counts.without_effect += 1;
  switch (FAULTS[Math.floor(draw() * FAULTS.length)]) {
    case '502': return answer(res, 502, { error: 'bad gateway' });
    case 'hang': return undefined;
    default: return setTimeout(() => req.socket.resetAndDestroy(), LATENCY_MS);
  }
}

function read(res, id) {
  counts.reads += 1;
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
function open() {
  server = createServer((req, res) => (muted ? undefined : serve(req, res))).listen(first, '127.0.0.1');
}
open();
createServer(serve).listen(second, '127.0.0.1');
createServer((req, res) => {
  let body = '';
  req.on('data', (part) => (body += part));
  req.on('end', () => {
    if (req.method === 'GET') return res.end(JSON.stringify({ counts, ledger: [...ledger] }));
    muted = body === 'mute';
    if (body === 'refuse') {
      server.close();
      server.closeAllConnections();
    } else if (!server.listening) open();
    return res.end();
  });
}).listen(control, '127.0.0.1');
