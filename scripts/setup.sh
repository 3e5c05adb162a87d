#!/usr/bin/env bash
# Fetches what the demo and the tests run against (a real chain node, a real client library) into
# target/lab, at the versions and hashes of scripts/lab/package-lock.json. With `clients`, also the other clients that
# the outage harness drives (viem, cast, web3.py). Does nothing the second time.
# Prints the path of the chain node; what it does goes to stderr.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
lab=$root/target/lab
say() { echo "setup: $*" >&2; }

packages() { # what, from, to: what the lock file in `from` names, installed into `to`
  cmp -s "$2/package-lock.json" "$3/installed.json" && return
  command -v npm >/dev/null || { say "npm is not installed; it comes with Node.js 18 or newer"; exit 1; }
  say "fetching $1 into ${3#"$root/"}"
  mkdir -p "$3"
  rm -f "$3/installed.json"
  cp "$2/package.json" "$2/package-lock.json" "$3/"
  # No install script is run: a platform's package holds the binary as it is.
  npm ci --prefix "$3" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp "$2/package-lock.json" "$3/installed.json"
}

if [[ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]]; then
  anvil=$(command -v anvil) || { say "the pinned chain node is for Linux on x86-64; put an \`anvil\` on PATH"; exit 1; }
else
  anvil=$lab/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil
  packages "a chain node (anvil) and a client library (ethers)" "$root/scripts/lab" "$lab"
fi

if [[ "${1:-}" == clients ]]; then
  packages "more clients (viem, cast)" "$root/scripts/lab/clients" "$lab/clients"
  wanted=$root/scripts/lab/clients/requirements.txt
  if ! cmp -s "$wanted" "$lab/python/installed.txt"; then
    say "fetching a client library (web3.py) into target/lab/python"
    python3 -m venv --clear "$lab/python" || { say "Python 3.11 with its venv module is needed"; exit 1; }
    "$lab/python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$wanted" >&2
    cp "$wanted" "$lab/python/installed.txt"
  fi
fi
version=$("$anvil" --version | head -n 1) || { say "$anvil does not run: remove target/lab and try again"; exit 1; }
say "$version is ready"
echo "$anvil"
