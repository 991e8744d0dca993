//! Bounds the memory of the filter's virtual machine.

/// Bytes a virtual machine may grow to: see `limits.queue_bytes`, whose largest value fits three times.
const MAX_MEMORY: u32 = 256 << 20;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        println!("cargo::rustc-link-arg-cdylib=--max-memory={MAX_MEMORY}");
    }
}
