#!/usr/bin/env bash
# The gateway beside HAProxy with TLS on both sides: CPU per proxied JSON-RPC request.
#
#   tls.sh [--rounds 5] [--seconds 4] [--conns 64] SEAWALL
#
# SEAWALL is the binary. Clients (wrk) speak https to the proxy, the proxy https to three upstreams (mocknode
# behind a second HAProxy that ends TLS for it), under one EC P-256 certificate; both proxies check the
# upstream's. The proxies run on core 0, all else on core 1; rounds alternate. Every request is a distinct
# eth_getBalance. The figure to quote is the last line: the median of the per-round ratios gateway/HAProxy of
# CPU µs a request. Needs wrk, haproxy, openssl, cargo.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=5 seconds=4 conns=64
while [[ ${1:-} == --* ]]; do
  case $1 in
    --rounds) rounds=$2 ;; --seconds) seconds=$2 ;; --conns) conns=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[[ $# == 1 ]] || { sed -n '2,11p' "$0" >&2; exit 2; }
seawall=$1
target=${MOCK_TARGET:-${TMPDIR:-/tmp}/mocknode-target}
mkdir -p "$target"
cp -r "$here/mocknode" "$target/" # built from a copy, so that this folder may be read-only
CARGO_TARGET_DIR=$target cargo build -q --release --manifest-path "$target/mocknode/Cargo.toml"
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${ec[@]}" -days 2 -subj /CN=bench-ca -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req "${ec[@]}" -subj /CN=localhost -keyout "$work/key.pem" -out "$work/csr.pem" 2>/dev/null
openssl x509 -req -in "$work/csr.pem" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
  -extfile <(echo "subjectAltName=DNS:localhost") -out "$work/chain.pem" 2>/dev/null
cat "$work/chain.pem" "$work/key.pem" >"$work/pair.pem"
defaults() {
  cat <<EOF
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  http-reuse always
  retries 2
  option redispatch
EOF
}
{
  defaults
  printf 'listen rpc\n  bind 127.0.0.1:9143 ssl crt %s/pair.pem alpn h2,http/1.1\n' "$work"
  for n in 1 2 3; do
    printf '  server s%s 127.0.0.1:930%s check ssl verify required ca-file %s/ca.pem sni str(localhost)\n' \
      "$n" "$n" "$work"
  done
} >"$work/haproxy.cfg"
{
  defaults
  for n in 1 2 3; do
    printf 'listen n%s\n  bind 127.0.0.1:930%s ssl crt %s/pair.pem\n  server m 127.0.0.1:920%s\n' \
      "$n" "$n" "$work" "$n"
  done
} >"$work/nodes.cfg"
{
  cat <<EOF
[listen]
gateway = []
admin = "127.0.0.1:9545"
workers = 1
[listen.tls]
at = "127.0.0.1:8443"
certificates = [{ name = "bench", chain = "file:chain.pem", key = "file:key.pem" }]
[journal]
dir = "$work/journal"
[pools.chain]
kind = "evm"
chain_id = 1
block_time = "1s"
route = "/"
EOF
  for n in 1 2 3; do
    printf '[providers.p%s]\n[[pools.chain.upstreams]]\nname = "n%s"\nprovider = "p%s"\nurl = "https://localhost:930%s"\n' \
      "$n" "$n" "$n" "$n"
  done
} >"$work/seawall.toml"
cat >"$work/distinct.lua" <<'EOF'
local n = math.random(1, 1e9) * 1000
local head = '{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x'
request = function()
  n = n + 1
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" },
    head .. string.format("%040x", n) .. '","latest"]}')
end
local bad = 0
response = function(status, headers, body)
  if status ~= 200 or not body:find('"result"', 1, true) then bad = bad + 1; wrk.thread:set("bad", bad) end
end
local threads = {}
setup = function(t) table.insert(threads, t) end
done = function(summary, latency)
  local b = 0
  for _, t in ipairs(threads) do b = b + (t:get("bad") or 0) end
  print(string.format("RESULT %d %d %d %d %.0f", summary.requests, b + summary.errors.timeout
    + summary.errors.read + summary.errors.write + summary.errors.connect,
    latency:percentile(50), latency:percentile(99), summary.requests / summary.duration * 1e6))
end
EOF
taskset -c 1 "$target/release/mocknode" 9201 9202 9203 2>/dev/null & pids+=($!)
taskset -c 1 haproxy -f "$work/nodes.cfg" >/dev/null 2>&1 & pids+=($!)
sleep 0.5
taskset -c 0 haproxy -f "$work/haproxy.cfg" >/dev/null 2>&1 & ha=$!; pids+=("$ha")
taskset -c 0 "$seawall" run --ca "$work/ca.pem" "$work/seawall.toml" >"$work/gateway.log" 2>&1 & gw=$!; pids+=("$gw")
for _ in $(seq 100); do
  curl -fsk -o /dev/null -m 1 -H 'content-type: application/json' \
    -d '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' https://127.0.0.1:8443/ && break
  kill -0 "$gw" 2>/dev/null || { cat "$work/gateway.log" >&2; exit 1; }
  sleep 0.1
done
jiffies() { awk '{print $14 + $15}' "/proc/$1/stat"; }
one() { # name pid url
  local a b line
  a=$(jiffies "$2")
  line=$(taskset -c 1 wrk -t1 -c"$conns" -d"${seconds}s" -s "$work/distinct.lua" "$3" | grep '^RESULT')
  b=$(jiffies "$2")
  read -r _ req bad p50 p99 rps <<<"$line"
  awk -v n="$1" -v a="$a" -v b="$b" -v r="$req" -v bad="$bad" -v p50="$p50" -v p99="$p99" -v rps="$rps" \
    -v rss="$(awk '/VmRSS/{print $2}' "/proc/$2/status")" \
    'BEGIN{printf "%s\t%.2f\t%d\t%d\t%d\t%.2f\t%.2f\t%.1f\n", n, (b-a)*1e4/r, r, bad, rps, p50/1e3, p99/1e3, rss/1024}'
}
printf 'proxy\tcpu_us/req\trequests\tfailed\treq/s\tp50_ms\tp99_ms\trss_MiB\n'
one warmup "$gw" https://127.0.0.1:8443/ >/dev/null
for i in $(seq "$rounds"); do
  if ((i % 2)); then order="gateway haproxy"; else order="haproxy gateway"; fi
  for who in $order; do
    if [[ $who == gateway ]]; then one gateway "$gw" https://127.0.0.1:8443/
    else one haproxy "$ha" https://127.0.0.1:9143/; fi
  done
done | tee "$work/rows"
awk -F'\t' '$1=="gateway"{g[++i]=$2; bad+=$4} $1=="haproxy"{h[++j]=$2}
  END{n=(i<j?i:j); for(k=1;k<=n;k++) r[k]=g[k]/h[k]; for(a=1;a<=n;a++)for(b=a+1;b<=n;b++)if(r[b]<r[a]){t=r[a];r[a]=r[b];r[b]=t}
  printf "ratio gateway/haproxy CPU a request, TLS in and out: median %.2f (min %.2f, max %.2f), failed %d\n", r[int((n+1)/2)], r[1], r[n], bad}' "$work/rows"
