#!/bin/sh
# Runs a command with GATELENS_TEST_STORE: a ClickHouse by its URL, or with an empty one the engine that is installed for tests.
set -eu

url=$1
shift
if [ -z "$url" ]; then
    data=$(mktemp -d)
    .venv-chdb/bin/python -B crates/testkit/clickhouse/front.py --data "$data/engine" >"$data/log" 2>&1 &
    front=$!
    trap 'kill "$front" 2>/dev/null; wait "$front" 2>/dev/null || true; rm -rf "$data"' EXIT
    for _ in $(seq 300); do
        url=$(sed -n 's/^the front listens on \([^,]*\), control.*/\1/p' "$data/log")
        [ -z "$url" ] || break
        kill -0 "$front" 2>/dev/null || { cat "$data/log" >&2; exit 1; }
        sleep 0.1
    done
fi
GATELENS_TEST_STORE=$url "$@"
