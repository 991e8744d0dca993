//! Which series give their slots up when slots are scarce. The leader decides, from the values that it exports.
//!
//! Nothing is given up while less than [`SCARCE`] of a cap is taken. Above, names without requests for [`IDLE_NAME_NS`]
//! and series without any for [`IDLE_SERIES_NS`] go, the longest idle first. Where the cap is reached, a waiting name
//! replaces the one with the fewest requests as soon as it has [`FEWEST_REQUESTS`] and twice as many as that one.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use super::cardinality::NameKind;
use super::pending::{Pending, Place};
use super::series::Series;
use super::waiting::FEWEST_REQUESTS;
use crate::request::consumer::ANONYMOUS;
use crate::request::route::UNMATCHED;
use gatelens_model::order;

/// Time between two looks, nanoseconds.
pub const LOOK_NS: u64 = 10_000_000_000;

/// Share of a cap above which slots are scarce, percent.
const SCARCE: u64 = 90;

/// Share of a cap that idle names or series may keep, percent.
const ENOUGH: u64 = 80;

/// A name without a request for this long is idle, nanoseconds.
const IDLE_NAME_NS: u64 = 3_600_000_000_000;

/// A series without a request for this long is idle, nanoseconds. It is longer than for names, because each series that
/// begins anew costs the ingest another state.
const IDLE_SERIES_NS: u64 = 6 * IDLE_NAME_NS;

/// A name keeps its slot for at least this long, nanoseconds: few requests are a matter of chance.
const SHORTEST_STAY_NS: u64 = 30_000_000_000;

/// Maximum number of names of a dimension that are given up at one look.
const MAX_NAMES: usize = 16;

/// Maximum number of idle series that are given up at one look.
const MAX_SERIES: usize = 200;

/// A name that waits for a slot where none is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// Its dimension.
    pub kind: NameKind,
    /// The name.
    pub name: Box<str>,
    /// Its requests on one worker since it began to wait.
    pub requests: u64,
}

/// The leader's knowledge of the traffic in each slot.
#[derive(Debug, Default)]
pub struct Turnover {
    slots: HashMap<u32, Usage>,
    looked_ns: u64,
}

/// The traffic of the series in a slot.
#[derive(Clone, Copy, Debug)]
struct Usage {
    start_ns: u64,
    requests: u64,
    since_ns: u64,
    changed_ns: u64,
}

/// Names and series to give up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// All series with these names, by [`NameKind::ALL`].
    pub names: [HashSet<Box<str>>; 4],
    /// These series.
    pub places: HashSet<u32>,
}

/// The traffic of a name, over all of its series.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    requests: u64,
    since_ns: u64,
    changed_ns: u64,
}

impl Turnover {
    /// Notes the requests that the series in a place has had.
    pub fn note(&mut self, place: Place, requests: u64, now_ns: u64) {
        let fresh = Usage { start_ns: place.start_ns, requests, since_ns: now_ns, changed_ns: now_ns };
        let usage = self.slots.entry(place.slot).or_insert(fresh);
        if usage.start_ns != place.start_ns {
            *usage = fresh;
        } else if usage.requests != requests {
            (usage.requests, usage.changed_ns) = (requests, now_ns);
        }
    }

    /// Forgets everything: another worker leads.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    /// Whether it is time for a look. All workers ask, so that they bid at the same intervals.
    pub fn is_due(&mut self, now_ns: u64) -> bool {
        // A last look that is ahead was before the clock was set back.
        let is_due = now_ns.checked_sub(self.looked_ns).is_none_or(|passed_ns| passed_ns >= LOOK_NS);
        if is_due {
            self.looked_ns = now_ns;
        }
        is_due
    }

    /// The names that are given up now.
    pub fn look(&self, pending: &Pending, bids: &[Bid], now_ns: u64) -> GivenUp {
        let mut given_up = GivenUp::default();
        for (kind, given_up) in NameKind::ALL.into_iter().zip(&mut given_up.names) {
            let taken = pending.placed().names(kind) as u64;
            let cap = u64::from(pending.caps().names(kind));
            if cap > 0 && is_scarce(taken, cap) {
                let names = self.names_given_up(kind, pending, bids, [taken, cap], now_ns);
                given_up.extend(names.map(Box::from));
            }
        }
        let taken = u64::from(pending.placed().series());
        let cap = u64::from(pending.caps().series);
        if is_scarce(taken, cap) {
            given_up.places = self.idle_series(pending, taken.saturating_sub(enough(cap)), now_ns);
        }
        given_up
    }

