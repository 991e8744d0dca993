//! The gatelens filter: the edge between Envoy and `gatelens-core`.
//!
//! One module serves as HTTP filter and as access logger. The analytics are in the core crate. Here the SDK's callbacks are
//! forwarded to the core ([`root`], [`stream`], [`scrape`]), and its host calls are forwarded to Envoy ([`envoy`]).

// The only public item is the entry point that the SDK's macro makes.
#![allow(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unreachable)]

mod envoy;
mod expression;
mod root;
mod scrape;
mod stream;
#[cfg(feature = "trap")]
mod trap;

use std::rc::Rc;

use gatelens_core::lifecycle::Registry;
use proxy_wasm::types::LogLevel;

thread_local! {
    /// One for each Wasm VM, that is for each worker thread: it survives configuration updates.
    static REGISTRY: Rc<Registry> = Rc::default();
}

proxy_wasm::main! {{
    // Only the SDK's own messages and the text of a panic pass through its logger.
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_context_id| Box::new(root::Root::new(REGISTRY.with(Rc::clone))));
}}
