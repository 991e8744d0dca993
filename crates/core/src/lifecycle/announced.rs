//! The names and groups that a worker has already sent, so that an event has them only where they are news.
//!
//! A batch can be lost, and the ingest can be replaced. So they are repeated, at most once in [`REPEAT`] for each consumer.

use std::time::Duration;

use hashbrown::HashMap;

use crate::hash::fnv1a;

/// Least time between two events that repeat the same name and group of a consumer.
const REPEAT: Duration = Duration::from_mins(10);

/// Most consumers in memory, 24 bytes each. Beyond them all are forgotten, which costs a repetition.
const MAX_CONSUMERS: usize = 4_096;

/// Names and groups by consumer, as hashes: a collision delays a name by at most [`REPEAT`].
#[derive(Debug, Default)]
pub(super) struct Announced {
    consumers: HashMap<u64, Announcement>,
}

#[derive(Debug)]
struct Announcement {
    label: u64,
    time_ns: u64,
}

impl Announced {
    /// Whether the name and the group of a consumer are news at this time. If so, they are taken as sent.
    pub(super) fn is_news(&mut self, consumer: &str, [name, group]: [&str; 2], now_ns: u64) -> bool {
        let key = fnv1a([consumer.as_bytes()]);
        let label = fnv1a([name.as_bytes(), group.as_bytes()]);
        let repeat_ns = u64::try_from(REPEAT.as_nanos()).unwrap_or(u64::MAX);
        let known = self.consumers.get(&key);
        if known.is_some_and(|known| known.label == label && now_ns.saturating_sub(known.time_ns) < repeat_ns)
        {
            return false;
        }
        if known.is_none() && self.consumers.len() >= MAX_CONSUMERS {
            self.consumers.clear();
        }
        self.consumers.insert(key, Announcement { label, time_ns: now_ns });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_news_when_it_is_new_changed_or_ten_minutes_old() {
        let mut announced = Announced::default();
        let minute = 60_000_000_000;
        let mut check = |consumer: &str, name: &str, minutes: u64, news: bool| {
            assert_eq!(
                announced.is_news(consumer, [name, ""], minutes * minute),
                news,
                "{consumer} {minutes}"
            );
        };
        check("a", "A", 1, true);
        check("a", "A", 2, false);
        check("b", "A", 2, true);
        check("a", "A2", 3, true);
        check("a", "A2", 12, false);
        check("a", "A2", 13, true);
        check("a", "A2", 14, false);
    }

    #[test]
    fn memory_is_bounded() {
        let mut announced = Announced::default();
        for consumer in 0..3 * MAX_CONSUMERS {
            assert!(announced.is_news(&consumer.to_string(), ["n", "g"], 0));
            assert!(announced.consumers.len() <= MAX_CONSUMERS);
        }
    }
}
