// Five times as much as an upstream can do, in an open loop: what becomes of the critical and of the rest.

import { Agent, request } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { now, openLoop, sleep, until } from '../outage/clock.mjs';
import { Lab } from '../outage/lab.mjs';
import { Stage, freePorts } from '../outage/stage.mjs';
import { summary } from '../outage/stats.mjs';

const HELP = `Usage: bench/overload/run [OPTIONS]

Seawall in front of one upstream that serves only so many requests at a time. An open-loop load offers the critical at a
fifth of the upstream's capacity, and the rest at rates around it to find their peak, and then at five times the capacity
in all. Latency counts from when a request was due.

Bars: critical success >= 99.9 % and p99 <= 2 x unloaded + 10 ms; goodput of the rest >= 80 % of its peak;
resident memory grows by <= 64 MiB.

Options
  --servers N      requests that the upstream serves at a time (8)
  --service MS     time it takes over each (40)
  --seconds N      length of each stretch (15)
  --times N        offered load in all, in capacities (5)
  --seawall PATH   the binary (target/release/seawall)
  --direct         without Seawall, straight to the upstream (shows that the bench can fail)
  --json           print the result as JSON

Exit codes: 0 every bar held; 1 a bar was missed; 2 the run could not be made.`;

const OPTIONS = {
  servers: { type: 'string', default: '8' }, service: { type: 'string', default: '40' },
  seconds: { type: 'string', default: '15' }, times: { type: 'string', default: '5' },
  seawall: { type: 'string' }, direct: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' },
};
const CRITICAL = { method: 'POST', path: '/api/orders/7/cancel' };
const REST = { method: 'GET', path: '/api/quotes/7' };
/** A client of this bench gives up after this long. */
const PATIENCE_MS = 2_000;
const GROWTH_KIB = 64 * 1024;

export async function main(argv) {
  let code = 2;
  const stage = new Stage({});
  try {
    const { values } = parseArgs({ args: argv, options: OPTIONS });
    if (values.help) {
      console.log(HELP);
      code = 0;
    } else {
      code = await run(stage, values);
    }
  } catch (error) {
    console.error(`overload: ${error.stack ?? error}`);
  } finally {
    stage.end();
  }
  process.exit(code);
}

async function run(stage, settings) {
  const [servers, serviceMs, seconds, times] = [settings.servers, settings.service, settings.seconds, settings.times].map(Number);
  const capacity = (servers * 1000) / serviceMs;
  const critical = capacity / 5;
  const [venue, gateway, admin] = await freePorts(3);
  const script = fileURLToPath(new URL('venue.mjs', import.meta.url));
  stage.start('venue', process.execPath, [script, venue, servers, serviceMs].map(String));
  const seawall = settings.direct ? undefined : await start(stage, new Lab(settings), { venue, gateway, admin });
  const port = settings.direct ? venue : gateway;
  await until('an answer', 10_000, async () => (await once(port, REST, now())).ok);

  const stretch = async (name, rest) => {
    const result = await offer(port, { critical, rest, seconds });
    say(name, rest, result);
    return result;
  };
  const unloaded = await stretch('unloaded', 0);
  let peak = 0;
  for (const share of [0.6, 0.8, 1.2]) {
    peak = Math.max(peak, (await stretch(`rest at ${share}`, capacity * share)).rest.goodput);
  }
  const before = seawall ? residentKib(seawall) : 0;
  const loaded = await stretch(`${times} times`, capacity * times - critical);
  const grown = seawall ? residentKib(seawall) - before : 0;

  const bars = [
    ['critical success', loaded.critical.success, '>=', 0.999],
    ['critical p99 ms', loaded.critical.p99, '<=', Math.round((2 * unloaded.critical.p99 + 10) * 10) / 10],
    ['goodput of the rest / peak', Math.round((1000 * loaded.rest.goodput) / peak) / 1000, '>=', 0.8],
    ['memory grown KiB', grown, '<=', GROWTH_KIB],
  ];
  const holds = ([, found, sign, bar]) => (sign === '>=' ? found >= bar : found <= bar);
  for (const bar of bars) console.error(`${holds(bar) ? 'held  ' : 'MISSED'} ${bar.slice(0, 4).join(' ')}`);
  if (settings.json) console.log(JSON.stringify({ capacity, unloaded, peak, loaded, bars }, null, 2));
  return bars.every(holds) ? 0 : 1;
}

function say(name, rest, { critical: c, rest: r, lag }) {
  console.error(
    `${name.padEnd(12)} rest offered ${Math.round(rest)}/s: served ${Math.round(r.goodput)}/s, p99 ${r.p99} ms, told to wait ${r.told}, lost ${r.lost}` +
      ` | critical ${(100 * c.success).toFixed(2)} % of ${c.sent}, p50 ${c.p50} p99 ${c.p99} slowest ${c.slowest} ms | lag p99 ${lag.p99} ms`,
  );
}

async function start(stage, lab, { venue, gateway, admin }) {
  const file = join(stage.subdir('seawall'), 'seawall.toml');
  writeFileSync(file, `
[estate]
name = "overload"
[listen]
gateway = "127.0.0.1:${gateway}"
admin = "127.0.0.1:${admin}"
workers = 1
[log]
level = "warn"
[providers.venue]
[pools.api]
kind = "http"
[pools.api.admission]
critical = ["POST /orders/*/cancel"]
[[pools.api.upstreams]]
name = "venue"
url = "http://127.0.0.1:${venue}"
provider = "venue"
`);
  const child = stage.start('seawall', lab.seawall, ['run', file]);
  await until('Seawall', 10_000, async () => (await once(gateway, REST, now())).ok).catch((error) => {
    throw new Error(`${error.message}\n${readFileSync(child.log, 'utf8')}`);
  });
  return child;
}

function residentKib(child) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]);
}

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

/** One exchange: whether it was answered well, how long after it was due, and the status. */
function once(port, { method, path }, due) {
  return new Promise((resolve) => {
    const done = (status) => resolve({ ok: status === 200, status, ms: now() - due });
    const req = request({ host: '127.0.0.1', port, method, path, agent, timeout: PATIENCE_MS }, (res) => {
      res.resume();
      res.on('end', () => done(res.statusCode));
      res.on('error', () => done(0));
    });
    req.on('timeout', () => req.destroy(new Error('too late')));
    req.on('error', () => done(0));
    req.end();
  });
}

/** Offers both kinds for a while; the first fifth is left out of account. */
async function offer(port, { critical, rest, seconds }) {
  const startAt = now() + 20;
  const from = startAt + (seconds * 1000) / 5;
  const load = async (what, rate) => {
    const all = [];
    if (rate === 0) return { all, lags: [] };
    const fire = (_, due) => all.push(once(port, what, due).then((answer) => ({ ...answer, due })));
    const lags = await openLoop({ rate, seconds, startAt, fire });
    return { all: (await Promise.all(all)).filter((a) => a.due >= from), lags };
  };
  const [c, r] = await Promise.all([load(CRITICAL, critical), load(REST, rest)]);
  await sleep(500);
  const figures = ({ all }) => {
    const good = all.filter((a) => a.ok && a.ms <= PATIENCE_MS);
    const { p50, p99, slowest } = summary(good.map((a) => a.ms));
    const told = all.filter((a) => a.status === 503 || a.status === 429).length;
    return {
      sent: all.length, success: all.length === 0 ? 1 : good.length / all.length,
      goodput: good.length / (seconds * 0.8), told, lost: all.length - good.length - told, p50, p99, slowest,
    };
  };
  return { critical: figures(c), rest: figures(r), lag: summary([...c.lags, ...r.lags]) };
}
