//! The other ends of connections: what each may take, and which of them is meant behind a proxy.

use crate::auth::{Principal, SenderId};
use crate::limits::Limits;
use crate::sync::lock;
use axum::http::HeaderMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// Peers whose use is remembered. Beyond, those that used the least are forgotten.
const MAX_PEERS: usize = 4096;
/// Seconds for which an unused bucket collects.
const BURST_SECONDS: f64 = 10.0;
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Whose use of the service is bounded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Peer {
    /// One IPv4 address, or the /64 network of an IPv6 address, because one host has a whole network of the latter.
    Address(IpAddr),
    /// A sender with a token, whatever its addresses are: many gateways behind one address may have different tokens, and one
    /// token may be used from many addresses.
    Token(SenderId),
}

impl Peer {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                Self::Address(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into())
            }
            v4 => Self::Address(v4),
        }
    }

    /// The sender of a batch: the holder of its token, or else its address.
    pub(super) fn of_sender(principal: &Principal, address: IpAddr) -> Self {
        match principal {
            Principal::Sender(sender) => Self::Token(sender.id()),
            Principal::Open | Principal::Nobody | Principal::Person(_) => Self::of(address),
        }
    }
}

/// A network of addresses, such as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, serde::Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// Why a text is not a network of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a network such as 10.0.0.0/8 or fd00::/8")]
pub struct NotACidr;

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| NotACidr)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(most) {
            bits if bits <= most => Ok(Self { address, bits }),
            _ => Err(NotACidr),
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = NotACidr;

    fn try_from(text: String) -> Result<Self, NotACidr> {
        text.parse()
    }
}

impl Cidr {
    fn contains(&self, address: IpAddr) -> bool {
        let mask = |width: u32, bits: u8| u128::MAX.checked_shl(width - u32::from(bits)).unwrap_or(0);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u128::from(own.to_bits()) ^ u128::from(other.to_bits())) & mask(32, self.bits) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask(128, self.bits) == 0
            }
            _ => false,
        }
    }
}

/// The proxies whose `x-forwarded-for` is believed.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies(pub(super) Vec<Cidr>);

impl Proxies {
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client behind a connection: the last address in `x-forwarded-for` that is not itself a trusted proxy. What
    /// stands before it was written by the client, and is worth nothing.
    pub(super) fn client(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.has(connected) {
            return connected;
        }
        let values: Vec<&str> =
            headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let hops = values.iter().rev().flat_map(|value| value.rsplit(','));
        let mut client = connected;
        for hop in hops {
            let Some(address) = address(hop.trim()) else { break };
            client = address;
            if !self.has(address) {
                break;
            }
        }
        client
    }
}

/// An address as proxies write it, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// What a peer spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    SenderRequests,
    SenderBytes,
    ReaderRequests,
}

/// How much each kind of [`Spent`] is refilled in a second.
type Rates = [f64; 3];

/// The use that each peer made of the service lately.
pub(super) struct Peers {
    of_address: Rates,
    of_token: Rates,
    uses: Mutex<HashMap<Peer, Use>>,
}

#[derive(Debug, Clone)]
struct Use {
    buckets: [Bucket; 3],
    /// Requests of the read API under way, and bytes of answers that the peer has not read yet.
    reading: usize,
    answer_bytes: usize,
}

/// A token bucket. It may be overdrawn, and then it is refilled before it gives again.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, rate: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * rate).min(rate * BURST_SECONDS);
        self.at = now;
    }
}

impl Peers {
    pub(super) fn new(limits: &Limits) -> Self {
        let reader = f64::from(limits.reader_requests_per_second);
        Self {
            of_address: [
                f64::from(limits.sender_requests_per_second),
                limits.sender_bytes_per_second as f64,
                reader,
            ],
            of_token: [
                f64::from(limits.token_requests_per_second),
                limits.token_bytes_per_second as f64,
                reader,
            ],
            uses: Mutex::new(HashMap::new()),
        }
    }

