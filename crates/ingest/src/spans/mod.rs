//! Spans of applications beside the gateways, for the waterfall of a request.
//!
//! ```text
//! /v1/traces of another sender ─▶ wire/app_spans ─▶ spans.db, within its room ─▶ GET /api/v1/spans?trace_id=
//! ```
//!
//! Where there is a server, its table of spans (`clickhouse/spans.rs`) stands in place of the file.
//!
//! They are a help and not a record: a room of fixed size, from which the oldest go. [ADR 34](../../../../docs/adr/0034-spans-of-applications.md)
//! has the reasons.

mod file;
mod room;

use file::SpansFile;
pub(crate) use file::{MAX_OF_TRACE, SPANS_FILE, StoredPart, of_trace};

use crate::model::SpanPart;
use crate::store::reduce::Reduced;
use crate::store::{DataDir, Deed, Selection, StoreError};
use crate::sync::lock;
use std::sync::{Mutex, MutexGuard};

/// The file of spans in a running service.
pub(crate) struct Spans(Mutex<SpansFile>);

impl Spans {
    /// Opens the file in a data directory, with room for so many bytes of spans. One that is damaged is set aside.
    pub(crate) fn open(data: &DataDir, room: u64) -> Result<Self, StoreError> {
        let path = data.path().join(SPANS_FILE);
        let file = data.open_or_replace(&path, StoreError::is_damage, || SpansFile::open(&path, room))?;
        Ok(Self(Mutex::new(file)))
    }

    /// Keeps spans, in place of the oldest where the room is full. Blocks. `now` is in Unix nanoseconds.
    pub(crate) fn add(&self, parts: &[SpanPart], now: i64) -> Result<(), StoreError> {
        self.file().add(parts, now)
    }

    /// Removes those that were received before a time, in Unix nanoseconds. Blocks.
    pub(crate) fn prune(&self, before: i64) -> Result<(), StoreError> {
        self.file().prune(before)
    }

    /// Removes a part of the oldest, and gives their space back; `None` where the file has none. Blocks.
    pub(crate) fn reduce(&self) -> Result<Option<Reduced>, StoreError> {
        self.file().reduce()
    }

    /// Removes those of a selected environment, or counts them. Blocks. Spans name neither gateways nor consumers.
    pub(crate) fn forget(&self, selection: &Selection, deed: Deed) -> Result<u64, StoreError> {
        self.file().forget(selection, deed)
    }

    fn file(&self) -> MutexGuard<'_, SpansFile> {
        lock(&self.0)
    }
}