    fn names_given_up<'a>(
        &self,
        kind: NameKind,
        pending: &'a Pending,
        bids: &[Bid],
        [taken, cap]: [u64; 2],
        now_ns: u64,
    ) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<(&str, Traffic)> = self.traffic(kind, pending, now_ns).into_iter().collect();
        let is_idle = |traffic: &Traffic| now_ns.saturating_sub(traffic.changed_ns) >= IDLE_NAME_NS;
        let spare = usize::try_from(taken.saturating_sub(enough(cap))).unwrap_or(usize::MAX).min(MAX_NAMES);
        order::sort_by_key(&mut names, |(_, traffic)| traffic.changed_ns);
        let idle = names.iter().take(spare).take_while(|(_, traffic)| is_idle(traffic)).count();
        let rest = names.split_off(idle);
        let mut given_up = names;
        if given_up.is_empty() && taken >= cap {
            given_up = replaced(rest, kind, bids, now_ns);
        }
        given_up.into_iter().map(|(name, _)| name)
    }

    /// Of names whose traffic is known, with the exception of those that stand for no name.
    fn traffic<'a>(&self, kind: NameKind, pending: &'a Pending, now_ns: u64) -> HashMap<&'a str, Traffic> {
        let mut names: HashMap<&str, Traffic> = HashMap::new();
        for (series, place) in pending.series() {
            let Series::Exact(dimensions) = series else { continue };
            let Some(name) = kind.of(&dimensions).filter(|name| ![ANONYMOUS, UNMATCHED].contains(name))
            else {
                continue;
            };
            // A series of which nothing is exported yet is a new one.
            let fresh = Usage { start_ns: place.start_ns, requests: 0, since_ns: now_ns, changed_ns: now_ns };
            let known = self.slots.get(&place.slot).filter(|usage| usage.start_ns == place.start_ns);
            let Usage { requests, since_ns, changed_ns, .. } = *known.unwrap_or(&fresh);
            let traffic = names.entry(name).or_insert(Traffic { requests: 0, since_ns, changed_ns });
            traffic.requests = traffic.requests.saturating_add(requests);
            traffic.since_ns = traffic.since_ns.min(since_ns);
            traffic.changed_ns = traffic.changed_ns.max(changed_ns);
        }
        names
    }

    fn idle_series(&self, pending: &Pending, spare: u64, now_ns: u64) -> HashSet<u32> {
        let mut idle: Vec<(u64, u32)> = Vec::new();
        for (series, place) in pending.series() {
            let usage = self.slots.get(&place.slot).filter(|usage| usage.start_ns == place.start_ns);
            if let (Series::Exact(_), Some(usage)) = (series, usage)
                && now_ns.saturating_sub(usage.changed_ns) >= IDLE_SERIES_NS
            {
                idle.push((usage.changed_ns, place.slot));
            }
        }
        order::sort_by_key(&mut idle, |place| *place);
        let most = usize::try_from(spare).unwrap_or(usize::MAX).min(MAX_SERIES);
        idle.into_iter().take(most).map(|(_, slot)| slot).collect()
    }
}

impl GivenUp {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(HashSet::is_empty) && self.places.is_empty()
    }

    /// Whether a series is.
    pub fn contains(&self, series: Series<'_>, place: Place) -> bool {
        let Series::Exact(dimensions) = series else { return false };
        let mut names = NameKind::ALL.iter().zip(&self.names);
        self.places.contains(&place.slot)
            || names.any(|(kind, names)| kind.of(&dimensions).is_some_and(|name| names.contains(name)))
    }
}

/// The names that bids replace: the one with the fewest requests by the highest bid, and so on.
fn replaced<'a>(
    mut names: Vec<(&'a str, Traffic)>,
    kind: NameKind,
    bids: &[Bid],
    now_ns: u64,
) -> Vec<(&'a str, Traffic)> {
    let mut bids: Vec<u64> = bids.iter().filter(|bid| bid.kind == kind).map(|bid| bid.requests).collect();
    order::sort_by_key(&mut bids, |bid| Reverse(*bid));
    names.retain(|(_, traffic)| now_ns.saturating_sub(traffic.since_ns) >= SHORTEST_STAY_NS);
    order::sort_by_key(&mut names, |(_, traffic)| traffic.requests);
    let pairs = names.into_iter().zip(bids).take(MAX_NAMES);
    let replaced = pairs.take_while(|((_, traffic), bid)| {
        *bid >= traffic.requests.saturating_mul(2).max(u64::from(FEWEST_REQUESTS))
    });
    replaced.map(|(name, _)| name).collect()
}

fn is_scarce(taken: u64, cap: u64) -> bool {
    taken.saturating_mul(100) >= cap.saturating_mul(SCARCE)
}

fn enough(cap: u64) -> u64 {
    cap.saturating_mul(ENOUGH) / 100
}