    fn rates(&self, peer: Peer) -> Rates {
        match peer {
            Peer::Address(_) => self.of_address,
            Peer::Token(_) => self.of_token,
        }
    }

    /// Takes one from a bucket that is not empty; otherwise the whole seconds, at least one, until it is not.
    pub(super) fn take(&self, peer: Peer, what: Spent, now: Instant) -> Result<(), u32> {
        let rate = self.rates(peer)[what as usize];
        let mut uses = self.lock();
        let bucket = &mut self.of(&mut uses, peer, now).buckets[what as usize];
        bucket.refill(rate, now);
        if bucket.level < 1.0 {
            let seconds = ((1.0 - bucket.level) / rate).ceil().max(1.0);
            return Err(if seconds < 3600.0 { seconds as u32 } else { 3600 });
        }
        bucket.level -= 1.0;
        Ok(())
    }

    /// Charges for something that was already used; the bucket may be overdrawn.
    pub(super) fn charge(&self, peer: Peer, what: Spent, amount: usize, now: Instant) {
        let mut uses = self.lock();
        let bucket = &mut self.of(&mut uses, peer, now).buckets[what as usize];
        bucket.refill(self.rates(peer)[what as usize], now);
        bucket.level -= amount as f64;
    }

    /// Whether a peer may have one more request of the read API under way, and counts it if so. One that has not read its
    /// answers may not: making further ones would be for nothing.
    pub(super) fn begin_reading(&self, peer: Peer, limits: &Limits, now: Instant) -> bool {
        let mut uses = self.lock();
        let used = self.of(&mut uses, peer, now);
        let may = used.reading < limits.readers_per_peer && used.answer_bytes < limits.answer_bytes_per_peer;
        used.reading += usize::from(may);
        may
    }

    pub(super) fn end_reading(&self, peer: Peer) {
        if let Some(used) = self.lock().get_mut(&peer) {
            used.reading = used.reading.saturating_sub(1);
        }
    }

    /// Whether a peer may have answers of `bytes` more, and counts them if so.
    pub(super) fn hold_answer(&self, peer: Peer, bytes: usize, limit: usize, now: Instant) -> bool {
        let mut uses = self.lock();
        let held = &mut self.of(&mut uses, peer, now).answer_bytes;
        // One answer is always allowed, or a bound below its size would refuse it for ever.
        let fits = *held == 0 || held.saturating_add(bytes) <= limit;
        if fits {
            *held += bytes;
        }
        fits
    }

    pub(super) fn release_answer(&self, peer: Peer, bytes: usize) {
        if let Some(used) = self.lock().get_mut(&peer) {
            used.answer_bytes = used.answer_bytes.saturating_sub(bytes);
        }
    }

