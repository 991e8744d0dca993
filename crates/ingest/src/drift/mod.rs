//! Shape drift: which fields bodies have, by route, message and class of status, and what has changed: docs/drift.md.
//!
//! A thread of its own reads some of the bodies that arrive, after redaction, and never makes a batch wait. It stores names,
//! types and formats, and no value ([ADR 29](../../../../docs/adr/0029-shape-drift.md)).

mod book;
mod change;
mod field;
mod format;
mod routes;
mod sample;
mod watch;

pub(crate) use book::ShapeRow;
pub(crate) use change::{Change, ChangeKind, RouteKey, ShapeKey};
pub(crate) use field::{Field, ITEMS, VALUES};
pub(crate) use format::Kind as ValueKind;
pub(crate) use routes::{KnownRoute, Traffic, alive as routes_alive};
pub(crate) use watch::{Update, Watch};
