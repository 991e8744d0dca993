#!/bin/sh
# wasm.sh PACKAGE FILE [MAX_BYTES]: builds a module as FILE; fails if it is larger than MAX_BYTES.
set -eu

package=$1 file=$2 max=${3:-}
built=${CARGO_TARGET_DIR:-target}/wasm32-wasip1/wasm/$(echo "$package" | tr - _).wasm

cargo build --quiet -p "$package" --target wasm32-wasip1 --profile wasm
mkdir -p "$(dirname "$file")"
# Renamed into place, so that an Envoy that starts at the same time never reads half a module.
cmp -s "$built" "$file" || { cp "$built" "$file.draft" && mv "$file.draft" "$file"; }

bytes=$(($(wc -c <"$file")))
echo "$file: $bytes bytes"
if [ -n "$max" ] && [ "$bytes" -gt "$max" ]; then
    echo "$file is larger than $max bytes" >&2
    exit 1
fi