    fn of<'a>(&self, uses: &'a mut HashMap<Peer, Use>, peer: Peer, now: Instant) -> &'a mut Use {
        if uses.len() >= MAX_PEERS && !uses.contains_key(&peer) {
            self.forget(uses, now);
        }
        match uses.entry(peer) {
            Entry::Occupied(used) => used.into_mut(),
            Entry::Vacant(place) => {
                let full = |rate: f64| Bucket { level: rate * BURST_SECONDS, at: now };
                place.insert(Use { buckets: self.rates(peer).map(full), reading: 0, answer_bytes: 0 })
            }
        }
    }

    /// Forgets the half of the peers with the fullest buckets; it keeps those that read.
    fn forget(&self, uses: &mut HashMap<Peer, Use>, now: Instant) {
        let mut full: Vec<(f64, Peer)> = Vec::with_capacity(uses.len());
        for (peer, used) in uses.iter_mut().filter(|(_, used)| used.answer_bytes == 0 && used.reading == 0) {
            let mut least = f64::MAX;
            for (bucket, rate) in used.buckets.iter_mut().zip(self.rates(*peer)) {
                bucket.refill(rate, now);
                least = least.min(bucket.level / (rate * BURST_SECONDS));
            }
            full.push((least, *peer));
        }
        full.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, peer) in full.into_iter().take(MAX_PEERS / 2) {
            uses.remove(&peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Peer, Use>> {
        lock(&self.uses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn networks_contain_their_addresses() {
        let check = |network: &str, address: &str, inside: bool| {
            let cidr: Cidr = network.parse().unwrap();
            assert_eq!(cidr.contains(address.parse().unwrap()), inside, "{address} in {network}");
        };
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.0.0.0/8", "::ffff:10.1.1.1", true);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("fd00::/8", "fdff::1", true);
        check("::/0", "2001:db8::1", true);
        check("fd00::/8", "fe80::1", false);
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", "localhost"] {
            assert_eq!(wrong.parse::<Cidr>(), Err(NotACidr), "{wrong:?}");
        }
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_trusted() {
        let proxies = Proxies(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let check = |connected: &str, values: &[&str], client: &str| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let found = proxies.client(connected.parse().unwrap(), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{connected} with {values:?}");
        };
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1:443"], "198.51.100.1");
        check("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1");
        check("fd00::1", &["[2001:db8::1]"], "2001:db8::1");
        check("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn a_bucket_gives_what_was_collected_and_then_its_rate() {
        let limits = Limits { reader_requests_per_second: 2, ..Limits::default() };
        let peers = Peers::new(&limits);
        let (peer, other) = (Peer::of([192, 0, 2, 1].into()), Peer::of([192, 0, 2, 2].into()));
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(peers.take(peer, Spent::ReaderRequests, start), Ok(()));
        }
        assert_eq!(peers.take(peer, Spent::ReaderRequests, start), Err(1));
        assert_eq!(peers.take(other, Spent::ReaderRequests, start), Ok(()));
        assert_eq!(peers.take(peer, Spent::SenderRequests, start), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(peers.take(peer, Spent::ReaderRequests, later), Ok(()));
        assert_eq!(peers.take(peer, Spent::ReaderRequests, later), Err(1));
        // An overdrawn bucket gives nothing until the debt is paid.
        peers.charge(peer, Spent::ReaderRequests, 10, later);
        assert_eq!(peers.take(peer, Spent::ReaderRequests, later), Err(6));
        assert_eq!(peers.take(peer, Spent::ReaderRequests, later + Duration::from_secs(6)), Ok(()));
    }

    #[test]
    fn the_holders_of_two_tokens_behind_one_address_are_two_peers() {
        let limits =
            Limits { sender_requests_per_second: 1, token_requests_per_second: 2, ..Limits::default() };
        let peers = Peers::new(&limits);
        let now = Instant::now();
        let of = |token: u64| Peer::Token(SenderId::for_test(token));
        let spend =
            |peer: Peer| (0..100).filter(|_| peers.take(peer, Spent::SenderRequests, now).is_ok()).count();
        assert_eq!([of(1), of(1), of(2), Peer::of([192, 0, 2, 1].into())].map(spend), [20, 0, 20, 10]);
    }

    #[test]
    fn a_crowd_of_peers_is_bounded_and_debts_are_remembered() {
        let peers = Peers::new(&Limits { reader_requests_per_second: 1, ..Limits::default() });
        let now = Instant::now();
        let debtor = Peer::of([203, 0, 113, 9].into());
        peers.charge(debtor, Spent::ReaderRequests, 1000, now);
        for n in 0..20_000u32 {
            let [_, b, c, d] = n.to_be_bytes();
            peers.take(Peer::of([10, b, c, d].into()), Spent::ReaderRequests, now).unwrap();
        }
        assert!(peers.lock().len() <= MAX_PEERS);
        assert!(peers.take(debtor, Spent::ReaderRequests, now).is_err());
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_peer() {
        let peer = |text: &str| Peer::of(text.parse().unwrap());
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }
}
