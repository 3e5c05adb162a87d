#!/usr/bin/env bash
# Builds real nodes into target/lab/bin, at the versions and hashes of scripts/lab/*/go.mod and go.sum: those named, or
# btcd and tendermint. Does nothing the second time. Needs go 1.19 or newer.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$root/target/lab/bin
mkdir -p "$bin"
build() { # name package
  local from=$root/scripts/lab/$1
  cmp -s "$from/go.sum" "$bin/$1.sum" && [[ -x $bin/$1 ]] && return
  echo "nodes: building $1" >&2
  (cd "$from" && CGO_ENABLED=0 go build -mod=readonly -o "$bin/$1" "$2")
  cp "$from/go.sum" "$bin/$1.sum"
}
[[ $# -gt 0 ]] || set -- btcd tendermint
for name in "$@"; do
  case $name in
    btcd) build btcd github.com/btcsuite/btcd ;;
    geth) build geth github.com/ethereum/go-ethereum/cmd/geth ;;
    tendermint) build tendermint github.com/tendermint/tendermint/cmd/tendermint ;;
    *) echo "nodes: no node $name: there are btcd, geth, tendermint" >&2; exit 2 ;;
  esac
done
