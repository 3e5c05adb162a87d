#!/usr/bin/env bash
# Fetches what the demo and the tests run against (a real chain node, a real client library) into
# target/lab, at the versions and hashes of scripts/lab/package-lock.json. Does nothing the second time.
# Prints the path of the chain node; what it does goes to stderr.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
lab=$root/target/lab
say() { echo "setup: $*" >&2; }

if [[ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]]; then
  anvil=$(command -v anvil) || { say "the pinned chain node is for Linux on x86-64; put an \`anvil\` on PATH"; exit 1; }
else
  anvil=$lab/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil
  if ! cmp -s "$root/scripts/lab/package-lock.json" "$lab/installed.json"; then
    command -v npm >/dev/null || { say "npm is not installed; it comes with Node.js 18 or newer"; exit 1; }
    say "fetching a chain node (anvil) and a client library (ethers) into target/lab"
    mkdir -p "$lab"
    rm -f "$lab/installed.json"
    cp "$root/scripts/lab/package.json" "$root/scripts/lab/package-lock.json" "$lab/"
    # No install script is run: the platform's package holds the binary as it is.
    npm ci --prefix "$lab" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    cp "$root/scripts/lab/package-lock.json" "$lab/installed.json"
  fi
fi
version=$("$anvil" --version | head -n 1) || { say "$anvil does not run: remove target/lab and try again"; exit 1; }
say "$version is ready"
echo "$anvil"
