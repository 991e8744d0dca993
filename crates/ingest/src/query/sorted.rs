//! The order of the rows of `summary`.

use super::compare::Compare;
use super::params::Params;
use super::rollup::Sums;
use crate::error::QueryError;

/// Fewer requests on either side say nothing about a percentile.
const FEW: u64 = 20;
/// An error weighs more than any percentile that has become slower: a percentile counts with the logarithm of its growth.
const ERROR: f64 = 1_000.0;

/// The order, always the greatest first, and those with more requests first among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Requests,
    Errors,
    P95,
    /// By what got worse: errors that there would not have been at the share of before, then a slower 95th percentile.
    Change,
}

impl Sort {
    const ALL: [(&str, Self); 4] = [
        ("requests", Self::Requests),
        ("errors", Self::Errors),
        ("p95", Self::P95),
        ("change", Self::Change),
    ];

    /// Reads the parameter.
    pub(super) fn read(params: &Params, compare: Option<Compare>) -> Result<Self, QueryError> {
        let Some(text) = params.one("sort")? else { return Ok(Self::Requests) };
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        let Some((_, sort)) = known else {
            let known = Self::ALL.map(|(name, _)| name).join(", ");
            let message = format!("cannot sort by {text:?}: expected one of {known}");
            return Err(QueryError::parameter("sort", message));
        };
        if *sort == Self::Change && compare.is_none() {
            let message =
                "sort=change is the change since another stretch: add compare, such as compare=previous";
            return Err(QueryError::parameter("sort", message));
        }
        Ok(*sort)
    }

    /// Puts places of groups, which are in the order of their requests, in this one. The sums are those now and before.
    pub(super) fn apply(self, places: &mut [usize], [now, before]: [&[Option<Sums>]; 2]) {
        if self == Self::Requests {
            return;
        }
        let value = |place: &usize| {
            let [now, before] = [now, before].map(|sums| sums.get(*place).and_then(Option::as_ref));
            self.value(now, before)
        };
        let mut valued: Vec<(f64, usize)> = places.iter().map(|place| (value(place), *place)).collect();
        valued.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        for (place, (_, sorted)) in places.iter_mut().zip(valued) {
            *place = sorted;
        }
    }

    fn value(self, now: Option<&Sums>, before: Option<&Sums>) -> f64 {
        match self {
            Self::Requests => now.map_or(0.0, |now| now.requests as f64),
            Self::Errors => now.map_or(0.0, |now| now.errors as f64),
            Self::P95 => now.and_then(p95).unwrap_or(-1.0),
            Self::Change => worsening(now, before),
        }
    }
}

fn p95(sums: &Sums) -> Option<f64> {
    sums.duration.quantile(0.95)
}

/// How much worse a group is than before. The page has the same rule (`compare.ts`).
fn worsening(now: Option<&Sums>, before: Option<&Sums>) -> f64 {
    let counts = |sums: Option<&Sums>| sums.map_or((0, 0), |sums| (sums.requests, sums.errors));
    let ((requests, errors), (earlier, earlier_errors)) = (counts(now), counts(before));
    let share = if earlier == 0 { 0.0 } else { earlier_errors as f64 / earlier as f64 };
    let more_errors = (errors as f64 - share * requests as f64).round();
    let slower = match (now.and_then(p95), before.and_then(p95)) {
        (Some(now), Some(before)) if requests.min(earlier) >= FEW && now > 0.0 && before > 0.0 => {
            (now / before).ln()
        }
        _ => 0.0,
    };
    more_errors * ERROR + slower
}
