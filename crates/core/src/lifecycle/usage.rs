//! Numbers that streams change at any time, even while the worker itself is in use.

use std::cell::Cell;

/// Time that redaction may take before its share of the time decides, nanoseconds. Bodies that end in one turn of the event
/// loop take at most this much, and the time of one body more.
const TURN_NS: u64 = 5_000_000;

/// Most bytes of bodies that wait for their redaction, decoded: some of the largest that `capture.max_body_bytes` allows.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// Most time that counts for a body, nanoseconds for each of its bytes. Redaction takes a small part of it. What is beyond,
/// the worker's thread did not run.
const MAX_NS_PER_BYTE: u64 = 1_000;

/// Most time that counts for a body in addition, nanoseconds.
const MAX_NS_PER_BODY: u64 = 200_000;

/// Use of one worker by its streams.
#[derive(Debug)]
pub(super) struct Usage {
    streams: Cell<u64>,
    uncounted: Cell<u64>,
    held_bytes: Cell<usize>,
    /// Bytes of bodies whose events wait for them; part of those that are held.
    waiting_bytes: Cell<usize>,
    /// Time that redaction may take now, nanoseconds. What it took beyond is subtracted from what it earns later.
    credit_ns: Cell<u64>,
    debt_ns: Cell<u64>,
    /// Up to when redaction has earned its share.
    earned_until_ns: Cell<u64>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            streams: Cell::default(),
            uncounted: Cell::default(),
            held_bytes: Cell::default(),
            waiting_bytes: Cell::default(),
            credit_ns: Cell::new(TURN_NS),
            debt_ns: Cell::default(),
            earned_until_ns: Cell::default(),
        }
    }
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

    /// Whether a body of this number of bytes, decoded, may wait for its redaction.
    pub(super) fn may_wait(&self, bytes: usize) -> bool {
        self.waiting_bytes.get().saturating_add(bytes) <= MAX_WAITING_BYTES
    }

    /// An event waits for bodies of this number of bytes.
    pub(super) fn begin_waiting(&self, bytes: usize) {
        self.waiting_bytes.set(self.waiting_bytes.get().saturating_add(bytes));
        self.hold(0, bytes);
    }

    /// It waits no more.
    pub(super) fn end_waiting(&self, bytes: usize) {
        self.waiting_bytes.set(self.waiting_bytes.get().saturating_sub(bytes));
        self.hold(bytes, 0);
    }

    /// Whether bodies may be redacted now. Redaction earns `percent` of the time that passes.
    pub(super) fn may_redact(&self, percent: u32, now_ns: u64) -> bool {
        let passed_ns = now_ns.saturating_sub(self.earned_until_ns.replace(now_ns));
        // A share of a longer time is more than a turn and than any debt.
        let earned_ns = passed_ns.min(3_600_000_000_000).saturating_mul(u64::from(percent)) / 100;
        let paid_ns = earned_ns.min(self.debt_ns.get());
        self.debt_ns.set(self.debt_ns.get().saturating_sub(paid_ns));
        let credit_ns = self.credit_ns.get().saturating_add(earned_ns.saturating_sub(paid_ns));
        self.credit_ns.set(credit_ns.min(TURN_NS));
        self.debt_ns.get() == 0 && self.credit_ns.get() > 0
    }

    /// A request with at most `bytes` of decoded bodies took this time.
    pub(super) fn redacted(&self, bytes: usize, nanoseconds: u64) {
        let most_ns = (bytes as u64).saturating_mul(MAX_NS_PER_BYTE).saturating_add(MAX_NS_PER_BODY);
        let spent_ns = nanoseconds.min(most_ns);
        let beyond_ns = spent_ns.saturating_sub(self.credit_ns.get());
        self.credit_ns.set(self.credit_ns.get().saturating_sub(spent_ns));
        self.debt_ns.set(self.debt_ns.get().saturating_add(beyond_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_turn_is_free_and_then_the_share_decides() {
        let usage = Usage::default();
        let mut now_ns = 1_000_000_000;
        assert!(usage.may_redact(20, now_ns));
        // The bodies of one turn: the third finds 1 ms left, and is in debt by 1 ms.
        for may in [true, true, true, false] {
            assert_eq!(usage.may_redact(20, now_ns), may);
            usage.redacted(if may { 100_000 } else { 0 }, if may { 2_000_000 } else { 0 });
        }
        now_ns += 4_999_999;
        assert!(!usage.may_redact(20, now_ns));
        now_ns += 100;
        assert!(usage.may_redact(20, now_ns));
        // A thread that did not run is not taken for work.
        usage.redacted(10, 1_000_000_000);
        now_ns += 2_000_000;
        assert!(usage.may_redact(20, now_ns));
        // A clock that goes back earns nothing.
        usage.redacted(100_000, 50_000_000);
        assert!(!usage.may_redact(20, 0));
        assert!(!usage.may_redact(20, 1));
    }

    proptest! {
        #[test]
        fn redaction_takes_its_share(percent in 1u32..=100, bodies in prop::collection::vec((0u64..20_000_000, 0u64..20_000_000), 0..200)) {
            let usage = Usage::default();
            let (mut now_ns, mut spent_ns, mut longest_ns) = (1u64 << 60, 0, 0);
            let begin_ns = now_ns;
            usage.may_redact(percent, now_ns);
            for (pause_ns, takes_ns) in bodies {
                now_ns += pause_ns;
                if usage.may_redact(percent, now_ns) {
                    now_ns += takes_ns;
                    usage.redacted(1_000_000, takes_ns);
                    (spent_ns, longest_ns) = (spent_ns + takes_ns, longest_ns.max(takes_ns));
                } else {
                    // All of it can be left out only where the share is less than all.
                    prop_assert!(percent < 100);
                }
                let share_ns = (now_ns - begin_ns) * u64::from(percent) / 100;
                prop_assert!(spent_ns <= share_ns + TURN_NS + longest_ns, "{} of {}", spent_ns, now_ns - begin_ns);
            }
        }
    }
}
