//! Who may have how much of the room for spans, and who gives way.

use std::collections::HashMap;

/// Of the room: a half for an environment, which is what a sender's token proves, and a quarter for a service in it.
const ENVIRONMENT_SHARE: u64 = 2;
const SERVICE_SHARE: u64 = 4;

/// The bytes that senders have.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    /// By sender: its environment and its bytes.
    senders: HashMap<i64, (String, u64)>,
}

impl Room {
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, senders: HashMap::new() }
    }

    /// Forgets who has how much.
    pub(super) fn clear(&mut self) {
        self.senders.clear();
    }

    /// Whether there is any.
    pub(super) fn is_open(&self) -> bool {
        self.bytes > 0
    }

    /// Notes that a sender has more.
    pub(super) fn add(&mut self, sender: i64, environment: &str, bytes: u64) {
        let (_, taken) = self.senders.entry(sender).or_insert_with(|| (environment.to_owned(), 0));
        *taken = taken.saturating_add(bytes);
    }

    /// Notes that a sender has less. True where it has nothing any more.
    pub(super) fn remove(&mut self, sender: i64, bytes: u64) -> bool {
        let Some((_, taken)) = self.senders.get_mut(&sender) else { return true };
        *taken = taken.saturating_sub(bytes);
        let is_empty = *taken == 0;
        if is_empty {
            self.senders.remove(&sender);
        }
        is_empty
    }

    /// The bytes of all.
    pub(super) fn taken(&self) -> u64 {
        self.senders.values().map(|(_, taken)| taken).sum()
    }

    /// The sender that must give way after `newest` has got more: itself beyond its share, then the one with the most in its
    /// environment beyond that one's share, then the one with the most of all.
    pub(super) fn over(&self, newest: i64) -> Option<i64> {
        let (environment, own) = self.senders.get(&newest)?;
        if *own > self.bytes / SERVICE_SHARE {
            return Some(newest);
        }
        let most = |all: &mut dyn Iterator<Item = (&i64, &(String, u64))>| {
            all.max_by_key(|(id, (_, taken))| (*taken, **id)).map(|(id, _)| *id)
        };
        let beside = || self.senders.iter().filter(|(_, (other, _))| other == environment);
        let of_environment: u64 = beside().map(|(_, (_, taken))| taken).sum();
        if of_environment > self.bytes / ENVIRONMENT_SHARE {
            return most(&mut beside());
        }
        if self.taken() > self.bytes { most(&mut self.senders.iter()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greediest_gives_way() {
        let mut room = Room::new(1_000);
        let add = |room: &mut Room, sender, environment: &str, bytes| {
            room.add(sender, environment, bytes);
            room.over(sender)
        };
        assert_eq!(add(&mut room, 1, "prod", 250), None);
        assert_eq!(add(&mut room, 1, "prod", 1), Some(1), "beyond a quarter");
        assert!(!room.remove(1, 51));
        assert_eq!(add(&mut room, 2, "prod", 150), None);
        assert_eq!(
            add(&mut room, 3, "prod", 151),
            Some(1),
            "an environment beyond a half: the largest in it"
        );
        assert!(!room.remove(3, 1));
        // Many names of one environment do not push out the other environments.
        for sender in 10..20 {
            assert_eq!(add(&mut room, sender, "hostile", 50), None);
        }
        assert_eq!(add(&mut room, 20, "hostile", 60), Some(20));
        assert!(room.remove(20, 60));
        assert_eq!(room.taken(), 1_000);
        assert_eq!(add(&mut room, 4, "other", 1), Some(1), "all together: the largest");
    }
}
