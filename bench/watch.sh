#!/usr/bin/env bash
# The prober at work in the daemon, its results stored: CPU a check, lag, missed turns, memory, disk; and
# blackbox_exporter beside it.
#
#   watch.sh SEAWALL [TARGETS] [SECONDS]
#
# TARGETS (10000) HTTP targets every 10 s for SECONDS (60), first over fresh connections, then over kept ones; a web server
# (nginx) on core 1, Seawall on core 0. Then blackbox_exporter on core 0, asked 200 times a second for checks of the same
# server. The figure to quote is the last line. Needs nginx, prometheus-blackbox-exporter, node, curl.
set -euo pipefail
seawall=$(realpath "${1:?usage: watch.sh SEAWALL [TARGETS] [SECONDS]}") targets=${2:-10000} seconds=${3:-60}
every=10
for tool in nginx prometheus-blackbox-exporter node curl; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cat >"$work/nginx.conf" <<NGINX
worker_processes 1;
pid $work/nginx.pid;
error_log $work/nginx.log;
worker_rlimit_nofile 60000;
events { worker_connections 25000; }
http {
  access_log off;
  keepalive_timeout 300s;
  keepalive_requests 1000000;
  client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3; uwsgi_temp_path $work/4; scgi_temp_path $work/5;
  server { listen 127.0.0.1:9301 backlog=4096; location / { return 200 "ok\n"; } }
}
NGINX
ulimit -n 60000 2>/dev/null || true
taskset -c 1 nginx -c "$work/nginx.conf" -g 'daemon off;' & pids+=($!)
jiffies() { awk '{print $14 + $15}' "/proc/$1/stat"; }
metric() { curl -fs 127.0.0.1:9302/metrics | awk -v name="$1" '$1 == name {print $2}'; }
checks() { curl -fs 127.0.0.1:9302/metrics | awk '/^seawall_probe_checks_total/ {n += $2} END {print n}'; }
per_1000() { awk -v j="$1" -v n="$2" 'BEGIN {printf "%.3f", j * 10 / n}'; }
run() { # fresh|kept
  local fresh=true pid a b from until
  [[ $1 == kept ]] && fresh=false
  {
    printf '[listen]\nadmin = "127.0.0.1:9302"\n[history]\ndir = "%s"\n[watch]\nper_host = 2000\n' "$work/$1"
    for i in $(seq "$targets"); do
      printf '[probes.p%d]\ntarget = "http://127.0.0.1:9301/%d"\nevery = "%ds"\nfresh = %s\n' "$i" "$i" "$every" "$fresh"
    done
  } >"$work/$1.toml"
  SEAWALL_LOG=warn taskset -c 0 "$seawall" run "$work/$1.toml" 2>"$work/$1.log" & pid=$!; pids+=("$pid")
  sleep $((2 * every + 2)) # every target has been asked, and its connection kept
  a=$(jiffies "$pid") from=$(checks)
  sleep "$seconds"
  b=$(jiffies "$pid") until=$(checks)
  printf '%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" $((until - from)) "$(per_1000 $((b - a)) $((until - from)))" \
    "$(metric 'seawall_probe_lag_seconds{worker="0",share="0.99"}')" "$(metric 'seawall_probe_missed_turns_total{worker="0"}')" \
    "$(metric 'seawall_probe_checks_total{worker="0",outcome="down"}')" \
    "$(awk '/VmRSS/ {printf "%.0f", $2 / 1024}' "/proc/$pid/status")" "$(du -sm "$work/$1" | cut -f1)"
  kill "$pid"
  wait "$pid" 2>/dev/null || true
}
printf 'connections\tchecks\tcpu_s_per_1000\tlag_p99_s\tmissed\tdown\trss_MiB\tdisk_MB\n'
for how in fresh kept; do run "$how"; done | tee "$work/rows"
cat >"$work/blackbox.yml" <<'YML'
modules:
  plain: { prober: http, timeout: 5s, http: { preferred_ip_protocol: ip4 } }
YML
GOMAXPROCS=1 taskset -c 0 prometheus-blackbox-exporter --config.file="$work/blackbox.yml" \
  --web.listen-address=127.0.0.1:9303 2>"$work/blackbox.log" & box=$!; pids+=("$box")
cat >"$work/ask.mjs" <<'JS'
import http from 'node:http';
const agent = new http.Agent({ keepAlive: true });
const [rate, seconds] = [200, Number(process.argv[2])];
let due = 0, good = 0, bad = 0;
const began = Date.now();
const ask = () => {
  for (; due < ((Date.now() - began) / 1e3) * rate && due < rate * seconds; due++) {
    const path = `/probe?module=plain&target=http://127.0.0.1:9301/${due}`;
    http.get({ host: '127.0.0.1', port: 9303, path, agent }, (answer) => {
      let text = '';
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => { text.includes('probe_success 1') ? good++ : bad++; if (good + bad === rate * seconds) { console.log(good, bad); process.exit(); } });
    }).on('error', () => { bad++; });
  }
};
setInterval(ask, 5);
JS
sleep 2
taskset -c 1 node "$work/ask.mjs" 5 >/dev/null
a=$(jiffies "$box")
read -r good bad < <(taskset -c 1 node "$work/ask.mjs" 30)
b=$(jiffies "$box")
theirs=$(per_1000 $((b - a)) $((good + bad)))
printf 'blackbox\t%d\t%s\t-\t-\t%d\t%s\t-\n' $((good + bad)) "$theirs" "$bad" "$(awk '/VmRSS/ {printf "%.0f", $2 / 1024}' "/proc/$box/status")"
awk -F'\t' -v theirs="$theirs" '$1 == "fresh" {printf "ratio seawall/blackbox CPU a fresh check: %.2f\n", $3 / theirs}' "$work/rows"
