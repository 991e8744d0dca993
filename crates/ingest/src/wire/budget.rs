//! Memory for the content of a body, held before it is made.
//!
//! Two bytes on the wire can become a record of a kilobyte. A reader therefore states what it is about to make, record by
//! record, and goes on only if there is room. It states two kinds: memory that is kept with the batch until that is
//! stored, and memory that passes with one record or point, of which the largest counts once.

use super::Unreadable;

/// Memory is asked for in steps of at most this: bytes.
const STEP: usize = 256 << 10;
/// Lists and tables have room for more than they hold while they grow. What is kept is divided into parts, so that only
/// the open one does: bytes.
const MAX_GROWTH: usize = 8 << 20;
/// What passes with any part of a body, such as the record itself and small lists: bytes.
const BASE_BYTES: usize = 4096;

/// The memory of one body.
pub(crate) struct Budget<'a> {
    /// Sets so many bytes aside; `false` if there is no room now.
    hold: &'a mut dyn FnMut(usize) -> bool,
    limit: usize,
    held: usize,
    kept: usize,
    passing: usize,
}

impl<'a> Budget<'a> {
    /// Nothing yet, and at most `limit` bytes.
    pub(crate) fn new(limit: usize, hold: &'a mut dyn FnMut(usize) -> bool) -> Self {
        Self { hold, limit, held: 0, kept: 0, passing: 0 }
    }

    /// Holds memory that stays with the batch.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), Unreadable> {
        self.kept = self.kept.saturating_add(bytes);
        self.reserve()
    }

    /// Holds memory that one part of the body takes while it is read.
    pub(super) fn pass(&mut self, bytes: usize) -> Result<(), Unreadable> {
        self.passing = self.passing.max(bytes.saturating_add(BASE_BYTES));
        self.reserve()
    }

    /// What was stated: bytes.
    pub(crate) fn stated(&self) -> usize {
        let growth = self.kept.saturating_mul(3).min(MAX_GROWTH);
        self.kept.saturating_add(growth).saturating_add(self.passing)
    }

    fn reserve(&mut self) -> Result<(), Unreadable> {
        let stated = self.stated();
        if stated > self.limit {
            return Err(Unreadable::TooMany { limit: self.limit });
        }
        if stated > self.held {
            let step = STEP.min(stated / 2).min(self.limit - self.held);
            let more = (stated - self.held).max(step);
            if !(self.hold)(more) {
                return Err(Unreadable::NoRoom);
            }
            self.held += more;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_adds_up_and_of_what_passes_the_largest_counts() {
        let mut held = 0;
        let mut hold = |bytes| {
            held += bytes;
            true
        };
        let mut budget = Budget::new(100 << 20, &mut hold);
        budget.keep(10_000_000).unwrap();
        budget.pass(500_000).unwrap();
        budget.pass(200_000).unwrap();
        budget.keep(1).unwrap();
        let expected = 10_000_001 + MAX_GROWTH + 500_000 + BASE_BYTES;
        assert_eq!(budget.stated(), expected);
        assert!(held >= expected && held < expected + 2 * STEP, "{held}");
    }

    #[test]
    fn a_body_beyond_its_limit_is_too_large_and_one_without_room_may_come_again() {
        let refused = |limit, room| {
            let mut hold = |_| room;
            Budget::new(limit, &mut hold).pass(10_000 - BASE_BYTES)
        };
        assert!(matches!(refused(9_999, true), Err(Unreadable::TooMany { .. })));
        assert!(matches!(refused(10_000, false), Err(Unreadable::NoRoom)));
        assert!(refused(10_000, true).is_ok());
    }
}
