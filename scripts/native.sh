#!/bin/sh
# native.sh: builds the dynamic module as target/release/libgatelens.so, the name under which Envoy looks for `gatelens`.
set -eu

target=${CARGO_TARGET_DIR:-target}
built=$target/native/libgatelens_dynamic_module.so file=$target/release/libgatelens.so

cargo build --quiet -p gatelens-dynamic-module --profile native
mkdir -p "$(dirname "$file")"
# Renamed into place: an Envoy that has loaded the file keeps the one that it has loaded.
cmp -s "$built" "$file" || { cp "$built" "$file.draft" && mv "$file.draft" "$file"; }
echo "$file: $(($(wc -c <"$file"))) bytes"
