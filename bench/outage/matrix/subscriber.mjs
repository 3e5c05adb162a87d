// One subscriber of a cell: new heads and logs on one WebSocket. Each block once, in order, none left out, and true.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { headAt, isBlock, isLog } from '../mock/digest.mjs';
import { tally } from './client.mjs';

/** A block is late if it has not come by then. */
const LATE_MS = 2500;
const EXAMPLES = 2;

export class Subscriber {
  tally = tally();
  examples = [];
  #socket;
  #excuse;
  /** By subscription: what it is to, and the number of the block that was told last. */
  #told = new Map();
  #asked = new Map();
  #closing = false;

  constructor({ lab, url, excuse }) {
    const { WebSocket } = createRequire(join(lab.dir, 'package.json'))('ws');
    this.#excuse = excuse;
    this.#socket = new WebSocket(url.replace('http:', 'ws:'));
    this.#socket.on('message', (text) => this.#take(JSON.parse(text)));
    this.#socket.on('error', (error) => this.#note('failed', `socket: ${error.message}`));
    this.#socket.on('close', (code, why) => this.#closing || this.#note('failed', `closed: ${code} ${why}`));
    this.#socket.on('open', () => {
      this.#ask(1, ['newHeads']);
      this.#ask(2, ['logs', {}]);
    });
  }

  #ask(id, params) {
    this.#asked.set(id, params[0]);
    this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'eth_subscribe', params }));
  }

  #take(message) {
    if (message.id !== undefined) {
      if (message.result === undefined) this.#note('failed', JSON.stringify(message));
      else this.#told.set(message.result, { kind: this.#asked.get(message.id), number: null });
      return;
    }
    const { subscription, result } = message.params ?? {};
    const of = this.#told.get(subscription);
    if (!of || !result) return this.#note('wrong', `of no subscription: ${JSON.stringify(message).slice(0, 200)}`);
    this.tally.requests += 1;
    const number = Number(of.kind === 'logs' ? result.blockNumber : result.number);
    const { instead } = this.#excuse(0);
    const doubt = this.#doubt(of, number, result);
    if (!doubt) this.tally.ok += 1;
    else if (instead && this.#isInstead(of, number, result, instead)) this.tally.instead += 1;
    else this.#note(doubt.startsWith('left out') ? 'failed' : 'wrong', `${of.kind} ${number} after ${of.number}: ${doubt}`);
    of.number = number;
  }

  /** What is wrong with it, if something is. */
  #doubt(of, number, result) {
    if (of.number !== null && number > of.number + 1) return `left out ${number - of.number - 1}`;
    if (of.number !== null && number <= of.number) return 'told again';
    if (number > headAt(Date.now() + 1)) return 'not made yet';
    const right = of.kind === 'logs' ? isLog(result, number) && result.removed === false : isBlock(result, number);
    return right ? null : `not that block: ${JSON.stringify(result).slice(0, 160)}`;
  }

  /** Where most lie alike a fork and what comes after it look like reorganisations. */
  #isInstead(of, number, result, { newer = 0, forks = [0], nothing = [] }) {
    if (nothing.length > 0 && of.kind === 'logs') return true;
    const right = of.kind === 'logs' ? isLog(result, number, forks) : isBlock(result, number, forks);
    return right && number <= headAt(Date.now() + 1) + newer && (forks.length > 1 || newer > 0 || number > of.number);
  }

  /** Ends it: what has been due for long enough must have come. */
  end() {
    this.#closing = true;
    this.#socket.terminate();
    const due = headAt(Date.now() - LATE_MS);
    if (this.#told.size < 2) this.#note('failed', 'not subscribed');
    for (const { kind, number } of this.#told.values()) {
      if (number === null || number < due) this.#note('failed', `${kind}: told up to ${number}, ${due} was due`);
    }
  }

  #note(what, detail) {
    this.tally[what] += 1;
    if (this.examples.length < EXAMPLES) this.examples.push({ kind: 'subscription', what, detail });
  }
}
