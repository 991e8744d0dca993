//! Who may have how much of the room for spans, and who gives way.

use std::collections::HashMap;
use std::sync::Arc;

/// Of the room: a half for an environment, which is what a sender's token proves, and a quarter for a service in it.
const ENVIRONMENT_SHARE: u64 = 2;
const SERVICE_SHARE: u64 = 4;

/// The bytes that senders have.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    /// By sender: its environment and its bytes.
    senders: HashMap<i64, (Arc<str>, u64)>,
    /// The sums of these by environment, and of all. A sum for each part would visit every sender.
    environments: HashMap<Arc<str>, u64>,
    taken: u64,
}

impl Room {
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, senders: HashMap::new(), environments: HashMap::new(), taken: 0 }
    }

    /// Forgets who has how much.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes);
    }

    /// Whether anybody may have some of it.
    pub(super) fn is_open(&self) -> bool {
        self.bytes > 0
    }

    /// Notes that a sender has more.
    pub(super) fn add(&mut self, sender: i64, environment: &Arc<str>, bytes: u64) {
        let (_, own) = self.senders.entry(sender).or_insert_with(|| (Arc::clone(environment), 0));
        // A damaged file may claim any number.
        let of_environment = self.environments.entry(Arc::clone(environment)).or_default();
        for sum in [own, of_environment, &mut self.taken] {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Notes that a sender has less.
    pub(super) fn remove(&mut self, sender: i64, bytes: u64) {
        let Some((environment, own)) = self.senders.get_mut(&sender) else { return };
        let bytes = bytes.min(*own);
        *own -= bytes;
        let is_empty = *own == 0;
        if let Some(sum) = self.environments.get_mut(environment) {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                self.environments.remove(environment);
            }
        }
        if is_empty {
            self.senders.remove(&sender);
        }
        self.taken = self.taken.saturating_sub(bytes);
    }

    /// The bytes of all.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The sender that must give way after `newest` has got more: itself beyond its share, then the one with the most in its
    /// environment beyond that one's share, then the one with the most of all.
    pub(super) fn over(&self, newest: i64) -> Option<i64> {
        let (environment, own) = self.senders.get(&newest)?;
        if *own > self.bytes / SERVICE_SHARE {
            return Some(newest);
        }
        let of_environment = self.environments.get(environment).copied().unwrap_or_default();
        if of_environment > self.bytes / ENVIRONMENT_SHARE {
            return self.greediest(|other| other == environment);
        }
        if self.taken > self.bytes { self.greediest(|_| true) } else { None }
    }

    /// The sender with the most, of environments that are meant.
    fn greediest(&self, is_meant: impl Fn(&Arc<str>) -> bool) -> Option<i64> {
        let meant = self.senders.iter().filter(|(_, (environment, _))| is_meant(environment));
        meant.max_by_key(|(id, (_, own))| (*own, **id)).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greediest_gives_way() {
        let mut room = Room::new(1_000);
        let add = |room: &mut Room, sender, environment: &str, bytes| {
            room.add(sender, &environment.into(), bytes);
            room.over(sender)
        };
        assert_eq!(add(&mut room, 1, "prod", 250), None);
        assert_eq!(add(&mut room, 1, "prod", 1), Some(1), "beyond a quarter");
        room.remove(1, 51);
        assert_eq!(add(&mut room, 2, "prod", 150), None);
        assert_eq!(
            add(&mut room, 3, "prod", 151),
            Some(1),
            "an environment beyond a half: the largest in it"
        );
        room.remove(3, 1);
        // Many names of one environment do not push out the other environments.
        for sender in 10..20 {
            assert_eq!(add(&mut room, sender, "hostile", 50), None);
        }
        assert_eq!(add(&mut room, 20, "hostile", 60), Some(20));
        room.remove(20, 60);
        assert_eq!(room.taken(), 1_000);
        assert_eq!(add(&mut room, 4, "other", 1), Some(1), "all together: the largest");
        let sum: u64 = room.senders.values().map(|(_, own)| own).sum();
        let by_environment: u64 = room.environments.values().sum();
        assert_eq!((sum, by_environment, room.taken()), (1_001, 1_001, 1_001));
        let all: Vec<i64> = room.senders.keys().copied().collect();
        all.into_iter().for_each(|sender| room.remove(sender, u64::MAX));
        assert_eq!((room.senders.len(), room.environments.len(), room.taken()), (0, 0, 0));
    }
}
