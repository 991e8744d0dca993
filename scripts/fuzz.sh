#!/bin/sh
# fuzz.sh SECONDS [TARGET...]: runs fuzz targets for that many seconds each; without a target, all of them.
# The corpus stays in fuzz/corpus, and an input that fails in fuzz/artifacts.
set -eu

seconds=$1
shift
cd "$(dirname "$0")/../fuzz"
all=$(cd fuzz_targets && ls ./*.rs | sed 's|^./||; s|\.rs$||')
[ $# -gt 0 ] || set -- $all

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing; install it with: cargo install cargo-fuzz" >&2
    exit 1
fi

for target in "$@"; do
    if [ ! -f "fuzz_targets/$target.rs" ]; then
        echo "there is no fuzz target $target; the targets are:" $all >&2
        exit 1
    fi
    features=
    case $target in ingest_*) features="--features ingest" ;; esac
    echo "$target: $seconds seconds"
    # No sanitizer: the code under test has no unsafe blocks, and the stable compiler suffices without one.
    cargo fuzz run --fuzz-dir . --sanitizer none $features "$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=0
done
