//! Names that wait for a slot of their own.
//!
//! Up to 60 % of a cap the first requests of a name take a slot. Above, a name waits for its second request, so that the
//! paths of a scanner and the identifiers of an attacker, which come once, take no slots from names with traffic. The
//! requests of a name that waits are counted in overflow, and stay there.

use hashbrown::HashMap;

/// Maximum number of names of a dimension that wait on one worker.
pub const MAX_WAITING: usize = 2_000;

/// Requests with which a name may replace another one.
pub const FEWEST_REQUESTS: u32 = 4;

/// Requests after which a name gets a slot, if there is one.
const ENOUGH: u32 = 2;

/// Names of one dimension that wait, each with its requests on this worker since it began to wait.
#[derive(Debug, Default)]
pub struct Waiting(HashMap<Box<str>, u32>);

/// Whether a name may take a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It waits; the request is counted in overflow.
    Waits,
}

impl Waiting {
    /// Counts requests of a name that has no slot while `taken` of the slots are taken. One that may take a slot stays in
    /// the list until it [`Self::has`] one.
    pub fn request(&mut self, name: &str, requests: u64, taken: usize, cap: u32) -> Admission {
        let cap = cap as usize;
        if taken.saturating_mul(10) < cap.saturating_mul(6) {
            return Admission::Admitted;
        }
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let all = match self.0.get_mut(name) {
            Some(before) => {
                *before = before.saturating_add(requests);
                *before
            }
            None => {
                if self.0.len() >= MAX_WAITING {
                    self.forget_rare();
                }
                self.0.insert(name.into(), requests);
                requests
            }
        };
        if taken < cap && all >= ENOUGH { Admission::Admitted } else { Admission::Waits }
    }

    /// A name has a slot.
    pub fn has(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.remove(name);
        }
    }

    /// Those with at least this many requests.
    pub fn with_at_least(&self, requests: u32) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().filter(move |(_, count)| **count >= requests).map(|(name, count)| (&**name, *count))
    }

    /// Halves all counts and forgets the names with none, until a half of the list is free. One that came once is
    /// forgotten at once, so a flood of them costs frequent names no more than half of their count.
    fn forget_rare(&mut self) {
        while self.0.len() > MAX_WAITING / 2 {
            self.0.retain(|_, requests| {
                *requests /= 2;
                *requests > 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_waits_for_its_second_request_above_sixty_percent() {
        let mut waiting = Waiting::default();
        let mut check = |name: &str, taken: usize, expected: Admission| {
            assert_eq!(waiting.request(name, 1, taken, 10), expected, "{name} with {taken}");
        };
        check("/first", 5, Admission::Admitted);
        check("/a", 6, Admission::Waits);
        check("/b", 9, Admission::Waits);
        check("/a", 9, Admission::Admitted);
        // Where nothing is free it waits on, and gets the next slot at once.
        check("/b", 10, Admission::Waits);
        check("/b", 10, Admission::Waits);
        check("/b", 9, Admission::Admitted);
        // Once it has a slot it is forgotten here.
        waiting.has("/b");
        assert_eq!(waiting.request("/b", 1, 9, 10), Admission::Waits);
    }

    #[test]
    fn the_list_is_bounded_and_keeps_frequent_names() {
        let mut waiting = Waiting::default();
        for n in 0..50_000 {
            waiting.request(&format!("/scan/{n}"), 1, 10, 10);
            if n % 100 == 0 {
                waiting.request("/frequent", 1, 10, 10);
            }
            assert!(waiting.0.len() <= MAX_WAITING);
        }
        assert_eq!(waiting.with_at_least(4).map(|(name, _)| name).collect::<Vec<_>>(), ["/frequent"]);
    }
}
