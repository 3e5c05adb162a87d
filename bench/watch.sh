#!/usr/bin/env bash
# The prober at work in the daemon, its results stored: CPU a check, lag, missed turns, memory, disk; and
# blackbox_exporter beside it.
#
#   watch.sh SEAWALL [TARGETS] [SECONDS]
#
# TARGETS (10000) HTTP targets every 10 s for SECONDS (60), first over fresh connections, then over kept ones, then a tenth
# as many over TLS, each with a handshake of its own under a chain of three; a web server (nginx) on core 1, Seawall on core 0.
# Then blackbox_exporter on core 0, asked 200 times a second for checks of the same server. The figures to quote are the
# last two lines. Needs nginx, prometheus-blackbox-exporter, node, curl, openssl.
set -euo pipefail
seawall=$(realpath "${1:?usage: watch.sh SEAWALL [TARGETS] [SECONDS]}") targets=${2:-10000} seconds=${3:-60}
every=10
for tool in nginx prometheus-blackbox-exporter node curl openssl; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
printf '[req]\ndistinguished_name = dn\n[dn]\n' >"$work/openssl.cnf" # the system's makes every one an authority
sign() { # NAME SUBJECT EXTENSION [SIGNER]
  local by=(-key "$work/$1.key")
  [[ -n ${4:-} ]] && by=(-key "$work/$1.key" -CA "$work/$4.crt" -CAkey "$work/$4.key")
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/$1.key"
  openssl req -config "$work/openssl.cnf" -x509 -new -days 30 -subj "/CN=$2" -addext "$3" "${by[@]}" -out "$work/$1.crt" 2>"$work/openssl.log" \
    || { cat "$work/openssl.log" >&2; exit 1; }
}
sign root root basicConstraints=critical,CA:TRUE
sign middle middle basicConstraints=critical,CA:TRUE root
sign own localhost subjectAltName=DNS:localhost,IP:127.0.0.1 middle
cat "$work/own.crt" "$work/middle.crt" >"$work/chain.crt"
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
  server {
    listen 127.0.0.1:9304 ssl backlog=4096;
    ssl_certificate $work/chain.crt; ssl_certificate_key $work/own.key; ssl_protocols TLSv1.3;
    location / { return 200 "ok\n"; }
  }
}
NGINX
ulimit -n 60000 2>/dev/null || true
taskset -c 1 nginx -c "$work/nginx.conf" -g 'daemon off;' & pids+=($!)
jiffies() { awk '{print $14 + $15}' "/proc/$1/stat"; }
metric() { curl -fs 127.0.0.1:9302/metrics | awk -v name="$1" '$1 == name {print $2}'; }
checks() { curl -fs 127.0.0.1:9302/metrics | awk '/^seawall_probe_checks_total/ {n += $2} END {print n}'; }
per_1000() { awk -v j="$1" -v n="$2" 'BEGIN {printf "%.3f", j * 10 / n}'; }
run() { # fresh|kept|tls
  local fresh=true to=http://127.0.0.1:9301 many=$targets pid a b from until
  [[ $1 == kept ]] && fresh=false
  [[ $1 == tls ]] && to=https://127.0.0.1:9304 many=$((targets / 10))
  {
    printf '[listen]\nadmin = "127.0.0.1:9302"\n[history]\ndir = "%s"\n[watch]\nper_host = 2000\n' "$work/$1"
    for i in $(seq "$many"); do
      printf '[probes.p%d]\ntarget = "%s/%d"\nevery = "%ds"\nfresh = %s\n' "$i" "$to" "$i" "$every" "$fresh"
    done
  } >"$work/$1.toml"
  SEAWALL_LOG=warn taskset -c 0 "$seawall" run --ca "$work/root.crt" "$work/$1.toml" 2>"$work/$1.log" & pid=$!; pids+=("$pid")
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
for how in fresh kept tls; do run "$how"; done | tee "$work/rows"
cat >"$work/blackbox.yml" <<YML
modules:
  plain: { prober: http, timeout: 5s, http: { preferred_ip_protocol: ip4, tls_config: { ca_file: $work/root.crt } } }
YML
GOMAXPROCS=1 taskset -c 0 prometheus-blackbox-exporter --config.file="$work/blackbox.yml" \
  --web.listen-address=127.0.0.1:9303 2>"$work/blackbox.log" & box=$!; pids+=("$box")
cat >"$work/ask.mjs" <<'JS'
import http from 'node:http';
const agent = new http.Agent({ keepAlive: true });
const [to, rate, seconds] = [process.argv[2], 200, Number(process.argv[3])];
let due = 0, good = 0, bad = 0;
const began = Date.now();
const count = () => { if (good + bad === rate * seconds) { console.log(good, bad); process.exit(); } };
const ask = () => {
  for (; due < ((Date.now() - began) / 1e3) * rate && due < rate * seconds; due++) {
    http.get({ host: '127.0.0.1', port: 9303, path: `/probe?module=plain&target=${to}/${due}`, agent }, (answer) => {
      let text = '';
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => { text.includes('probe_success 1') ? good++ : bad++; count(); });
    }).on('error', () => { bad++; count(); });
  }
};
setInterval(ask, 5);
JS
sleep 2
beside() { # NAME TARGET ROW: the peer's checks of the same server, and what ours of that row take of its CPU
  local a b good bad theirs
  taskset -c 1 node "$work/ask.mjs" "$2" 5 >/dev/null
  a=$(jiffies "$box")
  read -r good bad < <(taskset -c 1 node "$work/ask.mjs" "$2" 30)
  b=$(jiffies "$box")
  theirs=$(per_1000 $((b - a)) $((good + bad)))
  printf '%s\t%d\t%s\t-\t-\t%d\t%s\t-\n' "$1" $((good + bad)) "$theirs" "$bad" \
    "$(awk '/VmRSS/ {printf "%.0f", $2 / 1024}' "/proc/$box/status")" >&2
  awk -F'\t' -v row="$3" -v theirs="$theirs" \
    '$1 == row {printf "ratio seawall/blackbox CPU a check, %s: %.2f\n", row, $3 / theirs}' "$work/rows"
}
ratios=$(beside blackbox http://127.0.0.1:9301 fresh; beside blackbox_tls https://127.0.0.1:9304 tls)
echo "$ratios"
