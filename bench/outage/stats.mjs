// Percentiles, and a small generator of repeatable randomness.

/** Percentiles of latencies in milliseconds, from unsorted numbers. */
export function summary(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (q) => (sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)]);
  const round = (x) => Math.round(x * 100) / 100;
  return { p50: round(at(0.5)), p99: round(at(0.99)), p999: round(at(0.999)), slowest: round(at(1)) };
}

/** xorshift32: the same load for the same seed. */
export function random(seed) {
  let state = seed >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return {
    below: (n) => Math.floor(next() * n),
    hex: (digits) => Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join(''),
    /** One of `[[weight, value], …]`. */
    weighted: (choices) => {
      let left = next() * choices.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, value] of choices) if ((left -= weight) < 0) return value;
      return choices[choices.length - 1][1];
    },
  };
}
