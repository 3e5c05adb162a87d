// Seawall's own troubles, one after another, each under load and each against a quiet run of the same process
// just before: nobody may fail, and the 99th percentile may not move.

import { now, sleep } from '../clock.mjs';
import { startSeawall } from '../seawall.mjs';
import { summary } from '../stats.mjs';
import { CHAIN_ID, Nodes, load } from '../mock/nodes.mjs';
import { diskFull } from './disk.mjs';
import { fsyncStalled } from './fsync.mjs';
import { reloads } from './reloads.mjs';
import { stderrUnread } from './stderr.mjs';

/**
 * Each gives `prepare(context)`: options for the start, and what to do for how long; `during(seawall, seconds)`
 * and `after(seawall)` give the evidence that the trouble was really there and is over.
 */
const TROUBLES = { reloads, 'disk-full': diskFull, 'fsync-stalled': fsyncStalled, 'stderr-unread': stderrUnread };

const QUIET_S = 30;
const START_IN_MS = 500;
const CORDON_MS = 1000;
const WRITES_A_SECOND = 2;
/** Unchanged means: not beyond this, which two quiet runs on a busy machine differ by. */
const P99_RATIO_BAR = 1.5;
const P99_SLACK_MS = 2;

export async function trouble({ lab, stage, settings, say }) {
  const rate = settings.rate ?? (settings.smoke ? 200 : 500);
  const seconds = settings.seconds ?? (settings.smoke ? 6 : 60);
  const names = settings.only ?? Object.keys(TROUBLES);
  const unknown = names.filter((name) => !Object.hasOwn(TROUBLES, name));
  if (unknown.length > 0) throw new Error(`no trouble ${unknown.join(', ')}; there are ${Object.keys(TROUBLES).join(', ')}`);
  const nodes = new Nodes();
  await nodes.start({ lab, stage });
  const result = { troubles: [], examples: [], missed: [] };
  for (const name of names) {
    const row = await oneTrouble({ lab, stage, nodes, name, rate, seconds });
    result.examples.push(...row.examples.map((e) => ({ trouble: name, ...e })));
    result.troubles.push(row.figures);
    result.missed.push(...missed(row.figures));
    say(`trouble: ${JSON.stringify(row.figures)}`);
  }
  nodes.close();
  return result;
}

async function oneTrouble({ lab, stage, nodes, name, rate, seconds }) {
  const plan = TROUBLES[name]({ stage, dir: stage.subdir(name) });
  const seawall = await startSeawall({ lab, stage }, { name, chainId: CHAIN_ID, upstreams: nodes.upstreams, ...plan.options });
  const run = async (length, during) => {
    const startAt = now() + START_IN_MS;
    const loading = load(lab, { url: seawall.url, rate, seconds: length, startAt, seed: 15485863, writesPerSecond: WRITES_A_SECOND });
    await sleep(START_IN_MS);
    const [evidence, unanswered] = await Promise.all([during(length), cordons(seawall, length)]);
    return { ...(await loading.found), evidence, unanswered };
  };
  const quiet = await run(Math.min(seconds, QUIET_S), async () => '');
  const troubled = await run(seconds, (length) => plan.during(seawall, length));
  const evidence = [troubled.evidence, await plan.after(seawall)].filter(Boolean);
  const { ok, said } = await seawall.verify();
  const [before, during] = [summary(quiet.latencies), summary(troubled.latencies)];
  const figures = {
    trouble: name, requests: troubled.requests, failed: quiet.failed + troubled.failed, wrong: quiet.wrong + troubled.wrong,
    backwards: quiet.backwards + troubled.backwards,
    p50: during.p50, p99: during.p99, slowest: during.slowest, quiet_p99: before.p99, quiet_slowest: before.slowest,
    ratio: Math.round((during.p99 / before.p99) * 100) / 100, lag_p99: summary(troubled.lags).p99,
    happened: evidence.every((e) => e.ok), admin_unanswered: quiet.unanswered + troubled.unanswered, journal_verifies: ok,
    evidence: evidence.map((e) => e.said).join('; ') + (ok ? '' : `; ${said}`),
    stopped: await seawall.stop(),
  };
  return { figures, examples: [...quiet.examples, ...troubled.examples] };
}

/**
 * Makes records: an upstream is taken out of service and put back, again and again, in the quiet run too. How
 * often the admin listener did not answer: it has its own end to keep up, whatever the disk does.
 */
async function cordons(seawall, seconds) {
  const end = now() + seconds * 1000;
  let unanswered = 0;
  const ask = (word) => seawall.cordon('b', word).catch(() => (unanswered += 1));
  for (let i = 0; now() < end; i += 1) {
    await ask(i % 2 === 0 ? 'cordon' : 'uncordon');
    await sleep(CORDON_MS);
  }
  await ask('uncordon');
  return unanswered;
}

function missed(row) {
  const out = [];
  const bar = (holds, text) => holds || out.push(`${row.trouble}: ${text}`);
  bar(row.failed === 0, `failed ${row.failed}, not 0`);
  bar(row.wrong === 0, `wrong ${row.wrong}, not 0`);
  bar(row.backwards === 0, `block numbers went backwards ${row.backwards} times`);
  bar(row.p99 <= Math.max(row.quiet_p99 * P99_RATIO_BAR, row.quiet_p99 + P99_SLACK_MS), `p99 ${row.p99} ms, ${row.quiet_p99} ms when quiet`);
  bar(row.happened, `not as it should be: ${row.evidence}`);
  bar(row.admin_unanswered === 0, `the admin listener did not answer ${row.admin_unanswered} times`);
  bar(row.journal_verifies, 'the journal does not verify afterwards');
  bar(row.stopped === 'exit 0', `stopped by ${row.stopped}`);
  return out;
}
