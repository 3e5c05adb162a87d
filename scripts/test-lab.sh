#!/usr/bin/env bash
# The tests that need more than Rust and npm: HAProxy and wrk beside the gateway, promtool on the metrics, alerts and dashboard,
# an independent verifier written in Go on the journal, real client libraries, probes beside servers of others, and a short outage run. Debian packages that are
# missing are installed where this user may (root, or sudo without a password). Nothing is skipped: what
# cannot be had fails.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
work=target/test-lab
passed=0
say() { echo "test-lab: $*"; }
die() { echo "test-lab: FAILED: $*" >&2; exit 1; }
pass() { passed=$((passed + 1)); say "ok: $*"; }

packages() { # command:package …
  local missing=() pair as=()
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "needs ${missing[*]}, and this is no Debian to install them on"
  if ((EUID != 0)); then sudo -n true 2>/dev/null || die "needs root or sudo to install ${missing[*]}"; as=(sudo -n); fi
  say "installing ${missing[*]}"
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

until_ok() { # seconds command…
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < until)) || return 1
    sleep 0.1
  done
}

packages monerod:monero curl:curl unshare:util-linux wrk:wrk haproxy:haproxy promtool:prometheus prometheus-alertmanager:prometheus-alertmanager nginx:nginx-light unbound:unbound openssl:openssl chronyd:chrony redis-server:redis-server nats-server:nats-server go:golang-go gcc:gcc ip:iproute2 nft:nftables python3:python3-venv
[[ -n $(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null) ]] || packages postgres:postgresql
/usr/bin/python3 -c 'import aiosmtpd, websockets' 2>/dev/null || packages aiosmtpd:python3-aiosmtpd websockets:python3-websockets
/usr/bin/python3 -c 'import grpc' 2>/dev/null || packages python3-grpcio:python3-grpcio
export PATH=$PATH:/usr/sbin
scripts/setup.sh clients >/dev/null
cargo build --locked --package seawall
seawall=$(realpath "$target/debug/seawall")
rm -rf "$work" target/bench
mkdir -p "$work"

say "the gateway beside HAProxy, with everything on"
MOCK_TARGET=$PWD/target/mocknode bench/gateway.sh --rounds 1 --seconds 3 --conns 32 -- \
  "$seawall" run bench/gateway.toml | tee "$work/gateway.txt"
tail -n 1 "$work/gateway.txt" | grep -q 'failed 0$' || die "requests failed beside HAProxy"
pass "no request failed beside HAProxy"

say "names, while their name server is broken"
cargo test --locked --package seawall-runtime --test dns --no-run
dns=$(ls -t "$target"/debug/deps/dns-* | grep -v '\.d$' | head -n 1)
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$work/resolv.conf"
unshare --user --map-root-user --net --mount sh -euc \
  'ip link set lo up; mount --bind "$1" /etc/resolv.conf; "$2" --ignored' sh "$work/resolv.conf" "$dns" ||
  die "a connection was not made while the name server was broken"
pass "ten minutes of a broken name server cost no connection"

say "the metrics and the journal of a daemon on its own"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait' EXIT
target/mocknode/release/mocknode 9201 9202 9203 2>/dev/null &
pids+=($!)
"$seawall" run bench/gateway.toml >"$work/seawall.log" 2>&1 &
daemon=$!
pids+=("$daemon")
until_ok 20 curl -fs -o /dev/null http://127.0.0.1:9545/readyz || die "not ready; see $work/seawall.log"
curl -fs -o /dev/null -d 'hang' http://127.0.0.1:9203/_mode
for n in $(seq 40); do
  curl -fs -m 10 -H 'content-type: application/json' http://127.0.0.1:8545/ \
    -d '{"jsonrpc":"2.0","id":'"$n"',"method":"eth_blockNumber","params":[]}' | grep -q '"result"' ||
    die "request $n failed"
done
curl -fs http://127.0.0.1:9545/metrics >"$work/metrics.txt"
promtool check metrics <"$work/metrics.txt" || die "promtool does not like /metrics; see $work/metrics.txt"
SEAWALL_METRICS_TO=$PWD/$work/many.txt cargo test --locked --package seawall --lib ten_thousand_of_each
promtool check metrics <"$work/many.txt" || die "promtool does not like the metrics of a large estate; see $work/many.txt"
pass "promtool accepts $(grep -c '^# TYPE' "$work/metrics.txt") metrics"
node scripts/check-queries.mjs "$work/metrics.txt" >"$work/queries.yml" || die "the dashboard or an alert asks for what is not there"
promtool check rules packaging/prometheus/alerts.yml "$work/queries.yml" || die "promtool does not like a query"
(cd packaging/prometheus && promtool test rules alerts.test.yml) || die "an alert does not do what it should"
pass "promtool accepts the alerts and the dashboard's queries"
kill "$daemon"
wait "$daemon" || die "the daemon did not stop in order; see $work/seawall.log"
"$seawall" log verify --dir target/bench/journal || die "seawall log verify"
(cd scripts/verify-tiles && go run . ../../target/bench/journal) || die "the Go verifier refuses the journal"
scripts/verify-tiles/run.sh || die "the Go verifier and Seawall disagree about a log"
pass "an independent verifier accepts the journal"
kill "${pids[0]}"

say "what others are told"
scripts/lab/told.sh "$seawall" "$work" || die "a real Alertmanager or Prometheus was not told"
pass "a real Alertmanager is told of an outage and its end, and a real Prometheus is written both"

say "probes beside servers of others"
scripts/lab/servers.sh "$seawall" "$work" || die "a server is not told as it is"
pass "nginx, unbound, Redis, PostgreSQL, NATS, aiosmtpd, websockets and anvil are probed"

say "real nodes of other chains than the EVM's"
scripts/lab/nodes.sh
node scripts/lab/families.mjs "$seawall" target/lab/bin || die "a family of chains is not served as it should be"
pass "btcd, tendermint and monerod are served as they should be"

say "probes beside servers of others"
scripts/lab/probes.sh "$seawall" "$work" || die "a server is not told as it is"
pass "nginx, gRPC, chrony, unbound and the kernel's echo are probed"

say "a short outage run"
bench/outage/run --smoke --seawall "$seawall" || die "the outage run missed a bar"
pass "the outage run held every bar"
say "$passed of 10 checks passed"
