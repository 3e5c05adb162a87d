// The cells of the matrix: who misbehaves and how, and what may be said then.

/** Faults that show by themselves: one honest node is enough, whatever the others do. */
const EVIDENT = [
  'hang', 'reset', 'http500', 'http429', 'garbage', 'empty', 'partial', 'slow:400', 'error200', 'ratelimit200',
  'wrongid', 'wrongchain', 'accepted502',
];

/** The last head that was supported, however old it has become. */
const LAST_HEAD = { name: 'last head', older: Infinity };
const AS_MOST_SAY = { name: 'as most say' };

/**
 * Lies: another answer than the truth; and what clients may be told where half of the vote or more lies alike, which
 * nobody in front of them can tell from the truth: the last head, blocks that `latest` is older or newer by than the
 * true head, the fork, and the kinds of calls to which nothing is answered; and for how many blocks that goes on when
 * they have ended.
 */
const LIES = {
  'lag:5': LAST_HEAD,
  stale: LAST_HEAD,
  'ahead:5': { ...AS_MOST_SAY, newer: 5, after: 5 },
  'fork:3': { ...AS_MOST_SAY, older: 5, forks: [0, 3], nothing: ['block-hash', 'state-hash', 'receipt'] },
  nulls: { ...AS_MOST_SAY, nothing: ['receipt'] },
  nologs: { ...AS_MOST_SAY, nothing: ['logs-latest', 'logs-range'] },
};

const THREE = ['ann', 'bob', 'cyd'];
/** Two upstreams of one provider, which lie alike, against two others. */
const TWO_OF_ANN = ['ann', 'ann', 'bob', 'cyd'];
const ALL_MODES = [...EVIDENT, ...Object.keys(LIES)];
const SMOKE = ['hang 2/3', 'partial 2/3', 'accepted502 3/3', 'lag:5 1/3', 'nulls 1/3', 'fork:3 ann twice'];

/** Every cell, or those of the modes or names in `only`. */
export function cells({ only, smoke }) {
  const all = ALL_MODES.flatMap((mode, m) => [
    ...[1, 2, 3].map((count) => cell(mode, `${count}/3`, THREE, count, m)),
    ...(Object.hasOwn(LIES, mode) ? [cell(mode, 'ann twice', TWO_OF_ANN, 2, 0)] : []),
  ]);
  const wanted = only ?? (smoke ? SMOKE : null);
  if (wanted === null) return all;
  const unknown = wanted.filter((w) => !all.some((c) => c.mode === w || c.name === w));
  if (unknown.length > 0) throw new Error(`no cell ${unknown.join(', ')}; there are ${all.map((c) => c.name).join(', ')}`);
  return all.filter((c) => wanted.includes(c.mode) || wanted.includes(c.name));
}

function cell(mode, nodes, owners, count, first) {
  const bad = Array.from({ length: count }, (_, i) => (first + i) % owners.length);
  const liars = new Set(bad.map((i) => owners[i])).size;
  const providers = new Set(owners).size;
  const lie = LIES[mode];
  const must = lie ? liars * 2 < providers : count < owners.length;
  return {
    name: `${mode} ${nodes}`, mode, nodes, owners, bad,
    /** Nobody may notice. */
    must,
    /** What may be told instead of the truth. */
    instead: must ? null : (lie ?? LAST_HEAD),
  };
}
