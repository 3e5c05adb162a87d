// A provider as a process of its own: `forwarder.mjs [HOST:]LISTEN_PORT [HOST:]TARGET_PORT`. Bytes go through as they
// come, so a kill, a freeze and a restart look to the other side as they do with a real provider.

import { connect, createServer } from 'node:net';

const [listen, target] = process.argv.slice(2).map((text) => {
  const [port, host = '127.0.0.1'] = text.split(':').reverse();
  return { port: Number(port), host };
});

createServer({ noDelay: true }, (client) => {
  const upstream = connect({ ...target, noDelay: true });
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
  client.pipe(upstream).pipe(client);
}).listen(listen);
