//! The whole way of a request, on the real Envoy with the built module and the real ingest.
//!
//! `make test` builds what they need; by hand: `make wasm wasm-trap envoy bins`, then `cargo test -p gatelens --test e2e`.
//! Without it they are left out, with a message: see `artefacts::or_skip`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod e2e;
