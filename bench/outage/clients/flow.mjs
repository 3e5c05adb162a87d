// What the flows written for Node.js share: a transcript on stdout, and pauses in which the scenario breaks things.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export const COUNTER = JSON.parse(readFileSync(new URL('Counter.json', import.meta.url), 'utf8'));
/** The first of the accounts that every test node funds, and the one that money is sent to. */
export const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
export const FRIEND = '0x00000000000000000000000000000000005ea3a1';
/** Nobody has ever sent it anything. */
export const POOR_KEY = `0x${'37'.repeat(32)}`;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export function step(name, value) {
  console.log(JSON.stringify({ step: name, value }, (_, v) => (typeof v === 'bigint' ? v.toString() : v)));
}

/** Tells the scenario how far it is, and waits to be told to go on. */
export async function pause(at) {
  console.log(JSON.stringify({ pause: at }));
  await lines.next();
}

/** What an object has, and of which type. */
export function shape(object) {
  if (object === null || typeof object !== 'object') return typeOf(object);
  return Object.fromEntries(Object.keys(object).sort().map((key) => [key, typeOf(object[key])]));
}

function typeOf(value) {
  if (value === null || value === undefined) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** How a promise that should fail does. */
export function failure(promise, tell) {
  return outcome(promise.then(() => 'no failure'), tell);
}

/** What a promise gives, or how it fails: not every chain knows finality. */
export async function outcome(promise, tell) {
  try {
    return await promise;
  } catch (error) {
    return tell(error);
  }
}

export async function until(what, probe, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Heads as a subscriber got them: `{ number, hash, parentHash }`, or numbers alone. Each block once, none left out. */
export function heads(seen) {
  const numbers = seen.map((h) => Number(h.number));
  const twice = numbers.length - new Set(seen.map((h) => h.hash ?? Number(h.number))).size;
  const known = new Map(seen.filter((h) => h.hash).map((h) => [h.hash, h]));
  let unlinked = 0;
  let gaps = 0;
  for (let i = 1; i < seen.length; i += 1) {
    // A reorganisation goes back to a block that was told of before, never up past one that was not.
    if (numbers[i] > Math.max(...numbers.slice(0, i)) + 1) gaps += 1;
    if (seen[i].hash && !known.has(seen[i].parentHash) && seen[i].parentHash !== seen[0].parentHash) unlinked += 1;
  }
  return { some: seen.length > 3, twice, gaps, unlinked };
}

/** Runs a flow: `http URL, ws URL, lab directory` are its arguments. Its own failure is the last line of the transcript. */
export async function run(flow) {
  const [http, ws, lab] = process.argv.slice(2);
  try {
    await flow({ http, ws, lab });
    step('end', 'whole');
  } catch (error) {
    step('end', `broken off: ${String(error.stack ?? error).slice(0, 1500)}`);
  }
  process.exit(0);
}
