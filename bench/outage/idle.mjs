// What idle connections cost: thousands of clients that asked once and stay.

import { connect } from 'node:net';
import { sleep } from './clock.mjs';
import { Http } from './rpc.mjs';
import { startSeawall } from './seawall.mjs';
import { CHAIN_ID, Nodes } from './mock/nodes.mjs';

const KIB_BAR = 24;
const WARM_UP = 3000;
const AT_ONCE = 64;
const REST_MS = 2000;
const ANSWER_MS = 10_000;
const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}';

export async function idle({ lab, stage, settings }) {
  const count = settings.connections ?? (settings.smoke ? 500 : 5000);
  const nodes = new Nodes();
  await nodes.start({ lab, stage });
  const seawall = await startSeawall({ lab, stage }, { name: 'idle', chainId: CHAIN_ID, upstreams: nodes.upstreams });
  await warmUp(seawall.url);
  await sleep(REST_MS);
  const before = seawall.residentKib();

  const port = Number(new URL(seawall.url).port);
  const sockets = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => open(port));
    sockets.push(...(await Promise.all(some)));
  }
  await sleep(REST_MS);
  const after = seawall.residentKib();
  const still = sockets.filter((s) => !s.destroyed && s.readyState === 'open');
  await Promise.all(still.map(ask)); // each of them is still served
  for (const socket of sockets) socket.destroy();

  const result = {
    connections: count, still_open: still.length, rss_before_kib: before, rss_after_kib: after,
    kib_each: Math.round(((after - before) / count) * 100) / 100, stopped: await seawall.stop(), missed: [],
  };
  if (still.length < count) result.missed.push(`${count - still.length} connections were closed`);
  if (result.kib_each > KIB_BAR) result.missed.push(`${result.kib_each} KiB a connection, over ${KIB_BAR}`);
  nodes.close();
  return result;
}

async function warmUp(url) {
  const http = new Http();
  for (let i = 0; i < WARM_UP; i += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => http.call(url, 'eth_blockNumber')));
  }
  http.close();
}

async function open(port) {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {}); // seen as destroyed
  await ask(socket);
  return socket;
}

/** One request on a connection, and its whole answer. */
function ask(socket) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('an idle connection got no answer')), ANSWER_MS);
    let text = '';
    const take = (part) => {
      text += part;
      if (!text.includes('"result"')) return;
      clearTimeout(late);
      socket.off('data', take);
      resolve();
    };
    socket.on('data', take);
    socket.write(`POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${CALL.length}\r\n\r\n${CALL}`);
  });
}
