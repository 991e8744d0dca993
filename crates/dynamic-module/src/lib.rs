//! The edge between Envoy and `gatelens-core` as a dynamic module: a shared library that Envoy loads into its own process.
//!
//! One library serves as access logger ([`logger`]), as HTTP filter ([`filter`]) and as bootstrap extension ([`bootstrap`]). Each
//! hook that Envoy calls is a function with the name that the ABI ([`abi`]) demands; none of them lets a panic through ([`guard`]).
//! The core is written for one thread: each thread of Envoy has an [`isolate`] of it, and the main thread ticks them all and
//! sends their requests ([`delivery`]).

// Envoy finds the hooks by their names; nothing else is public. Their safety is the ABI's: see `abi`.
#![allow(missing_docs, clippy::missing_safety_doc)]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unreachable,
    unsafe_op_in_unsafe_fn
)]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod abi;
pub mod bootstrap;
mod delivery;
pub mod filter;
pub mod guard;
mod host;
mod isolate;
pub mod logger;
mod shared;
mod stream;

use std::ffi::c_char;

/// Envoy has loaded the library.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    abi::VERSION.as_ptr()
}
