// One scripted node of three misbehaves, in each of its modes in turn, under a mixed load whose every answer is
// checked; then whether Seawall named the right node and the right cause.

import { now, sleep, until } from '../clock.mjs';
import { startSeawall } from '../seawall.mjs';
import { summary } from '../stats.mjs';
import { EXPECTED } from './expected.mjs';
import { CHAIN_ID, Nodes, load } from './nodes.mjs';

const BEFORE_S = 1;
const START_IN_MS = 400;
/** Somewhat over the longest that a breaker waits before it lets a call find out (30 s). */
const RECOVERY_S = 40;
/** The load goes on for a while after the last breaker admits again. */
const AFTER_MS = 1000;
const WATCH_MS = 100;
const WRITES_A_SECOND = 4;
const SMOKE = ['hang', 'partial', 'lag:5', 'accepted502'];

export async function modes({ lab, stage, settings, say }) {
  const rate = settings.rate ?? 200;
  const seconds = settings.seconds ?? (settings.smoke ? 5 : 12);
  const names = settings.only ?? (settings.smoke ? SMOKE : Object.keys(EXPECTED));
  const unknown = names.filter((name) => !Object.hasOwn(EXPECTED, name));
  if (unknown.length > 0) throw new Error(`no mode ${unknown.join(', ')}; there are ${Object.keys(EXPECTED).join(', ')}`);
  const nodes = new Nodes();
  await nodes.start({ lab, stage });
  const seawall = settings.direct
    ? null
    : await startSeawall({ lab, stage }, { name: 'modes', chainId: CHAIN_ID, upstreams: nodes.upstreams });
  const result = { modes: [], examples: [], missed: [] };
  for (const [i, mode] of names.entries()) {
    const bad = i % nodes.names.length;
    const row = await oneMode({ lab, nodes, seawall, mode, bad, rate, seconds, seed: 104729 * (i + 1) });
    result.examples.push(...row.examples.map((e) => ({ mode, ...e })));
    result.modes.push(row.figures);
    result.missed.push(...missed(row.figures, seawall !== null));
    say(`modes: ${JSON.stringify(row.figures)}`);
  }
  if (seawall) {
    const { ok, said } = await seawall.verify();
    if (!ok) result.missed.push(`journal does not verify: ${said}`);
    await seawall.stop();
  }
  nodes.close();
  return result;
}

async function oneMode({ lab, nodes, seawall, mode, bad, rate, seconds, seed }) {
  const name = nodes.names[bad];
  const before = seawall ? await causesInMetrics(seawall, name) : new Map();
  const since = Date.now();
  const url = seawall ? seawall.url : nodes.url(bad);
  const length = BEFORE_S + seconds + RECOVERY_S;
  const running = load(lab, { url, rate, seconds: length, startAt: now() + START_IN_MS, seed, writesPerSecond: WRITES_A_SECOND });
  await sleep(START_IN_MS + BEFORE_S * 1000);
  await nodes.behave(bad, mode);
  const watcher = new Watcher(seawall, name, EXPECTED[mode]);
  await sleep(seconds * 1000);
  const seen = await watcher.stop();
  const after = seawall ? await causesInMetrics(seawall, name) : new Map();
  await nodes.behave(bad, 'ok');
  const recovery = seawall ? await recovered(seawall) : { ms: null, standing: [] };
  await sleep(AFTER_MS);
  running.stop();
  const found = await running.found;
  const accepted = await nodes.accepted();
  const lost = found.sent.filter((hash) => !accepted[hash]).length;
  const figures = {
    mode, node: name, requests: found.requests, failed: found.failed, wrong: found.wrong + lost, backwards: found.backwards,
    sent: found.sent.length, ...pick(summary(found.latencies)), lag_p99: summary(found.lags).p99,
    expected: EXPECTED[mode],
    metrics: [...after].filter(([cause, count]) => count > (before.get(cause) ?? 0)).map(([cause]) => cause),
    journal: seawall ? await causesInJournal(seawall, name, since) : [],
    seen_ms: seen.after, others_blamed: [...seen.others], recovered_ms: recovery.ms, not_recovered: recovery.standing,
  };
  return { figures, examples: found.examples };
}

