//! From cumulative states to the change that each of them adds, wherever states are kept.
//!
//! A sender repeats its whole state; the ingest keeps the latest of each stream and adds the change. Points may arrive
//! late, twice or never: a point whose counts are lower than what is known was overtaken, and adds nothing. A new life
//! of the counters has a new epoch, and a series that begins anew within an epoch has a new start. Each is a stream of
//! its own, so that a fall is never a reset.

use super::Values;

const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// The knowledge of a stream when a point arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and almost always a state")]
pub(crate) enum Known {
    /// Nothing: the stream begins, and all that the point holds is new.
    Nothing,
    /// Its gateway was silent for longer than states are kept. Its counts were counted before, or are lost;
    /// they are not added, because counting them again would double-count.
    Forgotten,
    /// The latest state.
    State(Values),
}

/// The effect of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advance {
    /// The change of the counts.
    pub(crate) added: Values,
    /// The state to keep, where it is another than before.
    pub(crate) state: Option<State>,
}

/// The state of a stream after a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) values: Values,
    pub(crate) step: Step,
}

/// How a state follows from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was none that is known.
    First,
    /// It is the sum of the one before and the change.
    Sum,
    /// A part of it fell while its count rose, which only a sender that is wrong sends.
    Other,
}

/// Moves a cumulative stream to a point.
pub(crate) fn advance(known: Known, point: &Values) -> Advance {
    let first = || Some(State { values: point.clone(), step: Step::First });
    match known {
        Known::Nothing if point.is_empty() => Advance { added: Values::default(), state: None },
        Known::Nothing => Advance { added: point.clone(), state: first() },
        Known::Forgotten => Advance { added: Values::default(), state: first() },
        Known::State(before) => {
            let added = point.since(&before);
            if added.is_empty() {
                return Advance { added, state: None };
            }
            let mut values = before;
            values.add(&added);
            let mut step = Step::Sum;
            if values.replace_risen(point, &added) {
                step = Step::Other;
            }
            Advance { added, state: Some(State { values, step }) }
        }
    }
}

/// The Unix minute that a point at `time` (Unix nanoseconds) counts in. A point covers the time up to its own, so a
/// full minute belongs to the one before.
pub(crate) fn minute_of(time: i64) -> i64 {
    time.saturating_sub(1).div_euclid(NANOS_PER_MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ByBound, Tally, Timing};
    use gatelens_model::sketch::Sketch;
    use proptest::prelude::*;

    /// The state after requests of these durations, of which every second reached an upstream.
    fn state(durations: &[u64]) -> Values {
        let timing = |durations: &mut dyn Iterator<Item = u64>| {
            let mut sketch = Sketch::default();
            durations.for_each(|ns| sketch.insert(ns));
            Timing { count: sketch.count, sketch }
        };
        let count = durations.len() as u64;
        Values {
            duration: timing(&mut durations.iter().copied()),
            upstream: timing(&mut durations.iter().copied().step_by(2)),
            gateway: Timing::default(),
            request_bytes: Tally { count, sum: count * 100 },
            response_bytes: Tally { count, sum: durations.iter().sum() },
            attempts: Tally { count: 2 * count, sum: 2 * count },
            by_bound: ByBound::default(),
        }
    }

    /// Feeds points in order to a stream of which nothing is known, and adds up what they add.
    fn total(points: &[&Values]) -> Values {
        let mut known = Known::Nothing;
        let mut sum = Values::default();
        for point in points {
            let Advance { added, state } = advance(known.clone(), point);
            sum.add(&added);
            known = state.map_or(known, |state| Known::State(state.values));
        }
        sum
    }

    proptest! {
        #[test]
        fn each_request_counts_once_in_whatever_order_points_arrive(
            durations in prop::collection::vec(0u64..1 << 40, 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let prefixes: Vec<usize> = order.iter().map(|index| index.index(durations.len() + 1)).collect();
            let states: Vec<Values> = prefixes.iter().map(|until| state(&durations[..*until])).collect();
            let latest = prefixes.iter().copied().max().unwrap_or_default();
            prop_assert_eq!(total(&states.iter().collect::<Vec<_>>()), state(&durations[..latest]));
        }
    }

    #[test]
    fn an_overtaken_point_adds_nothing_and_keeps_the_state() {
        let (early, late) = (state(&[1, 2]), state(&[1, 2, 3]));
        let Advance { added, state } = advance(Known::State(late.clone()), &early);
        assert!(added.is_empty() && state.is_none());
        assert_eq!(advance(Known::State(late.clone()), &late).state, None);
    }

    #[test]
    fn instruments_that_arrive_apart_advance_apart() {
        let whole = state(&[5, 6, 7]);
        let sizes = Values { duration: Timing::default(), upstream: Timing::default(), ..whole.clone() };
        let times = Values {
            request_bytes: Tally::default(),
            response_bytes: Tally::default(),
            attempts: Tally::default(),
            ..whole.clone()
        };
        assert_eq!(total(&[&sizes, &times]), whole);
        assert_eq!(total(&[&times, &sizes, &whole]), whole);
    }

    #[test]
    fn a_new_epoch_is_a_stream_of_its_own_and_counts_from_its_start() {
        let (first, second) = (state(&[1, 2, 3]), state(&[4]));
        let mut sum = total(&[&first]);
        sum.add(&total(&[&second]));
        assert_eq!(sum, state(&[1, 2, 3, 4]).clone_with_upstream(&[1, 3, 4]));
        // Within one stream the same fall is a point that was overtaken.
        assert_eq!(total(&[&first, &second]), first);
    }

    impl Values {
        fn clone_with_upstream(&self, durations: &[u64]) -> Self {
            let mut sketch = Sketch::default();
            durations.iter().for_each(|ns| sketch.insert(*ns));
            Self { upstream: Timing { count: sketch.count, sketch }, ..self.clone() }
        }
    }

    #[test]
    fn a_stream_that_was_forgotten_counts_from_its_next_point_on() {
        let (first, second) = (state(&[1, 2, 3]), state(&[1, 2, 3, 4]));
        let Advance { added, state } = advance(Known::Forgotten, &first);
        assert!(added.is_empty());
        assert_eq!(state, Some(State { values: first.clone(), step: Step::First }));
        assert_eq!(advance(Known::State(first), &second).added.request_bytes, Tally { count: 1, sum: 100 });
    }

    #[test]
    fn counts_saturate() {
        let most = Tally { count: u64::MAX, sum: u64::MAX };
        let mut values = Values { request_bytes: most, ..Values::default() };
        values.add(&values.clone());
        assert_eq!(values.request_bytes, most);
        // A sum that fell although the count rose comes from a sender that is wrong; it takes nothing back.
        let before = Values { request_bytes: Tally { count: 1, sum: 500 }, ..Values::default() };
        let after = Values { request_bytes: Tally { count: 2, sum: 100 }, ..Values::default() };
        assert_eq!(advance(Known::State(before), &after).added.request_bytes, Tally { count: 1, sum: 0 });
    }

    #[test]
    fn a_full_minute_belongs_to_the_one_before() {
        let times = [0, 1, NANOS_PER_MINUTE, NANOS_PER_MINUTE + 1, i64::MIN];
        assert_eq!(times.map(minute_of), [-1, 0, 0, 1, i64::MIN.div_euclid(NANOS_PER_MINUTE)]);
    }
}
