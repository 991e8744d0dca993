#!/usr/bin/env bash
# Measures precision and recall of the built-in redaction on the fields of real APIs. The packages that describe them are
# fetched from npm into target/redact-quality; nothing of them becomes a part of the repository.
# Usage: scripts/redact-quality.sh [--misses] [--names]
set -euo pipefail
cd "$(dirname "$0")/.."
dir="$PWD/${CARGO_TARGET_DIR:-target}/redact-quality"
[[ "${CARGO_TARGET_DIR:-}" = /* ]] && dir="$CARGO_TARGET_DIR/redact-quality"

# Package, version, and the directory that benches/redact-quality reads. The figures of ADR 16 are of these versions.
packages=(
    "stripe 23.1.0 stripe"
    "plaid 47.0.0 plaid"
    "@octokit/openapi 23.0.2 octokit-openapi"
    "@okta/okta-sdk-nodejs 8.1.0 okta-okta-sdk-nodejs"
    "@adyen/api-library 32.1.0 adyen-api-library"
    "square 46.0.0 square"
    "@paypal/paypal-server-sdk 2.5.0 paypal-paypal-server-sdk"
    "twilio 6.2.0 twilio"
    "@kubernetes/client-node 2.0.1 kubernetes-client-node"
)
mkdir -p "$dir"
for entry in "${packages[@]}"; do
    read -r package version name <<<"$entry"
    [[ -f "$dir/$name/.version-$version" ]] && continue
    rm -rf "${dir:?}/$name"
    mkdir -p "$dir/$name"
    echo "fetching $package $version" >&2
    archive=$(cd "$dir/$name" && npm pack --silent "$package@$version")
    tar -xzf "$dir/$name/$archive" -C "$dir/$name"
    rm "$dir/$name/$archive"
    touch "$dir/$name/.version-$version"
done
cargo run --quiet -p gatelens-redact-quality -- "$dir" "$@"
