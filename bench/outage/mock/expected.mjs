// The modes of bench/mocknode, and the causes (crates/model/src/cause.rs) that name each rightly.

export const EXPECTED = {
  hang: ['hang', 'timeout'],
  reset: ['reset'],
  http500: ['http_status'],
  http429: ['rate_limited'],
  error200: ['unwell'],
  ratelimit200: ['rate_limited'],
  garbage: ['malformed'],
  empty: ['malformed'],
  // The node declares a length, sends half of it and leaves the connection open: short or silent, both are true.
  partial: ['truncated', 'hang', 'timeout'],
  wrongid: ['wrong_id'],
  'slow:400': ['slow'],
  stale: ['stalled', 'lagging'],
  'lag:5': ['lagging'],
  'ahead:5': ['ahead'],
  'fork:3': ['forked'],
  wrongchain: ['wrong_chain'],
  nulls: ['missing'],
  nologs: ['missing'],
  accepted502: ['http_status'],
};
