#!/bin/sh
# timed.sh NAME COMMAND...: runs a command and prints how long it took; the exit status is the command's. `.ci/run`
# builds its table from these lines.
set -eu

name=$1
shift
start=$(date +%s)
status=0
"$@" || status=$?
echo "took $(($(date +%s) - start)) s: $name"
exit "$status"
