//! Which of several replicas evaluates: the one whose name is the first of those that are there.
//!
//! A name begins with the server's time at which its replica came, so that whoever is new stands last and takes nothing from a
//! replica at work. A replica that could not show itself for a while comes anew, under another name. Time is an argument.

use crate::clickhouse::PRESENT;
use std::time::{Duration, Instant};

/// Time between two showings.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// Time after the beginning of its last showing for which a replica may evaluate. Others take it for gone later than that:
/// [`PRESENT`].
pub(super) const HOLD: Duration = Duration::from_secs(10);
const _: () = assert!(HOLD.as_secs() < PRESENT.as_secs(), "two would evaluate");

/// The lease of one replica.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Its name; empty until it comes.
    replica: String,
    /// The beginning of the last showing that the server has answered.
    shown: Option<Instant>,
    /// One that came at the same time, and does not know of this one yet, may evaluate until then.
    waits_until: Option<Instant>,
    is_first: bool,
    /// Times that it became the first.
    terms: u64,
}

impl Lease {
    /// The name under which the replica shows itself, if it still counts.
    pub(super) fn name(&self, now: Instant) -> Option<&str> {
        self.is_fresh(now).then_some(self.replica.as_str())
    }

    /// The replica comes under a new name.
    pub(super) fn come(&mut self, replica: String) {
        *self = Self { replica, terms: self.terms, ..Self::default() };
    }

    /// The server has answered a showing that began and ended at these times: with the replicas that are there, in their order.
    pub(super) fn shown(&mut self, (begun, ended): (Instant, Instant), present: &[String]) {
        if self.shown.is_none() && present.iter().any(|other| *other != self.replica) {
            self.waits_until = Some(ended + HOLD);
        }
        let is_first = present.first() == Some(&self.replica);
        if is_first && !self.is_first {
            self.terms += 1;
        }
        (self.shown, self.is_first) = (Some(begun), is_first);
    }

    /// The number of the time for which it may evaluate; `None` when another one may, or nobody knows.
    pub(super) fn term(&self, now: Instant) -> Option<u64> {
        let has_waited = self.waits_until.is_none_or(|until| now >= until);
        (self.is_first && has_waited && self.is_fresh(now)).then_some(self.terms)
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.shown.is_some_and(|shown| now.saturating_duration_since(shown) < HOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn came(name: &str) -> Lease {
        let mut lease = Lease::default();
        lease.come(name.to_owned());
        lease
    }

    #[test]
    fn the_first_one_that_is_alone_evaluates_at_once_until_it_is_out_of_touch() {
        let start = Instant::now();
        let mut lease = came("a");
        assert_eq!(lease.term(start), None);
        lease.shown((start, at(start, 1)), &names(&["a"]));
        assert_eq!((lease.term(at(start, 1)), lease.name(at(start, 1))), (Some(1), Some("a")));
        lease.shown((at(start, 5), at(start, 5)), &names(&["a", "b"]));
        assert_eq!(lease.term(at(start, 14)), Some(1));
        assert_eq!((lease.term(at(start, 15)), lease.name(at(start, 15))), (None, None));
        // It comes back behind the other one, and again before it when that one has gone.
        lease.come("c".to_owned());
        lease.shown((at(start, 20), at(start, 20)), &names(&["b", "c"]));
        assert_eq!(lease.term(at(start, 20)), None);
        lease.shown((at(start, 25), at(start, 25)), &names(&["c"]));
        assert_eq!((lease.term(at(start, 25)), lease.term(at(start, 30))), (None, Some(2)));
    }

    #[test]
    fn one_that_is_first_and_not_alone_waits_for_others_that_do_not_know() {
        let start = Instant::now();
        let mut lease = came("a");
        for seconds in [0, 5, 9] {
            lease.shown((at(start, seconds), at(start, seconds)), &names(&["a", "b"]));
            assert_eq!(lease.term(at(start, seconds)), None);
        }
        assert_eq!(lease.term(at(start, 10)), Some(1));
    }

    proptest! {
        /// Replicas that come, stall and lose touch in any way: two never evaluate at once, as long as clocks run alike.
        #[test]
        fn one_at_most_evaluates(
            // What each replica does in each second: whether it shows itself, and how long the answer takes.
            seconds in prop::collection::vec(prop::collection::vec((0u8..3, 0u64..4), 3), 1..120),
        ) {
            let start = Instant::now();
            let mut leases = [Lease::default(), Lease::default(), Lease::default()];
            // By name, the time of the server at which it was seen.
            let mut seen: std::collections::BTreeMap<String, u64> = Default::default();
            // A showing under way: its beginning, its end, and what it found.
            let mut under_way: [Option<(u64, u64, Vec<String>)>; 3] = Default::default();
            for (second, actions) in (0u64..).zip(seconds) {
                let now = at(start, second);
                for (place, (shows, takes)) in actions.into_iter().enumerate() {
                    if let Some((begun, ends, present)) = under_way[place].take() {
                        if second < ends {
                            under_way[place] = Some((begun, ends, present));
                        } else {
                            leases[place].shown((at(start, begun), now), &present);
                        }
                    }
                    if under_way[place].is_none() && shows == 0 {
                        if leases[place].name(now).is_none() {
                            leases[place].come(format!("{second:04}-{}", 9 - place));
                        }
                        let name = leases[place].replica.clone();
                        seen.insert(name, second);
                        let present = seen.iter().filter(|(_, seen)| second - **seen <= PRESENT.as_secs());
                        let present = present.map(|(name, _)| name.clone()).collect();
                        under_way[place] = Some((second, second + takes, present));
                    }
                }
                let acting = leases.iter().filter(|lease| lease.term(now).is_some()).count();
                prop_assert!(acting <= 1, "{leases:?} at {second}");
            }
        }
    }
}
