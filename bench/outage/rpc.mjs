// A plain JSON-RPC client on keep-alive connections: no retries, no batching of its own, no cache.

import { Agent, request } from 'node:http';

const TIMEOUT_MS = 15_000;
const MAX_ANSWER = 16 * 1024 * 1024;

export class Http {
  #agent = new Agent({ keepAlive: true });

  /** One exchange: `{ status, text }`; rejects on a connection that fails or an answer cut short. */
  send(method, url, { body, headers } = {}) {
    return new Promise((resolve, reject) => {
      const req = request(url, { method, agent: this.#agent, headers, timeout: TIMEOUT_MS }, (res) => {
        const parts = [];
        let size = 0;
        res.on('data', (part) => {
          size += part.length;
          if (size > MAX_ANSWER) req.destroy(new Error('answer over the limit'));
          parts.push(part);
        });
        res.on('end', () => resolve({ status: res.statusCode, text: Buffer.concat(parts).toString() }));
        res.on('error', reject);
      });
      req.on('timeout', () => req.destroy(new Error(`nothing for ${TIMEOUT_MS} ms`)));
      req.on('error', reject);
      req.end(body);
    });
  }

  /** Posts JSON and gives the parsed answer; a status other than 200 is an error. */
  async post(url, value) {
    const body = JSON.stringify(value);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const { status, text } = await this.send('POST', url, { body, headers });
    if (status !== 200) throw new Error(`HTTP ${status}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }

  /** One JSON-RPC call's result; a JSON-RPC error is an error. */
  async call(url, method, params = []) {
    const answer = await this.post(url, { jsonrpc: '2.0', id: 1, method, params });
    if (answer.error) throw new Error(`${method}: ${answer.error.code} ${answer.error.message}`);
    return answer.result;
  }

  close() {
    this.#agent.destroy();
  }
}
