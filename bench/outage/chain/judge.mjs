// Every answer against the chain's own history, and the bars.

import { summary } from '../stats.mjs';
import { isRight } from './reads.mjs';

/** Blocks that a read at `latest` may be behind the head at the time it was sent. */
const BEHIND = 2;
const P99_BAR_MS = 300;
const SLOWEST_BAR_MS = 2500;
const EXAMPLES = 12;

export function judge({ entries, lags, heads, truth, faults, writes, startAt }) {
  const all = entries.flat();
  const reads = all.filter((e) => e.kind !== 'send');
  const minedIn = new Map();
  for (const block of truth.blocks.values()) for (const hash of block.transactions) minedIn.set(hash, block.hash);

  const failed = all.filter((e) => e.error !== undefined);
  const wrong = reads.filter((e) => e.error === undefined && !isRight(e.kind, e.answer, {
    asked: e.asked, lo: heads.surely(e.sent) - BEHIND, hi: heads.possibly(e.done), history: truth, minedIn,
  }));
  const backwards = entries.flatMap(wentBackwards);
  const late = (list) => list.map((e) => e.done - e.due);
  const result = {
    requests: all.length,
    failed: failed.length,
    wrong: wrong.length,
    backwards: backwards.length,
    latency_ms: summary(late(all)),
    slowest_read_ms: summary(late(reads)).slowest,
    schedule_lag_ms: summary(lags),
    writes,
    faults: windows(all, faults, startAt),
    by_kind: byKind(all),
    examples: distinct([...failed.map((e) => example(e, e.error)), ...[...wrong, ...backwards].map((e) => example(e, e.answer))]),
  };
  function example(e, got) {
    const window = { lo: heads.surely(e.sent) - BEHIND, hi: heads.possibly(e.done) };
    return { kind: e.kind, at_s: Math.round(e.sent - startAt) / 1000, took_ms: Math.round(e.done - e.sent), got, asked: e.asked, ...window };
  }
  result.missed = bars(result);
  return result;
}

/** The first of each kind and text, digits aside. */
function distinct(examples) {
  const first = new Map();
  for (const e of examples) {
    const key = `${e.kind} ${JSON.stringify(e.got)}`.replace(/[0-9a-f]*\d[0-9a-f]*/g, '#');
    if (first.size < EXAMPLES && !first.has(key)) first.set(key, e);
  }
  return [...first.values()];
}

function bars(r) {
  const missed = [];
  const bar = (holds, text) => holds || missed.push(text);
  bar(r.failed === 0, `failed ${r.failed}, not 0`);
  bar(r.wrong === 0, `wrong ${r.wrong}, not 0`);
  bar(r.backwards === 0, `block numbers went backwards ${r.backwards} times`);
  bar(r.latency_ms.p99 <= P99_BAR_MS, `p99 ${r.latency_ms.p99} ms, over ${P99_BAR_MS} ms`);
  bar(r.slowest_read_ms <= SLOWEST_BAR_MS, `slowest read ${r.slowest_read_ms} ms, over ${SLOWEST_BAR_MS} ms`);
  const w = r.writes;
  bar(w.reported === w.sent, `${w.sent - w.reported} of ${w.sent} transactions not reported as accepted once`);
  bar(w.mined === w.sent, `${w.sent - w.mined} of ${w.sent} transactions not mined exactly once`);
  bar(w.duplicated === 0 && w.reverted === 0 && w.nonces === 'as expected', `transactions: ${JSON.stringify(w)}`);
  return missed;
}

/** Answers of one client that tell an older block than one it had already been told before it asked. */
function wentBackwards(entries) {
  const told = entries.filter((e) => e.error === undefined && (e.kind === 'number' || e.kind === 'latest'))
    .map((e) => ({ ...e, number: e.kind === 'number' ? e.answer : (e.answer?.number ?? -1) }));
  const byDone = [...told].sort((x, y) => x.done - y.done);
  let highest = -1;
  let i = 0;
  return [...told].sort((x, y) => x.sent - y.sent).filter((e) => {
    for (; i < byDone.length && byDone[i].done < e.sent; i += 1) highest = Math.max(highest, byDone[i].number);
    return e.number < highest;
  });
}

/** The run cut at the faults: what each cost. */
function windows(all, faults, startAt) {
  const starts = [{ at: startAt, what: 'quiet' }, ...faults];
  return starts.map(({ at, what }, i) => {
    const end = starts[i + 1]?.at ?? Infinity;
    const within = all.filter((e) => e.due >= at && e.due < end);
    const { p50, p99, slowest } = summary(within.map((e) => e.done - e.due));
    const failed = within.filter((e) => e.error !== undefined).length;
    return { at_s: Math.round((at - startAt) / 1000), what, requests: within.length, failed, p50, p99, slowest };
  });
}

function byKind(all) {
  const kinds = {};
  for (const e of all) (kinds[e.kind] ??= []).push(e.done - e.due);
  return Object.fromEntries(Object.entries(kinds).sort().map(([kind, v]) => [kind, { requests: v.length, ...summary(v) }]));
}
