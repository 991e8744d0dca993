//! The whole way of a request, on the real Envoy with the built module and the real ingest.
//!
//! `make test` builds what is needed; by hand: `make wasm bins envoy`, then `cargo test -p gatelens --test e2e`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod e2e;
