// One load thread on scripted nodes: mixed calls, single and in batches, and writes; every answer is checked at once.

import { parentPort, workerData } from 'node:worker_threads';
import { now, openLoop, sleep } from '../clock.mjs';
import { ethersOf } from '../lab.mjs';
import { Http } from '../rpc.mjs';
import { random } from '../stats.mjs';
import { CALLS } from './calls.mjs';
import { headAt } from './digest.mjs';
import { examine } from './examine.mjs';

/** Blocks that a read at `latest` may be behind the head at the time it was sent. */
const BEHIND = 2;
const BATCH_MAX = 6;
const ACCEPTED_KEPT = 64;
const SETTLED_AFTER = 4;
const EXAMPLES = 4;
const GAS = { gasLimit: 21_000n, maxFeePerGas: 10n, maxPriorityFeePerGas: 1n };

const { url, rate, seconds, startAt, seed, labDir, writesPerSecond } = workerData;
const ethers = ethersOf(labDir);
const http = new Http();
const rng = random(seed);
const wallet = ethers.Wallet.createRandom(); // another one each run: a transaction sent before is no test
const view = { told: headAt(Date.now()) - BEHIND, accepted: [] };
const result = { requests: 0, failed: 0, wrong: 0, backwards: 0, sent: [], latencies: [], ats: [], examples: [] };
const writeEvery = writesPerSecond > 0 ? Math.round(rate / writesPerSecond) : Infinity;
let inFlight = 0;
let nonce = 0;
let stop = false;

parentPort.once('message', () => (stop = true));
const lags = await openLoop({ rate, seconds, startAt, fire: (i, due) => void fire(i, due), stopped: () => stop });
while (inFlight > 0) await sleep(10);
parentPort.postMessage({ ...result, lags });

async function fire(i, due) {
  inFlight += 1;
  result.requests += 1;
  try {
    if (i % writeEvery === writeEvery - 1) await write();
    else if (rng.below(10) === 0) await batch();
    else await single();
  } catch (error) {
    result.failed += 1;
    example('failed', due, error.message);
  }
  result.latencies.push(now() - due);
  result.ats.push(due - startAt);
  inFlight -= 1;
}

async function single() {
  await check([draw()], (calls) => http.post(url, calls[0]).then((answer) => [answer]));
}

async function batch() {
  await check(Array.from({ length: 2 + rng.below(BATCH_MAX - 1) }, draw), (calls) => http.post(url, calls));
}

function draw() {
  return rng.weighted(CALLS)(rng, view);
}

/** Sends the calls and holds each answer against its test; one wrong answer makes the request wrong. */
async function check(drawn, send) {
  const before = view.told;
  const lo = headAt(Date.now()) - BEHIND;
  const calls = drawn.map(({ method, params }, i) => ({ jsonrpc: '2.0', id: i + 1, method, params }));
  const answers = await send(calls);
  const hi = headAt(Date.now() + 1);
  const { what, detail, oldest, newest } = examine(drawn, answers, { lo, hi });
  if (oldest < before) result.backwards += 1;
  if (newest <= hi) view.told = Math.max(view.told, newest);
  if (what === 'failed' || what === 'refused') throw new Error(detail);
  if (what !== 'wrong') return;
  result.wrong += 1;
  example('wrong', now(), detail);
}

async function write() {
  const text = await wallet.signTransaction({ type: 2, chainId: 1, nonce: (nonce += 1), to: wallet.address, ...GAS });
  const hash = ethers.keccak256(text);
  result.sent.push(hash);
  const answer = await http.post(url, { jsonrpc: '2.0', id: 1, method: 'eth_sendRawTransaction', params: [text] });
  if (answer.error) throw new Error(`send ${hash}: ${JSON.stringify(answer.error)}`);
  if (answer.result !== hash) {
    result.wrong += 1;
    example('wrong', now(), `send ${hash} got ${answer.result}`);
  }
  view.accepted = [...view.accepted, { hash, settled: headAt(Date.now()) + SETTLED_AFTER }].slice(-ACCEPTED_KEPT);
}

function example(what, at, detail) {
  if (result.examples.length < EXAMPLES) result.examples.push({ what, at_s: Math.round(at - startAt) / 1000, detail: String(detail).slice(0, 700) });
}
