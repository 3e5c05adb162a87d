// bench/mocknode's chain, once more: what each block's hash is, and what each read answers at each block.

const M64 = (1n << 64n) - 1n;
const GOLDEN = 0x9e3779b97f4a7c15n;
const MIX = 0xbf58476d1ce4e5b9n;
const FORK = 0xd1b54a32d192ed03n;
const PRIME = 0x100000001b3n;
const EPOCH_MS = 1_700_000_000_000;

export const BLOCK_MS = 1000;
export const SAFE_BEHIND = 8;
export const FINALIZED_BEHIND = 16;

/** The honest head at a time of the wall clock, in milliseconds. */
export function headAt(wallMs) {
  return Math.floor((wallMs - EPOCH_MS) / BLOCK_MS);
}

export function hex(n) {
  return `0x${n.toString(16)}`;
}

/** The hash of block `n`, on the common chain or where `fork` is a fork's number on that fork. */
export function hashOf(n, fork = 0) {
  let h = hash64(n, fork);
  let out = '0x';
  for (let i = 0; i < 4; i += 1) {
    h = ((h ^ (h >> 31n)) * MIX) & M64;
    out += h.toString(16).padStart(16, '0');
  }
  return out;
}

/** The block `n`, as far as it is checked, on the common chain or on one of the forks. */
export function isBlock(block, n, forks = [0]) {
  const has = (hash, at) => forks.some((fork) => hash === hashOf(at, fork));
  return block?.number === hex(n) && has(block.hash, n) && has(block.parentHash, n - 1);
}

/** What a state read of `method` answers at block `n`; `subject` is its parameters without the block. */
export function stateAt(n, method, subject, fork = 0) {
  let d = digest(hash64(n, fork), method);
  for (const param of subject) d = digest(d, JSON.stringify(param)); // keys are already in order
  return `0x${d.toString(16).padStart(16, '0')}`;
}

/** Whether `logs` is exactly the one log of each block from `from` to `to`. */
export function areLogs(logs, from, to, forks = [0]) {
  return Array.isArray(logs) && logs.length === to - from + 1 && logs.every((log, i) => isLog(log, from + i, forks));
}

/** The one log of block `n`. */
export function isLog(log, n, forks = [0]) {
  return log?.blockNumber === hex(n) && forks.some((fork) => log.blockHash === hashOf(n, fork));
}

function hash64(n, fork = 0) {
  return ((BigInt(n) * GOLDEN) & M64) ^ ((BigInt(fork) * FORK) & M64);
}

function digest(seed, text) {
  let h = seed ^ GOLDEN;
  for (let i = 0; i < text.length; i += 1) h = ((h ^ BigInt(text.charCodeAt(i))) * PRIME) & M64;
  return ((h ^ (h >> 29n)) * MIX) & M64;
}
