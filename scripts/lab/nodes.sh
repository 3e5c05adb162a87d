#!/usr/bin/env bash
# Builds the real nodes of other chains than the EVM's into target/lab/bin, at the versions and hashes of
# scripts/lab/*/go.mod and go.sum. Does nothing the second time. Needs go 1.19 or newer.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$root/target/lab/bin
mkdir -p "$bin"
build() { # name package
  local from=$root/scripts/lab/$1
  cmp -s "$from/go.sum" "$bin/$1.sum" && [[ -x $bin/$1 ]] && return
  echo "nodes: building $1" >&2
  (cd "$from" && go build -mod=readonly -o "$bin/$1" "$2")
  cp "$from/go.sum" "$bin/$1.sum"
}
build btcd github.com/btcsuite/btcd
build tendermint github.com/tendermint/tendermint/cmd/tendermint
