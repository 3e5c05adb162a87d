// Clients that read in an open loop and repeat nothing, but for streams that are refused before anybody looked at them
// (RFC 9113, section 8.7), as clients of HTTP/2 do.

import { Agent, request } from 'node:http';
import { connect } from 'node:http2';
import { now, until } from './clock.mjs';

const TIMEOUT_MS = 15_000;
/** Of this many requests, one comes on a connection of its own, and one over HTTP/2. */
const FRESH_EVERY = 10;
const H2_EVERY = 10;

/** An open loop of reads that repeats nothing: only a connection that was refused is tried at the next gateway. */
export class Clients {
  counts = { requests: 0, answered: 0, failed: 0, refused_streams: 0 };
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

  async #overH2(body) {
    if (this.#urls.length > 1) return this.#overH1(body, true);
    try {
      return await this.#stream(body);
    } catch (error) {
      // Sent just as the server's last word was on its way.
      if (!/NGHTTP2_REFUSED_STREAM/.test(error.message)) throw error;
      this.counts.refused_streams += 1;
      return this.#stream(body);
    }
  }

  #stream(body) {
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
