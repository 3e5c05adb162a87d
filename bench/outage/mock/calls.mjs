// The calls of the mixed load: each with the test that tells a right answer from a wrong one. A test is given
// the window `lo..=hi` of blocks that a read at `latest` may have seen, and the forks that may be told of (0 is none).

import { FINALIZED_BEHIND, SAFE_BEHIND, areLogs, hashOf, hex, isBlock, stateAt } from './digest.mjs';

/**
 * How much older than a `latest` one a `safe` or `finalized` answer may be: a block that was final a moment ago
 * still is, and these heads are followed less often.
 */
const FINALITY_LATE = 2;
const TAGS = [
  [6, ['latest', 0, 0]], [1, ['safe', SAFE_BEHIND, FINALITY_LATE]], [1, ['finalized', FINALIZED_BEHIND, FINALITY_LATE]],
];
const DEEP = 100;

const TRUE_CHAIN = [0];

const some = ({ lo, hi, forks = TRUE_CHAIN }, test, late = 0) => {
  for (let n = hi; n >= lo - late; n -= 1) if (forks.some((fork) => test(n, fork))) return true;
  return false;
};

const onSome = ({ forks = TRUE_CHAIN }, test) => forks.some(test);

/** A state read's method and its parameters without the block. */
const SUBJECTS = [
  [4, (rng) => ['eth_getBalance', [`0x${rng.hex(40)}`]]],
  [1, (rng) => ['eth_getTransactionCount', [`0x${rng.hex(40)}`]]],
  [1, (rng) => ['eth_getCode', [`0x${rng.hex(40)}`]]],
  [1, (rng) => ['eth_getStorageAt', [`0x${rng.hex(40)}`, hex(rng.below(9))]]],
  [3, (rng) => ['eth_call', [{ data: `0x${rng.hex(72)}`, to: `0x${rng.hex(40)}` }]]],
];

const stateTag = (rng) => {
  const [method, subject] = rng.weighted(SUBJECTS)(rng);
  const [tag, behind, late] = rng.weighted(TAGS);
  return {
    kind: `state-${tag}`, method, params: [...subject, tag],
    right: (r, w) => some(w, (n, fork) => r === stateAt(n - behind, method, subject, fork), late),
  };
};

const stateBare = (rng) => {
  const subject = [`0x${rng.hex(40)}`];
  return {
    kind: 'state-untagged', method: 'eth_getBalance', params: subject,
    right: (r, w) => some(w, (n, fork) => r === stateAt(n, 'eth_getBalance', subject, fork)),
  };
};

const stateAtNumber = (rng, view) => {
  const [method, subject] = rng.weighted(SUBJECTS)(rng);
  const n = view.told - rng.below(DEEP) * rng.below(2);
  return { kind: 'state-number', method, params: [...subject, hex(n)], right: (r, w) => onSome(w, (fork) => r === stateAt(n, method, subject, fork)) };
};

const stateAtHash = (rng, view) => {
  const [method, subject] = rng.weighted(SUBJECTS)(rng);
  const n = view.told - rng.below(DEEP) * rng.below(2);
  return {
    kind: 'state-hash', method, params: [...subject, { blockHash: hashOf(n) }],
    right: (r) => r === stateAt(n, method, subject),
  };
};

const number = () => ({
  kind: 'number', method: 'eth_blockNumber', params: [],
  right: (r, w) => some(w, (n) => r === hex(n)), tells: (r) => Number(r),
});

const blockTag = (rng) => {
  const [tag, behind, late] = rng.weighted(TAGS);
  return {
    kind: `block-${tag}`, method: 'eth_getBlockByNumber', params: [tag, false],
    right: (r, w) => some(w, (n) => isBlock(r, n - behind, w.forks), late),
    tells: tag === 'latest' ? (r) => Number(r?.number) : undefined,
  };
};

const blockNumber = (rng, view) => {
  const n = view.told - rng.below(DEEP) * rng.below(2);
  return { kind: 'block-number', method: 'eth_getBlockByNumber', params: [hex(n), false], right: (r, w) => isBlock(r, n, w.forks) };
};

const blockHash = (rng, view) => {
  const n = view.told - rng.below(DEEP) * rng.below(2);
  return { kind: 'block-hash', method: 'eth_getBlockByHash', params: [hashOf(n), false], right: (r) => isBlock(r, n) };
};

const logsLatest = (rng, view) => {
  const from = view.told - rng.below(12);
  return {
    kind: 'logs-latest', method: 'eth_getLogs', params: [{ fromBlock: hex(from), toBlock: 'latest' }],
    right: (r, w) => some(w, (n) => areLogs(r, from, n, w.forks)),
  };
};

const logsRange = (rng, view) => {
  const to = view.told - rng.below(4);
  const from = to - rng.below(20);
  return {
    kind: 'logs-range', method: 'eth_getLogs', params: [{ fromBlock: hex(from), toBlock: hex(to) }],
    right: (r, w) => areLogs(r, from, to, w.forks),
  };
};

/** The receipt of a transaction accepted long enough ago to be mined for sure. */
const receipt = (rng, view) => {
  const old = view.accepted.filter((t) => t.settled <= view.told);
  if (old.length === 0) return number(rng, view);
  const { hash } = old[rng.below(old.length)];
  return {
    kind: 'receipt', method: 'eth_getTransactionReceipt', params: [hash],
    right: (r, w) => r?.transactionHash === hash
      && onSome(w, (fork) => r.blockHash === hashOf(Number(r.blockNumber), fork)),
  };
};

const chainId = () => ({ kind: 'chain-id', method: 'eth_chainId', params: [], right: (r) => r === '0x1' });

export const CALLS = [
  [28, stateTag], [4, stateBare], [8, stateAtNumber], [8, stateAtHash], [14, number], [10, blockTag],
  [6, blockNumber], [6, blockHash], [6, logsLatest], [5, logsRange], [4, receipt], [1, chainId],
];
