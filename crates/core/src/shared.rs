//! Counters in the data that all workers of an Envoy process share.
//!
//! Keys, each behind `gatelens/<format>/<id>/`: the version of the format ([`FORMAT`]), and the [`CounterSetId`], which
//! separates the counters of this plugin from those of others in the same namespace.
//!
//! | key | value | module |
//! |---|---|---|
//! | `epoch` | epoch and start: made once, by the first worker | [`epoch`] |
//! | `directory`, `page/<n>` | the series in each slot | [`directory`] |
//! | `slot/<n>` | a series' key, its start, and its values since then | [`slot`] |
//! | `waiting` | names that wait for a slot where none is free | [`bids`] |
//! | `dirty` | a bit for each slot that changed since a leader last took the bits | [`series`] |
//! | `lease` | the leader, the end of its lease, and the time up to which all changes are acknowledged | [`lease`] |
//! | `sequence/<signal>`, `sequence/<signal>/<destination>` | the last sequence number given out | [`sequence`] |
//! | `delta/<destination>`, … | of a destination with delta temporality: acknowledged values, and the batch without an answer | [`delta`] |
//! | `worker/<n>`, `totals` | statistics of each worker, and of those that ended | [`heartbeat`] |
//! | `patterns`, `patterns/version` | learned route patterns | [`patterns`] |
//! | `redaction` | matches of rules and fates of bodies | [`redaction`] |
//!
//! Every change is a compare-and-swap, so no count is lost when all workers merge at once. A worker first merges a slot
//! and then sets its bit; the leader first takes the bits and then reads the slots: no change is missed. The cost of a
//! merge and of an export depends only on the series that changed.

pub mod bids;
pub mod delta;
mod directory;
pub mod epoch;
pub mod heartbeat;
pub mod lease;
pub mod patterns;
pub mod redaction;
mod row;
pub mod sequence;
pub mod series;
pub mod slot;
mod store;

pub use series::SharedSeries;
pub use store::{CounterSetId, FORMAT, SharedStore, Unreadable, UpdateError};
