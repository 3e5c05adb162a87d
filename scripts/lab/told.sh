#!/usr/bin/env bash
# A real Alertmanager is told of an outage and of its end, and a real Prometheus is written what was found.
#
#   told.sh SEAWALL WORK
set -euo pipefail
seawall=$1 work=$2/told
rm -rf "$work"
mkdir -p "$work"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait' EXIT
die() { echo "told: $*; see $work" >&2; exit 1; }
until_ok() { # seconds command…
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < until)) || return 1
    sleep 0.2
  done
}

printf 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n' >"$work/alertmanager.yml"
prometheus-alertmanager --config.file="$work/alertmanager.yml" --storage.path="$work/alertmanager" \
  --web.listen-address=127.0.0.1:9393 --cluster.listen-address= 2>"$work/alertmanager.log" & pids+=($!)
echo '{}' >"$work/prometheus.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" \
  --web.listen-address=127.0.0.1:9390 --web.enable-remote-write-receiver 2>"$work/prometheus.log" & pids+=($!)
until_ok 20 curl -fs -o /dev/null http://127.0.0.1:9393/-/ready || die "no Alertmanager"
until_ok 20 curl -fs -o /dev/null http://127.0.0.1:9390/-/ready || die "no Prometheus"

cat >"$work/seawall.toml" <<'TOML'
[estate]
name = "lab"
[listen]
admin = "127.0.0.1:9391"
[telemetry]
alertmanagers = ["http://127.0.0.1:9393"]
remote_write = "http://127.0.0.1:9390/api/v1/write"
[probes.shop]
target = "http://127.0.0.1:9392/"
every = "1s"
timeout = "500ms"
TOML
"$seawall" run "$work/seawall.toml" 2>"$work/seawall.log" & pids+=($!)

alerts() { # FILTER: how many alerts of the shop there are
  curl -fs "http://127.0.0.1:9393/api/v2/alerts?$1&filter=component%3D%22service%3Ashop%22" | python3 -c '
import json, sys
print(len([a for a in json.load(sys.stdin) if a["labels"]["alertname"] == "SeawallDown"]))'
}
fires() { [[ $(alerts active=true) == 1 ]]; }
rests() { [[ $(alerts active=true) == 0 ]]; }
written() { # VALUE: is that what Prometheus was written last?
  curl -fs http://127.0.0.1:9390/api/v1/query --data-urlencode 'query=seawall_probe_success{probe="shop",estate="lab"}' |
    python3 -c 'import json, sys; print([r["value"][1] for r in json.load(sys.stdin)["data"]["result"]])' | grep -qF "['$1']"
}
until_ok 20 curl -fs -o /dev/null http://127.0.0.1:9391/readyz || die "no Seawall"
until_ok 60 fires || die "nobody was alerted"
until_ok 30 written 0 || die "Prometheus was not written the failure"
python3 -m http.server --bind 127.0.0.1 --directory "$work" 9392 >"$work/shop.log" 2>&1 & pids+=($!)
until_ok 120 rests || die "the alert did not end"
until_ok 30 written 1 || die "Prometheus was not written the success"
for asks in "metrics.prometheus_ready[0].value == 1" \
  "metrics.prometheus_remote_storage_samples_in_total.all(s, s.value >= 0)" \
  "metrics.net_conntrack_listener_conn_accepted_total.exists(s, s.labels.listener_name == 'http' && s.value > 0)"; do
  said=$("$seawall" probe http://127.0.0.1:9390/metrics --assert "$asks" 2>&1) || die "$asks: $said"
done
echo "told: an Alertmanager was told of an outage and its end, and Prometheus was written both"
