// Every query of the dashboard and every metric of the alerts: known to the daemon, and understood by Prometheus.
//   node check-queries.mjs METRICS.txt    prints each query on a line, for `promtool check`; exits 1 if a metric is unknown
import { readFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
const known = new Set([...readFileSync(file, 'utf8').matchAll(/^# TYPE (\S+)/gm)].map((m) => m[1]));
const dashboard = JSON.parse(readFileSync('packaging/grafana/seawall.json', 'utf8'));
const queries = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((target) => target.expr));
const alerts = readFileSync('packaging/prometheus/alerts.yml', 'utf8').split('\n').filter((line) => line.includes('expr:'));
const unknown = new Set();
for (const text of [...queries, ...alerts, ...dashboard.templating.list.map((v) => v.query ?? '')]) {
  for (const [name] of text.matchAll(/\b(?:seawall|process)_[a-z_]+\b/g)) if (!known.has(name)) unknown.add(name);
}
if (unknown.size > 0) {
  console.error(`unknown metrics: ${[...unknown].join(', ')}`);
  process.exit(1);
}
console.log('groups:\n  - name: dashboard\n    rules:');
for (const [i, query] of queries.entries()) console.log(`      - record: query:${i}\n        expr: ${JSON.stringify(query.replaceAll('$pool', '.*').replaceAll('$job', '.*'))}`);
