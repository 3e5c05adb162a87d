// What a run found, for people to read.

const EXAMPLES_SHOWN = 16;
const EXAMPLE_WIDTH = 600;
const PRINTERS = { chain, modes, matrix, clients, netns, trouble, upgrade, roles, venue, hostile, idle };

export function printReport(name, result) {
  console.log(`\n== ${name}`);
  PRINTERS[name](result);
  for (const example of (result.examples ?? []).slice(0, EXAMPLES_SHOWN)) {
    console.log(`  e.g. ${JSON.stringify(example).slice(0, EXAMPLE_WIDTH)}`);
  }
  console.log(result.missed.length === 0 ? `${name}: every bar held` : result.missed.map((m) => `${name}: MISSED: ${m}`).join('\n'));
}

function chain(r) {
  console.log(`requests ${r.requests}   failed ${r.failed}   wrong ${r.wrong}   backwards ${r.backwards}`);
  console.log(`latency ms, from the time each request was due: ${percentiles(r.latency_ms)}   slowest read ${r.slowest_read_ms}`);
  console.log(`schedule lag ms: ${percentiles(r.schedule_lag_ms)}`);
  const w = r.writes;
  console.log(`transactions: sent ${w.sent}   reported ${w.reported}   mined once ${w.mined}   duplicated ${w.duplicated}   nonces ${w.nonces}`);
  if (r.seawall) console.log(`seawall: ${Object.entries(r.seawall).map(([k, v]) => `${k} ${v}`).join('   ')}`);
  table(Object.entries(r.by_kind).map(([kind, v]) => ({ kind, ...v })));
  table(r.faults);
}

function modes(r) {
  table(r.modes);
}

/** Markdown: a row for each mode and number of nodes, a column for each kind of request. */
function matrix(r) {
  const kinds = [...new Set(r.matrix.map((c) => c.kind))];
  const line = (cells) => console.log(`| ${cells.join(' | ')} |`);
  line(['mode', 'nodes', 'bar', ...kinds]);
  line(Array(3 + kinds.length).fill('---'));
  const rows = new Map();
  for (const cell of r.matrix) {
    const key = `${cell.mode} ${cell.nodes}`;
    if (!rows.has(key)) rows.set(key, [cell.mode, cell.nodes, cell.bar]);
    rows.get(key).push(matrixCell(cell));
  }
  for (const row of rows.values()) line(row);
  console.log('bar: what is asked of the row. n: n requests, all answered rightly; else how many were not, and how.');
}

function matrixCell({ requests, failed, wrong, backwards, refused, instead, holds, told }) {
  const counts = Object.entries({ failed, wrong, backwards, refused, [told]: instead }).filter(([, n]) => n > 0);
  const text = counts.map(([what, n]) => `${n} ${what}`).join(', ');
  if (text === '') return String(requests);
  return holds ? `${requests}: ${text}` : `${requests}: **${text}**`;
}

function clients(r) {
  table(r.clients);
}

function netns(r) {
  console.log(`requests ${r.requests}   failed ${r.failed}   wrong ${r.wrong}   backwards ${r.backwards}   transactions sent ${r.sent}`);
  console.log(`latency ms, from the time each request was due: ${percentiles(r.latency_ms)}`);
  console.log(`schedule lag ms: ${percentiles(r.schedule_lag_ms)}`);
  table(r.faults);
}

function trouble(r) {
  table(r.troubles);
}

function upgrade({ upgraded: u, one_of_two_killed: k }) {
  console.log(`${u.upgrades} upgrades at ${u.rate}/s: ${u.requests} requests, ${u.failed} failed, ${u.refused_streams} streams refused and sent again, slowest ${u.slowest_ms} ms`);
  console.log(`a subscriber: ${u.heads} heads, ${u.left_out} left out, subscribed again ${u.resubscribed} times`);
  console.log(`journal: ${u.journal}`);
  console.log(`one of two gateways killed at ${k.rate}/s: ${k.requests} requests, ${k.failed} failed that it had, ${k.failed_later} later`);
}

function roles({ missed: _, examples: __, ...figures }) {
  table([figures]);
}

function venue({ venue: counts, first_dead: dead, ways }) {
  table(Object.entries(ways).map(([way, told]) => ({ way, ...told })));
  console.log(`venue: ${counts.writes} writes, ${counts.faults} faults, ${counts.late} of them with a late effect, ${counts.without_effect} without any; ${counts.reads} look-ups, ${counts.failed_reads} failed`);
  table(Object.entries(dead).map(([how, figures]) => ({ first_address: how, ...figures })));
}

function hostile(r) {
  table(r.attacks);
  table([r.honest]);
}

function idle(r) {
  const { missed: _, ...figures } = r;
  table([figures]);
}

function percentiles({ p50, p99, p999, slowest }) {
  return `p50 ${p50}  p99 ${p99}  p99.9 ${p999}  slowest ${slowest}`;
}

/** Rows of like objects, in columns. */
function table(rows) {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0]);
  const cells = [columns, ...rows.map((row) => columns.map((c) => text(row[c])))];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i].length)));
  for (const row of cells) console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i])).join('  ')}`.trimEnd());
}

function text(value) {
  if (Array.isArray(value)) return value.join(',') || '-';
  return value === null || value === undefined ? '-' : String(value);
}
