#!/bin/sh
# bench-request.sh REQUESTS: counts what the filter's own code does for a request. The functions with the most instructions
# come first; their figures are for one request.
set -eu

requests=$1
target=${CARGO_TARGET_DIR:-target}
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \
    cargo build --quiet --release -p gatelens-bench-request --bin gatelens-bench-request
program=$target/release/gatelens-bench-request
command -v valgrind >/dev/null || {
    echo "valgrind is not installed, so instructions are not counted: apt-get install valgrind" >&2
    exec "$program" "$requests"
}
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
valgrind --quiet --tool=callgrind --callgrind-out-file="$counts" --collect-atstart=no \
    --toggle-collect=serve_between_ticks --toggle-collect=tick_and_deliver "$program" "$requests"
# The program serves two rounds of 2,000 requests before those that it counts; callgrind counts all.
callgrind_annotate "$counts" | awk -v requests=$((requests + 4000)) '
    /^ *[0-9,]+ \(/ {
        count = $1; gsub(",", "", count); sub(/^ *[0-9,]+ \([^)]*\) */, ""); sub(/ \[.*/, "")
        printf "%9.1f  %s\n", count / requests, $0
        if (++lines == 30) exit
    }'
