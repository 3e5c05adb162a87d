// One load thread: an ethers client of its own, with its own retries, batching, cache and throttle off.

import { parentPort, workerData } from 'node:worker_threads';
import { now, openLoop, sleep } from '../clock.mjs';
import { ethersOf } from '../lab.mjs';
import { random } from '../stats.mjs';
import { READS } from './reads.mjs';

/** Held here, not left to the library, whose own timeout does not end a request that hangs. */
const TIMEOUT_MS = 15_000;
const FLUSH_MS = 500;
const MINED_KEPT = 32;
const MAX_IN_FLIGHT = 20_000;

const { url, rate, seconds, startAt, seed, contract, estimate, chainId, labDir, raw, first } = workerData;
const ethers = ethersOf(labDir);
const provider = client();
const rng = random(seed);
const weights = READS.map((read) => [read[0], read]);

const view = { newest: { number: first.number, hash: first.hash }, told: first.number, mined: [first.mined] };
let finished = [];
let inFlight = 0;

parentPort.on('message', ({ head, mined }) => {
  if (head) view.newest = head;
  if (mined) view.mined = [...view.mined, ...mined].slice(-MINED_KEPT);
});
const flusher = setInterval(flush, FLUSH_MS);

const [lags] = await Promise.all([
  openLoop({ rate, seconds, startAt, fire: (_, due) => read(due) }),
  write(),
]);
while (inFlight > 0) await sleep(20);
clearInterval(flusher);
flush();
parentPort.postMessage({ lags });

function client() {
  const request = new ethers.FetchRequest(url);
  request.setThrottleParams({ maxAttempts: 1 });
  const network = ethers.Network.from(chainId);
  return new ethers.JsonRpcProvider(request, network, { batchMaxCount: 1, cacheTimeout: -1, staticNetwork: network });
}

/** One read; what it gave is judged later, when the chain's history is known. */
function read(due) {
  const [, kind, make] = rng.weighted(weights);
  const asked = { ...view.newest, mined: view.mined[rng.below(view.mined.length)] };
  // As clients do: the block of the number that this very client was told last.
  if (kind === 'block-at') asked.number = view.told;
  run({ kind, due, asked }, async () => {
    const answer = await make({ provider, contract, estimate, asked });
    if (kind === 'number') view.told = Math.max(view.told, answer);
    return answer;
  });
}

/** The signed transactions of this thread: each account's in nonce order, at an even pace, not waiting for a receipt. */
async function write() {
  await Promise.all(raw.map(async (transactions) => {
    const pace = (seconds * 1000 * 0.95) / transactions.length;
    for (const [i, { text, hash }] of transactions.entries()) {
      const due = startAt + i * pace;
      await sleep(Math.max(0, due - now()));
      await run({ kind: 'send', due: Math.max(due, now()), asked: { hash } }, async () => {
        return (await provider.broadcastTransaction(text)).hash;
      });
    }
  }));
}

async function run(entry, make) {
  entry.sent = now();
  if (inFlight >= MAX_IN_FLIGHT) {
    finished.push({ ...entry, done: entry.sent, error: 'load: too many requests in flight' });
    return;
  }
  inFlight += 1;
  try {
    entry.answer = await inTime(make());
  } catch (error) {
    entry.error = String(error.shortMessage ?? error.message).slice(0, 300);
    if (error.error) entry.error += ` ${JSON.stringify(error.error).slice(0, 300)}`;
    if (error.info?.responseBody) entry.error += ` ${String(error.info.responseBody).slice(0, 300)}`;
  }
  inFlight -= 1;
  entry.done = now();
  finished.push(entry);
}

function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function flush() {
  if (finished.length > 0) parentPort.postMessage({ finished });
  finished = [];
}
