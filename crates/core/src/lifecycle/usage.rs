//! Numbers that streams change at any time, even while the worker itself is in use.

use std::cell::Cell;

/// Redaction may take this much of the time from one tick to the next, which is at most half a second: half of it.
const MAX_REDACTING_NS: u64 = 250_000_000;

/// Use of one worker by its streams.
#[derive(Debug, Default)]
pub(super) struct Usage {
    streams: Cell<u64>,
    uncounted: Cell<u64>,
    held_bytes: Cell<usize>,
    redacting_ns: Cell<u64>,
}

impl Usage {
    /// A stream begins that a filter sees.
    pub(super) fn begin_stream(&self) {
        self.streams.set(self.streams.get().saturating_add(1));
    }

    /// That stream is over, however it ended.
    pub(super) fn end_stream(&self) {
        self.streams.set(self.streams.get().saturating_sub(1));
    }

    /// Streams in progress that filters see.
    pub(super) fn streams(&self) -> u64 {
        self.streams.get()
    }

    /// A request could not be counted.
    pub(super) fn leave_uncounted(&self) {
        self.uncounted.set(self.uncounted.get().saturating_add(1));
    }

    /// Requests that could not be counted.
    pub(super) fn uncounted(&self) -> u64 {
        self.uncounted.get()
    }

    /// A filter holds `now` bytes of bodies instead of `before`.
    pub(super) fn hold(&self, before: usize, now: usize) {
        self.held_bytes.set(self.held_bytes.get().saturating_sub(before).saturating_add(now));
    }

    /// Bytes of bodies that filters may hold beyond those that they hold now.
    pub(super) fn room_for_bodies(&self, max_bytes: usize) -> usize {
        max_bytes.saturating_sub(self.held_bytes.get())
    }

    /// Time was spent on a request with redacted bodies.
    pub(super) fn redacted(&self, nanoseconds: u64) {
        self.redacting_ns.set(self.redacting_ns.get().saturating_add(nanoseconds));
    }

    /// Whether redaction has used its share of the time since the last tick: other streams wait for it, and a worker
    /// that does not tick counts as lost.
    pub(super) fn is_overloaded(&self) -> bool {
        self.redacting_ns.get() >= MAX_REDACTING_NS
    }

    /// A tick begins.
    pub(super) fn on_tick(&self) {
        self.redacting_ns.set(0);
    }
}