function pick({ p50, p99, slowest }) {
  return { p50, p99, slowest };
}

function missed(row, named) {
  const out = [];
  if (row.failed > 0) out.push(`${row.mode}: failed ${row.failed}, not 0`);
  if (row.wrong > 0) out.push(`${row.mode}: wrong ${row.wrong}, not 0`);
  if (row.backwards > 0) out.push(`${row.mode}: block numbers went backwards ${row.backwards} times`);
  if (!named) return out;
  for (const place of ['metrics', 'journal']) {
    if (!row[place].some((cause) => row.expected.includes(cause))) {
      out.push(`${row.mode}: ${place} names ${row[place].join(', ') || 'nothing'}, not ${row.expected.join(' or ')}`);
    }
  }
  if (row.others_blamed.length > 0) out.push(`${row.mode}: blamed as well: ${row.others_blamed.join(', ')}`);
  if (row.not_recovered.length > 0) out.push(`${row.mode}: not recovered: ${row.not_recovered.join(', ')}`);
  return out;
}

/** Waits, the load going on, until every upstream is served from again; and what stands when the time is up. */
async function recovered(seawall) {
  const start = now();
  let standing = [];
  const well = await until('recovery', (RECOVERY_S - 2) * 1000, async () => {
    standing = (await seawall.pool()).upstreams.flatMap(blame);
    return standing.length === 0;
  }).catch(() => false); // told by what still stands
  return { ms: well ? Math.round(now() - start) : null, standing };
}

/** What stands against an upstream, as `name:cause` or `name:class:cause`. */
function blame(upstream) {
  const fault = upstream.fault ? [upstream.fault] : [];
  const ejected = upstream.breakers.filter((b) => b.state !== 'admitting').map((b) => `${b.class}:${b.cause ?? b.state}`);
  return [...fault, ...ejected].map((cause) => `${upstream.name}:${cause}`);
}

/** How often each cause has been counted for the upstream, in any metric that has both as labels. */
async function causesInMetrics(seawall, name) {
  const counts = new Map();
  for (const { labels, value } of await seawall.metrics()) {
    if (labels.upstream !== name || !labels.cause) continue;
    counts.set(labels.cause, (counts.get(labels.cause) ?? 0) + value);
  }
  return counts;
}

/** The causes that records about the upstream name since a time of the wall clock. */
async function causesInJournal(seawall, name, since) {
  const causes = new Set();
  for (const record of await seawall.records()) {
    const about = String(record.component ?? '');
    if (!about.endsWith(`/${name}`) || Date.parse(record.at) < since || record.at < since) continue;
    for (const [, cause] of JSON.stringify(record).matchAll(/"(?:cause|fault)":"(\w+)"/g)) causes.add(cause);
  }
  return [...causes];
}

/** Looks at `/v1/pools` again and again: when the expected cause first stands against the node, and who else is blamed. */
class Watcher {
  #running = true;
  #done;

  constructor(seawall, name, expected) {
    this.#done = this.#watch(seawall, name, expected);
  }

  stop() {
    this.#running = false;
    return this.#done;
  }

  async #watch(seawall, name, expected) {
    const seen = { after: null, others: new Set() };
    const start = now();
    while (this.#running && seawall) {
      const pool = await seawall.pool();
      for (const upstream of pool.upstreams) {
        const blamed = blame(upstream);
        if (upstream.name !== name) blamed.forEach((b) => seen.others.add(b));
        else if (seen.after === null && blamed.some((b) => expected.includes(b.split(':').at(-1)))) seen.after = Math.round(now() - start);
      }
      await sleep(WATCH_MS);
    }
    return seen;
  }
}
