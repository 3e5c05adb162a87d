// An upstream that serves so many requests at a time, each for a fixed time; the rest wait in it, for ever if need be.
//   node venue.mjs PORT SERVERS SERVICE_MS

import { createServer } from 'node:http';

const [port, servers, serviceMs] = process.argv.slice(2).map(Number);
const ANSWER = JSON.stringify({ ok: true });
const HEAD = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(ANSWER) };
const waiting = [];
let busy = 0;

function serve(res) {
  busy += 1;
  setTimeout(() => {
    busy -= 1;
    res.writeHead(200, HEAD).end(ANSWER);
    const next = waiting.shift();
    if (next) serve(next);
  }, serviceMs);
}

createServer((req, res) => {
  req.resume();
  if (busy < servers) serve(res);
  else waiting.push(res);
}).listen(port, '127.0.0.1', 4096);
