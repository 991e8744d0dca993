#!/bin/sh
# bench-bodies.sh [KIND RULES BYTES]: counts the instructions of capture and redaction of a body, for each of its bytes. With
# arguments it counts one body, and shows the functions with the most instructions.
set -eu

target=${CARGO_TARGET_DIR:-target}
# As the module is built, except for the target.
CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_PANIC=abort \
    CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \
    cargo build --quiet --release -p gatelens-bench-redact --bin gatelens-bench-bodies
program=${PROGRAM:-$target/release/gatelens-bench-bodies}
command -v valgrind >/dev/null || {
    echo "valgrind is not installed, so instructions cannot be counted: apt-get install valgrind" >&2
    exit 1
}
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT

# Prints length, instructions and instructions per byte of one body.
count() {
    rounds=$((400000 / $3 + 1))
    length=$(valgrind --quiet --tool=callgrind --callgrind-out-file="$counts" --collect-atstart=no \
        --toggle-collect=capture_and_redact "$program" "$1" "$2" "$3" "$rounds" | sed 's/.*: \([0-9]*\) bytes.*/\1/')
    sum=$(sed -n 's/^totals: //p' "$counts")
    awk -v kind="$1" -v rules="$2" -v length_="$length" -v sum="$sum" -v rounds="$rounds" \
        'BEGIN { printf "%-7s %-9s %7d bytes %9d instructions %6.2f per byte\n", kind, rules, length_, sum / rounds, sum / rounds / length_ }'
}

if [ $# = 3 ]; then
    count "$@"
    callgrind_annotate "$counts" | awk -v bytes=$((length * rounds)) '
        /^ *[0-9,]+ \(/ {
            count = $1; gsub(",", "", count); sub(/^ *[0-9,]+ \([^)]*\) */, ""); sub(/ \[.*/, "")
            printf "%7.3f  %s\n", count / bytes, $0
            if (++lines == 40) exit
        }'
    exit
fi
for bytes in 1000 6000 64000; do
    count json defaults $bytes
    count json 5-paths $bytes
done
for kind in lines form text events; do
    count $kind defaults 6000
done
