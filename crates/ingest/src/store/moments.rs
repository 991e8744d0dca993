//! When the counts of each half hour changed last, so that sums which were read before can be used again.
//!
//! A writer notes a change before its commit and again after it. A reader takes the moment before it opens its snapshot, and
//! asks about changes after it has opened the next one. So a change that a snapshot may lack always counts as later than
//! that snapshot. Nothing of it is stored: sums are kept in memory only.

use crate::sync::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

const HALF_HOUR_MINUTES: i64 = 30;
/// Half hours with a moment of their own: more than the 13 months that they are kept. Beyond, all count as changed.
const MAX_HALF_HOURS: usize = 20_000;

/// A place in the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(u64);

/// The changes of a file of counters since its writer started. Without a writer in this process, nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Moments {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Whether a writer of this process notes its changes here.
    is_noted: bool,
    latest: Moment,
    /// The last change that may have been anywhere.
    anywhere: Moment,
    /// The last change of each half hour, by its number.
    half_hours: BTreeMap<i64, Moment>,
}

/// What a writer is about to change.
#[derive(Debug, Clone)]
pub(super) enum Touched {
    /// Half hours, by their number.
    HalfHours(BTreeSet<i64>),
    Anything,
}

/// Changes up to a look at them.
#[derive(Debug, Clone)]
pub(crate) struct Seen(State);

/// A change under way, which is noted again when this is dropped.
pub(super) struct Noted<'a> {
    moments: &'a Moments,
    touched: Touched,
}

/// The number of the half hour that holds a Unix minute.
pub(super) fn half_hour_of(minute: i64) -> i64 {
    minute.div_euclid(HALF_HOUR_MINUTES)
}

impl Moments {
    /// The present moment. To be taken before a snapshot is opened.
    pub(crate) fn moment(&self) -> Moment {
        self.state().latest
    }

    /// The changes until now. To be taken after a snapshot was opened.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.state().clone())
    }

    /// Begins to note changes: the caller is the only writer.
    pub(super) fn begin(&self) {
        self.state().is_noted = true;
        drop(self.during(Touched::Anything));
    }

    /// Notes a change that is committed before the returned value is dropped.
    pub(super) fn during(&self, touched: Touched) -> Noted<'_> {
        self.note(&touched);
        Noted { moments: self, touched }
    }

    fn note(&self, touched: &Touched) {
        let mut state = self.state();
        state.latest.0 += 1;
        let latest = state.latest;
        match touched {
            Touched::HalfHours(half_hours) => {
                state.half_hours.extend(half_hours.iter().map(|half_hour| (*half_hour, latest)));
                if state.half_hours.len() > MAX_HALF_HOURS {
                    state.half_hours.clear();
                    state.anywhere = latest;
                }
            }
            Touched::Anything => {
                state.half_hours.clear();
                state.anywhere = latest;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Seen {
    /// Whether the counts of these Unix minutes (the end exclusive) are those of a snapshot that was opened after a moment.
    pub(crate) fn is_unchanged(&self, (from, to): (i64, i64), since: Moment) -> bool {
        let half_hours = half_hour_of(from)..=half_hour_of(to.saturating_sub(1).max(from));
        self.0.is_noted
            && self.0.anywhere <= since
            && self.0.half_hours.range(half_hours).all(|(_, changed)| *changed <= since)
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.moments.note(&self.touched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_hours(numbers: &[i64]) -> Touched {
        Touched::HalfHours(numbers.iter().copied().collect())
    }

    #[test]
    fn without_a_writer_everything_may_have_changed() {
        let moments = Moments::default();
        assert!(!moments.seen().is_unchanged((0, 30), moments.moment()));
        moments.begin();
        assert!(moments.seen().is_unchanged((0, 30), moments.moment()));
    }

    #[test]
    fn a_change_is_one_of_its_half_hours_only() {
        let moments = Moments::default();
        moments.begin();
        let before = moments.moment();
        drop(moments.during(half_hours(&[2])));
        let seen = moments.seen();
        assert!(seen.is_unchanged((0, 60), before));
        assert!(!seen.is_unchanged((0, 61), before));
        assert!(!seen.is_unchanged((89, 90), before));
        assert!(seen.is_unchanged((90, 91), before));
        assert!(seen.is_unchanged((60, 90), moments.moment()));
        drop(moments.during(Touched::Anything));
        assert!(!moments.seen().is_unchanged((0, 30), before));
    }

    /// The snapshot may have been opened before the commit or after it.
    #[test]
    fn a_change_under_way_counts_as_later() {
        let moments = Moments::default();
        moments.begin();
        let noted = moments.during(half_hours(&[0]));
        let moment = moments.moment();
        drop(noted);
        assert!(!moments.seen().is_unchanged((0, 30), moment));
    }

    #[test]
    fn more_half_hours_than_are_kept_are_all_changed() {
        let moments = Moments::default();
        moments.begin();
        let before = moments.moment();
        drop(moments.during(half_hours(&(0..=MAX_HALF_HOURS as i64).collect::<Vec<_>>())));
        assert!(!moments.seen().is_unchanged((-60, -30), before));
        assert!(moments.state().half_hours.len() <= MAX_HALF_HOURS);
    }
}
