// What the chain itself says, asked directly and never through Seawall.

import { now, sleep } from '../clock.mjs';
import { Http } from '../rpc.mjs';

const POLL_MS = 20;
const AT_ONCE = 8;
const KEPT_BEFORE = 64;

/** Follows the node's head, and remembers when each block can first have been there and when it surely was. */
export class Heads {
  #url;
  #http = new Http();
  #seen = [];
  #running = true;
  #onHead;

  constructor(url, onHead = () => {}) {
    this.#url = url;
    this.#onHead = onHead;
  }

  async start() {
    await this.#poll();
    this.done = (async () => {
      while (this.#running) {
        await this.#poll();
        await sleep(POLL_MS);
      }
    })();
  }

  async stop() {
    this.#running = false;
    await this.done;
    this.#http.close();
  }

  /** The newest block known of. */
  get newest() {
    return this.#seen.at(-1)?.number ?? -1;
  }

  /** The highest block that was surely there at `t`. */
  surely(t) {
    return this.#seen.findLast((h) => h.surely <= t)?.number ?? this.#seen[0].number;
  }

  /** The highest block that can have been there at `t`. */
  possibly(t) {
    return this.#seen.findLast((h) => h.possibly <= t)?.number ?? this.#seen[0].number;
  }

  #last = 0;

  async #poll() {
    const asked = now();
    const number = Number(await this.#http.call(this.#url, 'eth_blockNumber'));
    for (let n = this.#seen.length === 0 ? number : this.newest + 1; n <= number; n += 1) {
      this.#seen.push({ number: n, possibly: this.#last, surely: now() });
      this.#onHead(n);
    }
    this.#last = asked;
  }
}

/** Everything the reads may have answered, block by block, from `first - KEPT_BEFORE` to `last`. */
export async function history(url, { first, last, contract, estimate }) {
  const http = new Http();
  const from = Math.max(0, first - KEPT_BEFORE);
  const blocks = new Map();
  const one = async (n) => {
    const tag = `0x${n.toString(16)}`;
    const block = await http.call(url, 'eth_getBlockByNumber', [tag, false]);
    blocks.set(n, {
      hash: block.hash,
      transactions: block.transactions,
      balance: BigInt(await http.call(url, 'eth_getBalance', [contract, tag])).toString(),
      count: await http.call(url, 'eth_call', [{ to: contract, data: '0x' }, tag]),
      gas: BigInt(await http.call(url, 'eth_estimateGas', [estimate, tag])).toString(),
    });
  };
  for (let n = from; n <= last; n += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, last - n + 1) }, (_, i) => one(n + i)));
  }
  const filter = { address: contract, fromBlock: `0x${from.toString(16)}`, toBlock: `0x${last.toString(16)}` };
  for (const block of blocks.values()) block.logs = [];
  for (const log of await http.call(url, 'eth_getLogs', [filter])) blocks.get(Number(log.blockNumber)).logs.push(log.data);
  http.close();
  return { from, last, blocks };
}
