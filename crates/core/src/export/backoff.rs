//! Pauses between attempts to deliver.

use std::time::Duration;

use super::MAX_AGE;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Pause after failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
    until_ns: u64,
}

impl Backoff {
    /// Whether an attempt may be made.
    pub fn is_over(&self, now_ns: u64) -> bool {
        // An end further ahead than any back-off was set before the clock was set back.
        now_ns >= self.until_ns || self.until_ns.saturating_sub(now_ns) > MAX_AGE.as_nanos() as u64
    }

    /// Whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Forgets all failures.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Waits longer than before: one second, then half as much again each time up to 30 s. `random` varies each pause
    /// between half and one and a half times that. It is at least as long as the `retry-after` of the receiver.
    pub fn failed(&mut self, now_ns: u64, random: u64, not_before: Option<Duration>) {
        let mut wait = FIRST_BACKOFF.as_millis() as u64;
        for _ in 0..self.failures.min(16) {
            wait = wait.saturating_mul(3) / 2;
        }
        wait = wait.min(LONGEST_BACKOFF.as_millis() as u64);
        let jittered = (wait / 2).saturating_add(random.checked_rem(wait.max(1)).unwrap_or(0));
        let asked_for = not_before.map_or(0, |wait| wait.as_millis() as u64);
        self.failures = self.failures.saturating_add(1);
        self.until_ns = now_ns.saturating_add(jittered.max(asked_for).saturating_mul(1_000_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn back_off_stays_within_its_bounds(failures in 1u32..100, random in any::<u64>()) {
            let mut backoff = Backoff::default();
            (0..failures).for_each(|_| backoff.failed(0, random, None));
            let wait = backoff.until_ns / 1_000_000;
            prop_assert!((500..=45_000).contains(&wait), "{wait} ms");
            prop_assert!(!backoff.is_over(0) && backoff.is_over(backoff.until_ns));
        }
    }
}
