#!/bin/sh
# Runs the demo for a few minutes on its own ports, and the page's tests take the pictures for docs/img.
set -eu

minutes=${MINUTES:-10}
export INGEST_PORT="${INGEST_PORT:-14318}" GATEWAY_PORT="${GATEWAY_PORT:-14000}"
export ADMIN_PORT="${ADMIN_PORT:-14901}" UPSTREAM_PORT="${UPSTREAM_PORT:-14080}"
export RUN_DIR=.run/screenshots

rm -rf "$RUN_DIR"
"${CARGO_TARGET_DIR:-target}/debug/gatelens-demo" run &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" || true' EXIT
sleep "$((minutes * 60))"
cd dashboard
GATELENS_URL="http://127.0.0.1:$INGEST_PORT" GATELENS_SHOTS="${GATELENS_SHOTS:-$PWD/../docs/img}" node --test test/live.test.mjs
