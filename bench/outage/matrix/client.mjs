// The clients of one cell: single reads, batches and writes at even distances, each answer judged as it comes.

import { now, openLoop, sleep } from '../clock.mjs';
import { Http } from '../rpc.mjs';
import { CALLS } from '../mock/calls.mjs';
import { headAt } from '../mock/digest.mjs';
import { examine, isRefusal } from '../mock/examine.mjs';
import { random } from '../stats.mjs';

/** Blocks that a read at `latest` may be behind the head at the time it was sent. */
const BEHIND = 2;
const BATCH_MAX = 6;
const ACCEPTED_KEPT = 64;
const SETTLED_AFTER = 4;
const EXAMPLES = 3;
const GAS = { gasLimit: 21_000n, maxFeePerGas: 10n, maxPriorityFeePerGas: 1n };
/** Of so many requests one is a write, and one a batch. */
const WRITE_EVERY = 12;
const BATCH_EVERY = 6;
const HEADERS = { 'content-type': 'application/json' };

export class Clients {
  #ethers;
  #http = new Http();
  #rng;
  #wallet;
  #view = { told: headAt(Date.now()) - BEHIND, accepted: [] };
  #writes = [];
  #nonce = 0;
  #inFlight = 0;
  #stopped = false;

  /** `excuse(sent)` says what may be told of a request sent then: `{ refused, instead, since }`. */
  constructor({ ethers, url, seed, excuse }) {
    this.#ethers = ethers;
    this.#rng = random(seed);
    this.#wallet = ethers.Wallet.createRandom(); // another one each time: a transaction sent before is no test
    this.url = url;
    this.excuse = excuse;
    this.examples = [];
    this.tallies = Object.fromEntries(['read', 'write', 'batch'].map((kind) => [kind, tally()]));
  }

  /** Sends until told to stop, and waits for what is in flight then. */
  async run(rate) {
    const seconds = 3600;
    await openLoop({ rate, seconds, startAt: now(), fire: (i) => void this.#fire(i), stopped: () => this.#stopped });
    while (this.#inFlight > 0) await sleep(10);
    this.#http.close();
  }

  stop() {
    this.#stopped = true;
  }

  async #fire(i) {
    this.#inFlight += 1;
    const kind = i % WRITE_EVERY === WRITE_EVERY - 1 ? 'write' : i % BATCH_EVERY === 0 ? 'batch' : 'read';
    const sent = now();
    this.tallies[kind].requests += 1;
    const ask = kind === 'write' ? this.#write() : this.#read(kind === 'batch' ? 2 + this.#rng.below(BATCH_MAX - 1) : 0);
    const found = await ask.catch((error) => ({ what: 'failed', detail: error.message }));
    this.#count(kind, sent, found);
    this.#inFlight -= 1;
  }

  #count(kind, sent, found) {
    let { what } = found;
    if (what === 'refused' && !this.excuse(sent).refused) what = 'failed';
    if (found.backwards) this.tallies[kind].backwards += 1;
    this.tallies[kind][what] += 1;
    if (what === 'failed' || what === 'wrong') this.example(kind, what, found.detail);
  }

  example(kind, what, detail) {
    if (this.examples.length < EXAMPLES) this.examples.push({ kind, what, detail: String(detail).slice(0, 500) });
  }

  /** One read, or a batch of `width`. */
  async #read(width) {
    const sent = now();
    const drawn = Array.from({ length: width || 1 }, () => this.#rng.weighted(CALLS)(this.#rng, this.#view));
    const before = this.#view.told;
    const lo = headAt(Date.now()) - BEHIND;
    const calls = drawn.map(({ method, params }, i) => ({ jsonrpc: '2.0', id: i + 1, method, params }));
    const answer = await this.#post(width ? calls : calls[0]);
    const hi = headAt(Date.now() + 1);
    // A batch may be refused as a whole.
    const answers = width && !isRefusal(answer) ? answer : width ? calls.map(({ id }) => ({ ...answer, id })) : [answer];
    let found = examine(drawn, answers, { lo, hi });
    const { instead, since } = this.excuse(sent);
    if (found.what === 'wrong' && instead && isInstead(drawn, answers, { lo, hi }, instead, since)) found = { ...found, what: 'instead' };
    if (found.newest <= hi) this.#view.told = Math.max(this.#view.told, found.newest);
    return { ...found, backwards: found.oldest < before && !instead };
  }

  async #write() {
    const { address } = this.#wallet;
    const text = await this.#wallet.signTransaction({ type: 2, chainId: 1, nonce: (this.#nonce += 1), to: address, ...GAS });
    const hash = this.#ethers.keccak256(text);
    const write = { hash, said: 'failed' };
    this.#writes.push(write);
    const answer = await this.#post({ jsonrpc: '2.0', id: 1, method: 'eth_sendRawTransaction', params: [text] });
    if (isRefusal(answer)) {
      write.said = answer.error.data.code;
      return { what: 'refused', detail: JSON.stringify(answer.error).slice(0, 300) };
    }
    if (answer.error) return { what: 'failed', detail: `send ${hash}: ${JSON.stringify(answer.error)}` };
    if (answer.result !== hash) return { what: 'wrong', detail: `send ${hash} got ${answer.result}` };
    write.said = 'accepted';
    this.#view.accepted = [...this.#view.accepted, { hash, settled: headAt(Date.now()) + SETTLED_AFTER }].slice(-ACCEPTED_KEPT);
    return { what: 'ok' };
  }

  /** Holds what was said of each write against who took it: one said accepted that nobody has, or the reverse, is wrong. */
  checkWrites(accepted) {
    for (const { hash, said } of this.#writes) {
      const lost = said === 'accepted' && !accepted[hash];
      const denied = ['SW0301', 'SW0306'].includes(said) && accepted[hash];
      if (!lost && !denied) continue;
      this.tallies.write.wrong += 1;
      this.example('write', 'wrong', `${hash} was told ${said}; accepted by the nodes ${accepted[hash] ?? 0} times`);
    }
  }

  async #post(value) {
    const { status, text } = await this.#http.send('POST', this.url, { body: JSON.stringify(value), headers: HEADERS });
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`HTTP ${status}: ${text.slice(0, 200)}`);
    }
  }
}

export function tally() {
  return { requests: 0, ok: 0, failed: 0, wrong: 0, backwards: 0, refused: 0, instead: 0 };
}

/** Is that what may be told instead of the truth? `since` is the head when the fault began. */
function isInstead(drawn, answers, { lo, hi }, { older = 0, newer = 0, forks = [0], nothing = [] }, since) {
  const window = { lo: Math.max(lo - older, Math.min(lo, since) - 1), hi: hi + newer, forks };
  const isNothing = (r) => r === null || (Array.isArray(r) && r.length === 0);
  return drawn.every((call, i) => {
    const answer = answers.find((a) => a.id === i + 1);
    return answer.error || call.right(answer.result, window) || (nothing.includes(call.kind) && isNothing(answer.result));
  });
}
