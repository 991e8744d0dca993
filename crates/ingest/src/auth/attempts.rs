//! A bound on attempts to sign in, for a name and for an address.

use crate::sync::lock;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Failed attempts in a row, and the time in which one is forgiven.
const OF_NAME: Allowance = Allowance { attempts: 10, forgiven: Duration::from_secs(60) };
const OF_PEER: Allowance = Allowance { attempts: 20, forgiven: Duration::from_secs(30) };
/// Names and addresses that are remembered. Beyond, all others share one allowance.
const MAX_REMEMBERED: usize = 10_000;

struct Allowance {
    attempts: u32,
    forgiven: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Peer(IpAddr),
    Others,
}

/// Failed attempts, by name and by address.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<Key, Failures>>);

/// The time at which all failures are forgiven.
struct Failures {
    forgiven_at: Instant,
}

impl Attempts {
    /// Counts an attempt before it is made; the time to wait when there were too many. Attempts under way count, so that
    /// many at once are not more than one after the other.
    pub(crate) fn begin(&self, name: &str, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.count([(Key::Name(name.to_owned()), OF_NAME), (Key::Peer(network(peer)), OF_PEER)], now)
    }

    /// The same for an attempt of somebody whose name is not known before.
    pub(crate) fn begin_unnamed(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.count([(Key::Peer(network(peer)), OF_PEER)], now)
    }

    fn count<const N: usize>(&self, keys: [(Key, Allowance); N], now: Instant) -> Result<(), Duration> {
        let mut failures = lock(&self.0);
        let keys = keys.map(|(key, allowance)| (remembered(&mut failures, key, now), allowance));
        for (key, allowance) in &keys {
            let until = failures.get(key).map_or(now, |failures| failures.forgiven_at.max(now));
            let next = until + allowance.forgiven;
            let most = now + allowance.forgiven * allowance.attempts;
            if next > most {
                return Err(next - most);
            }
        }
        for (key, allowance) in keys {
            let failures = failures.entry(key).or_insert(Failures { forgiven_at: now });
            failures.forgiven_at = failures.forgiven_at.max(now) + allowance.forgiven;
        }
        Ok(())
    }

    /// Takes back an attempt that succeeded, and forgives the failures of that name.
    pub(crate) fn succeeded(&self, name: &str, peer: IpAddr) {
        lock(&self.0).remove(&Key::Name(name.to_owned()));
        self.succeeded_unnamed(peer);
    }

    /// Takes back an attempt that succeeded.
    pub(crate) fn succeeded_unnamed(&self, peer: IpAddr) {
        let mut failures = lock(&self.0);
        if let Some(of_peer) = failures.get_mut(&Key::Peer(network(peer)))
            && let Some(earlier) = of_peer.forgiven_at.checked_sub(OF_PEER.forgiven)
        {
            of_peer.forgiven_at = earlier;
        }
    }
}

/// One host has a whole /64 network of IPv6 addresses.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

fn remembered(failures: &mut HashMap<Key, Failures>, key: Key, now: Instant) -> Key {
    if failures.len() >= MAX_REMEMBERED && !failures.contains_key(&key) {
        failures.retain(|_, failures| failures.forgiven_at > now);
        if failures.len() >= MAX_REMEMBERED {
            return Key::Others;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn a_name_has_ten_attempts_from_anywhere_and_gets_them_back() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..10 {
            assert!(attempts.begin("ada", peer(number), now).is_ok(), "{number}");
        }
        let wait = attempts.begin("ada", peer(11), now).unwrap_err();
        assert_eq!(wait, OF_NAME.forgiven);
        assert!(attempts.begin("bob", peer(11), now).is_ok());
        assert!(attempts.begin("ada", peer(11), now + wait).is_ok());
        assert!(attempts.begin("ada", peer(11), now + wait).is_err());
        attempts.succeeded("ada", peer(11));
        assert!(attempts.begin("ada", peer(12), now + wait).is_ok());
    }

    #[test]
    fn an_address_has_twenty_attempts_with_any_names() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..20 {
            assert!(attempts.begin(&number.to_string(), peer(1), now).is_ok(), "{number}");
        }
        assert!(attempts.begin("x", peer(1), now).is_err());
        assert!(attempts.begin("x", peer(2), now).is_ok());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for number in 0..20 {
            attempts.begin(&format!("y{number}"), address(&format!("2001:db8::{number}")), now).unwrap();
        }
        assert!(attempts.begin("z", address("2001:db8::ffff:1"), now).is_err(), "one /64 is one host");
        assert!(attempts.begin("z", address("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..MAX_REMEMBERED as u32 {
            let peer: IpAddr = (10 << 24 | number).to_be_bytes().into();
            let _ = attempts.begin(&number.to_string(), peer, now);
        }
        assert!(attempts.0.lock().unwrap().len() <= MAX_REMEMBERED + 1);
        // The rest shares one allowance, and has its own again when the others are forgiven.
        assert!(attempts.begin("late", peer(1), now).is_err());
        assert!(attempts.begin("late", peer(1), now + Duration::from_secs(3600)).is_ok());
    }
}
