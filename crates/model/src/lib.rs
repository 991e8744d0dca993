//! The vocabulary that the filter and the ingest share.
//!
//! Everything here crosses a boundary: it stands on the wire, in shared data or in the store. The filter writes it, the
//! ingest reads it, and [`docs/wire.md`] is made from the same tables, so that the three cannot disagree.
//!
//! | module | content |
//! |---|---|
//! | [`metric`] | metrics of the traffic and of the gateway itself |
//! | [`attribute`] | attributes of resources, series, data points and log records |
//! | [`value`] | sentinels: values that stand for "nobody", "no route", "beyond the cap" |
//! | [`grpc`] | names of the statuses of gRPC calls |
//! | [`fate`] | outcomes of an event |
//! | [`NotLogged`] | why a request has no event |
//! | [`Message`], [`OmissionReason`] | the two messages of a request; why a body is not in the log |
//! | [`route_patterns`] | the hand-back of learned route patterns |
//! | [`sketch`] | the histogram of durations |
//! | [`varint`], [`percent`] | the coding of integers, and that of bytes in URLs |
//! | [`mod@prometheus`] | names of the traffic's metrics for Prometheus |
//! | [`hash`] | hashes for identities |
//! | [`order`] | sorting in little code |
//! | [`reference`](mod@reference) | the tables of `docs/wire.md` |
//!
//! This crate does no I/O, has no dependency and never panics.

#![deny(clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod attribute;
pub mod fate;
pub mod grpc;
pub mod hash;
mod message;
pub mod metric;
mod not_logged;
mod omission;
pub mod order;
pub mod percent;
pub mod prometheus;
pub mod reference;
pub mod route_patterns;
pub mod sketch;
mod table;
pub mod value;
pub mod varint;

pub use message::Message;
pub use not_logged::NotLogged;
pub use omission::OmissionReason;
