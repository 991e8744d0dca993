#!/bin/sh
# doctor.sh [TOOL...]: checks the prerequisites of building and running gatelens, and these tools, whose packages have the same
# names. Prints each missing one with the command that installs it.
# Installs only the wasm target itself, because that changes nothing outside the toolchain.
set -eu

missing=0

# need NAME COMMAND-THAT-INSTALLS-IT CHECK...
need() {
    name=$1 install=$2
    shift 2
    if "$@" >/dev/null 2>&1; then
        [ -z "${VERBOSE:-}" ] || echo "  ok       $name"
    else
        echo "  missing  $name" >&2
        echo "           install it with: $install" >&2
        missing=$((missing + 1))
    fi
}

# at_least REQUIRED FOUND: compares dotted versions.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

rust_is_recent() {
    at_least "$RUST" "$(rustc --version | cut -d ' ' -f 2)"
}

node_is_recent() {
    at_least "$NODE" "$(node --version | tr -d v)"
}

python_has_venv() {
    python3 -c 'import ensurepip, venv'
}

has_components() {
    cargo fmt --version && cargo clippy --version
}

has_wasm_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ]
}

RUST=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
NODE=20.19

if [ "$(uname -s)" = Linux ]; then
    packages="sudo apt-get install -y"
else
    packages="brew install"
fi
rustup_install="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"

need "cargo" "$rustup_install" cargo --version
if command -v rustc >/dev/null 2>&1; then
    need "Rust $RUST or later" "rustup update stable" rust_is_recent
    need "rustfmt and clippy" "rustup component add rustfmt clippy" has_components
    if ! has_wasm_target && command -v rustup >/dev/null 2>&1; then
        rustup target add wasm32-wasip1
    fi
    need "the Rust target wasm32-wasip1" "rustup target add wasm32-wasip1 ($rustup_install)" has_wasm_target
fi
need "a C compiler (cc)" "$packages gcc" cc --version
need "make" "$packages make" make --version
need "Python 3 with venv" "$packages python3 python3-venv" python_has_venv
need "Node.js $NODE or later" "see https://nodejs.org/en/download" node_is_recent
need "npm" "see https://nodejs.org/en/download" npm --version
for tool in "$@"; do
    need "$tool" "$packages $tool" "$tool" --version
done

if [ "$missing" -gt 0 ]; then
    echo "$missing missing; install them and run make again" >&2
    exit 1
fi
