#!/bin/sh
# Has logs of many sizes checked by Go's golang.org/x/mod/sumdb, which shares no code with Seawall; then
# flips a byte in each kind of file, which it must refuse.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$here" && go build -o "$work/verify-tiles" .)
cd "$root"
cargo build --quiet -p seawall-journal --example journal_grow
grow="${CARGO_TARGET_DIR:-$root/target}/debug/examples/journal_grow"

for size in 0 1 2 255 256 257 1000 65536 70000; do
    "$grow" "$work/$size" "$size"
    "$work/verify-tiles" "$work/$size"
done

log="$work/1000"
for file in checkpoint tile/0/001 tile/0/003.p/232 tile/entries/002 tile/entries/003.p/232 tile/1/000.p/3; do
    cp "$log/$file" "$work/kept"
    # The byte in the middle, with its lowest bit flipped.
    at=$(($(wc -c <"$work/kept") / 2))
    byte=$(od -An -tu1 -j "$at" -N1 "$log/$file" | tr -d ' ')
    printf "$(printf '\\%03o' $((byte ^ 1)))" | dd of="$log/$file" bs=1 seek="$at" conv=notrunc status=none
    if "$work/verify-tiles" "$log" 2>/dev/null; then
        echo "a flipped byte in $file was accepted" >&2
        exit 1
    fi
    cp "$work/kept" "$log/$file"
    echo "ok: refuses a flipped byte in $file"
done
"$work/verify-tiles" "$log"
