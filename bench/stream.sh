#!/usr/bin/env bash
# Memory that a large answer takes on its way through the gateway.
#
#   stream.sh [--megabytes 100] [--at-once 1] SEAWALL
#
# SEAWALL is the binary. Three upstreams (mocknode) answer a read with so many megabytes, which as many clients as
# --at-once fetch. The figures are the gateway's resident memory before, its highest meanwhile (Linux's VmHWM,
# reset before), and the difference. Needs curl, cargo, Linux.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
megabytes=100 at_once=1
while [[ ${1:-} == --* ]]; do
  case $1 in
    --megabytes) megabytes=$2 ;; --at-once) at_once=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[[ $# == 1 ]] || { sed -n '2,8p' "$0" >&2; exit 2; }
target=${MOCK_TARGET:-${TMPDIR:-/tmp}/mocknode-target}
mkdir -p "$target"
cp -r "$here/mocknode" "$target/" # built from a copy, so that this folder may be read-only
CARGO_TARGET_DIR=$target cargo build -q --release --manifest-path "$target/mocknode/Cargo.toml"
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
sed "s|target/bench|$work|" "$here/gateway.toml" >"$work/seawall.toml"
"$target/release/mocknode" 9201 9202 9203 --payload $((megabytes * 1000000)) 2>/dev/null & pids+=($!)
"$1" run "$work/seawall.toml" >"$work/log" 2>&1 & gateway=$!; pids+=("$gateway")
call() { # method params out
  curl -fs -m 60 -o "$3" -H 'content-type: application/json' \
    -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$1\",\"params\":[$2]}" http://127.0.0.1:8545/
}
for _ in $(seq 100); do
  call eth_blockNumber "" /dev/null && break
  kill -0 "$gateway" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
status() { awk -v k="$1:" '$1==k{print $2}' "/proc/$gateway/status"; }
echo 5 >"/proc/$gateway/clear_refs"
before=$(status VmRSS)
fetches=()
for n in $(seq "$at_once"); do
  call eth_getBalance "\"0x$(printf %040x "$n")\",\"latest\"" "$work/answer$n" & fetches+=($!)
done
wait "${fetches[@]}"
size=$(stat -c %s "$work/answer1")
((size > megabytes * 1000000)) || { echo "only $size bytes came" >&2; exit 1; }
awk -v b="$before" -v h="$(status VmHWM)" -v n="$at_once" -v s="$size" 'BEGIN{
  printf "%d of %.0f MB: %.1f MiB before, %.1f MiB at most, %.1f MiB more\n", n, s/1e6, b/1024, h/1024, (h-b)/1024}'
