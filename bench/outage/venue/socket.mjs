// As much of RFC 6455 as texts need, both sides of it.

import { createHash, randomBytes } from 'node:crypto';
import { connect as dial } from 'node:net';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10];

/** Answers a handshake that an HTTP server was sent (its event `upgrade`). */
export function accept(req, socket, hear, ended = () => {}) {
  const key = createHash('sha1').update(req.headers['sec-websocket-key'] + GUID).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${key}\r\n\r\n`);
  return new Texts(socket, false, hear, ended);
}

/** Opens a socket; rejects if there is no handshake. */
export function open(url, hear, ended) {
  const { hostname, port, pathname } = new URL(url);
  const key = randomBytes(16).toString('base64');
  return new Promise((resolve, reject) => {
    const socket = dial(Number(port), hostname);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed during the handshake')));
    socket.write(`GET ${pathname} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`);
    let head = Buffer.alloc(0);
    socket.on('data', function first(part) {
      head = Buffer.concat([head, part]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', first);
      if (!head.toString('latin1').startsWith('HTTP/1.1 101')) {
        socket.destroy();
        return reject(new Error(head.toString('latin1').split('\r\n')[0]));
      }
      const texts = new Texts(socket, true, hear, ended);
      texts.take(head.subarray(end + 4));
      resolve(texts);
    });
  });
}

class Texts {
  #socket;
  #masks;
  #hear;
  #rest = Buffer.alloc(0);

  constructor(socket, masks, hear, ended) {
    [this.#socket, this.#masks, this.#hear] = [socket, masks, hear];
    socket.setNoDelay(true);
    socket.on('data', (part) => this.take(part));
    socket.on('error', () => {});
    socket.on('close', ended);
  }

  send(text) {
    this.#frame(TEXT, Buffer.from(text));
  }

  /** Gone without a word. */
  cut() {
    this.#socket.resetAndDestroy();
  }

  take(part) {
    this.#rest = Buffer.concat([this.#rest, part]);
    while (this.#rest.length >= 2) {
      const masked = this.#rest[1] >= 128;
      let [length, at] = [this.#rest[1] & 127, 2];
      if (length === 127) throw new Error('a message of the harness is never that long');
      if (length === 126) [length, at] = [this.#rest.length >= 4 ? this.#rest.readUInt16BE(2) : Infinity, 4];
      const mask = masked ? this.#rest.subarray(at, at + 4) : undefined;
      if (masked) at += 4;
      if (this.#rest.length < at + length) return;
      const payload = Buffer.from(this.#rest.subarray(at, at + length));
      if (mask) payload.forEach((byte, i) => (payload[i] = byte ^ mask[i % 4]));
      const op = this.#rest[0] & 15;
      this.#rest = this.#rest.subarray(at + length);
      if (op === TEXT) this.#hear(payload.toString(), this);
      else if (op === PING) this.#frame(PONG, payload);
      else if (op === CLOSE) {
        this.#frame(CLOSE, payload);
        this.#socket.end();
      }
    }
  }

  #frame(op, payload) {
    const long = payload.length > 125;
    const head = Buffer.alloc(long ? 4 : 2);
    head[0] = 128 | op;
    head[1] = (this.#masks ? 128 : 0) | (long ? 126 : payload.length);
    if (long) head.writeUInt16BE(payload.length, 2);
    // A mask of zeros is one: what it guards against is not here.
    this.#socket.write(Buffer.concat(this.#masks ? [head, Buffer.alloc(4), payload] : [head, payload]));
  }
}
