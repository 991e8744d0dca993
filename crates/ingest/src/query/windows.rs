//! Sums over stretches of minutes, for alerts: the same rollups that `summary` adds up.

use super::counts;
use super::dimension::Dimension;
use super::filter::Filter;
use super::range::Range;
use super::rollup::{Counted, Groups, MINUTE_NANOS, Sums};
use crate::error::QueryError;
use crate::limits::Limits;
use std::time::Instant;

const HALF_HOUR_SECONDS: i64 = 1800;

/// A question for the sums of several stretches of the same traffic.
pub(crate) struct WindowsQuery<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) by: &'a [Dimension],
}

/// The sums of a stretch.
#[derive(Default)]
pub(crate) struct Window {
    /// Values of the dimensions that were grouped by, in their order, and the sums. Groups without requests are absent.
    pub(crate) groups: Vec<(Vec<String>, Sums)>,
    /// Whether some of its counts are known only in sum over a longer time, because a gateway could not report.
    pub(crate) is_coarse: bool,
    /// Whether it begins before the first minute that is kept, so that it may be wider than asked for.
    pub(crate) is_widened: bool,
}

impl WindowsQuery<'_> {
    /// Calls `next` for a stretch until it has none, and gives it the sums: `next` is called with the answer to the
    /// previous stretch.
    pub(super) fn answer(
        &self,
        counted: &dyn Counted,
        limits: &Limits,
        next: &mut dyn FnMut(Option<Window>) -> Option<Range>,
    ) -> Result<(), QueryError> {
        let deadline = Instant::now() + limits.query_timeout;
        let mut groups = Groups::find(counted, self.filter, self.by, limits)?;
        let since = counted.since()?.saturating_mul(MINUTE_NANOS);
        let mut asked = next(None);
        while let Some(range) = asked {
            // Adding up takes no instruction of SQLite, whose deadline would not end it.
            if Instant::now() > deadline {
                return Err(QueryError::TooSlow);
            }
            let wide = range.widened_before(since, HALF_HOUR_SECONDS);
            let window = self.window(counted, &mut groups, wide)?;
            asked = next(Some(Window { is_widened: range.from < since, ..window }));
        }
        Ok(())
    }

    fn window(&self, counted: &dyn Counted, groups: &mut Groups, range: Range) -> Result<Window, QueryError> {
        let mut sums = vec![None; groups.all.len()];
        let minutes = (range.from.div_euclid(MINUTE_NANOS), range.to.div_euclid(MINUTE_NANOS));
        counted.add_up(minutes, groups, None, &mut sums)?;
        let found = groups.all.iter().zip(sums).filter_map(|(group, sums)| Some((group.texts(), sums?)));
        let is_coarse = !counts::coarse_spans(counted.file(), range, self.filter)?.is_empty();
        Ok(Window { groups: found.collect(), is_coarse, is_widened: false })
    }
}
