//! Which values a chunk of the request log may hold: a Bloom filter of the texts by which requests are looked up, so that a
//! question for a rare value reads few chunks.
//!
//! The filter of a chunk is a row of `chunk_blooms`: a version byte, the CRC-32 of the bits, and the bits. A chunk without a
//! filter, or with one that is damaged or of another number of requests, may hold anything. The bits take
//! [`BITS_PER_KEY`] for each different value: about 4 bytes a request, and [`MAX_KEYS`] values a request at most, which is 10
//! bytes; beyond, the filter is only less exact. One in 120 of the chunks that do not hold a value is read in vain.
//!
//! Since version 2, a filter also has the pairs of consumer and status of the requests that failed: each of the two may be in all
//! chunks, and both together in few.

use super::StoreError;
use crate::model::{Columns, path_words};
use gatelens_model::hash;
use rusqlite::{Connection, params};

/// The table of the filters.
pub(super) const TABLE: &str = "chunk_blooms";
const VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
const BITS_PER_KEY: usize = 10;
/// The best number for so many bits: 0.7 times as many.
const BITS_SET: u64 = 7;
/// Values of a request, on the average of a chunk, for which the filter grows.
const MAX_KEYS: usize = 8;
const HEAD_BYTES: usize = 5;
/// Pairs of one question.
const MAX_PAIRS: usize = 64;

/// Alternatives, of which a request must have one; each is values that it must all have.
pub(crate) type AnyOf = Vec<Vec<Key>>;

/// What a value is of. The numbers are those of the columns of a chunk, and stay with their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Consumer = 2,
    Route = 5,
    ErrorType = 6,
    /// A word of the path.
    PathWord = 7,
    ClientAddress = 9,
    RequestId = 13,
    /// 16 bytes.
    TraceId = 14,
    /// As decimal digits.
    Status = 32,
    Host = 41,
    UpstreamCluster = 44,
    Version = 48,
}

/// A value as filters know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    hash: u64,
    role: Role,
}

/// What a key can be paired with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Consumer,
    /// A status that [`is_failure`].
    Failure,
    Pair,
    Other,
}

impl Key {
    pub(crate) fn of(column: Column, value: &[u8]) -> Self {
        let hash = hash::mix(hash::fnv1a(hash::fnv1a(hash::START, &[column as u8]), value));
        Self { hash, role: if column == Column::Consumer { Role::Consumer } else { Role::Other } }
    }

    pub(crate) fn of_status(code: u64) -> Self {
        let role = if is_failure(code) { Role::Failure } else { Role::Other };
        Self { role, ..Self::of_text(Column::Status, &code.to_string()) }
    }

    fn pair(consumer: Self, status: Self) -> Self {
        Self { hash: hash::mix(consumer.hash ^ status.hash.rotate_left(32)), role: Role::Pair }
    }

    pub(crate) fn of_text(column: Column, value: &str) -> Self {
        Self::of(column, value.as_bytes())
    }

    fn bits(self, count: u64) -> impl Iterator<Item = u64> {
        let (first, step) = (self.hash >> 32, self.hash & 0xffff_ffff | 1);
        (0..BITS_SET).map(move |number| first.wrapping_add(number.wrapping_mul(step)) % count)
    }
}

/// The filter of requests.
pub(super) fn of(events: &Columns) -> Vec<u8> {
    let mut keys = keys(events);
    keys.sort_unstable();
    keys.dedup();
    let room = keys.len().clamp(1, events.len().saturating_mul(MAX_KEYS).max(1));
    let mut bits = vec![0u8; (room * BITS_PER_KEY).div_ceil(8)];
    let count = bits.len() as u64 * 8;
    for bit in keys.into_iter().flat_map(|key| key.bits(count)) {
        if let Some(byte) = bits.get_mut((bit / 8) as usize) {
            *byte |= 1 << (bit % 8);
        }
    }
    let mut filter = vec![VERSION];
    filter.extend(crc32fast::hash(&bits).to_le_bytes());
    filter.append(&mut bits);
    filter
}

/// Whether a filter can be relied on.
pub(super) fn is_sound(filter: &[u8]) -> bool {
    sound_bits(filter).is_some()
}

/// Whether requests with this filter may hold one of the keys of each list.
pub(crate) fn may_hold(filter: &[u8], all: &[AnyOf]) -> bool {
    let Some((version, bits)) = sound_bits(filter) else { return true };
    let count = bits.len() as u64 * 8;
    let has = |key: &Key| {
        (version == FIRST_VERSION && key.role == Role::Pair)
            || key
                .bits(count)
                .all(|bit| bits.get((bit / 8) as usize).is_some_and(|byte| byte >> (bit % 8) & 1 == 1))
    };
    all.iter().all(|any| any.iter().any(|keys| keys.iter().all(has)))
}

/// The keys of a question, with those of pairs of consumers and failures that it asks for.
pub(crate) fn with_pairs(mut all: Vec<AnyOf>) -> Vec<AnyOf> {
    let of_role = |role: Role| {
        let is_alone =
            move |any: &&AnyOf| any.iter().all(|keys| matches!(keys.as_slice(), [key] if key.role == role));
        all.iter().filter(is_alone).map(|any| any.iter().flatten().copied().collect::<Vec<Key>>())
    };
    let mut pairs = Vec::new();
    for consumers in of_role(Role::Consumer) {
        for statuses in
            of_role(Role::Failure).filter(|statuses| statuses.len() * consumers.len() <= MAX_PAIRS)
        {
            let of = |consumer: Key| statuses.iter().map(move |status| vec![Key::pair(consumer, *status)]);
            pairs.push(consumers.iter().copied().flat_map(of).collect::<AnyOf>());
        }
    }
    all.append(&mut pairs);
    all
}

/// Gives a chunk the filter of its requests.
pub(super) fn put(file: &Connection, chunk: i64, events: &Columns) -> Result<(), StoreError> {
    file.prepare_cached("INSERT OR REPLACE INTO chunk_blooms (chunk_id, n, filter) VALUES (?, ?, ?)")?
        .execute(params![chunk, events.len() as i64, of(events)])?;
    Ok(())
}

/// Makes the filters of all chunks that have none.
pub(super) fn complete(file: &Connection) -> Result<(), StoreError> {
    if !file.table_exists(None, TABLE)? {
        return Ok(());
    }
    let mut select =
        file.prepare("SELECT id, data FROM chunks WHERE id NOT IN (SELECT chunk_id FROM chunk_blooms)")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        if let Some(events) = super::chunk::decode(data) {
            put(file, row.get(0)?, &Columns::of(&events))?;
        }
    }
    Ok(())
}

/// The version of a filter, and its bits.
fn sound_bits(filter: &[u8]) -> Option<(u8, &[u8])> {
    let (head, bits) = filter.split_at_checked(HEAD_BYTES)?;
    let (version, checksum) = head.split_first()?;
    let is_sound = [FIRST_VERSION, VERSION].contains(version)
        && !bits.is_empty()
        && checksum == crc32fast::hash(bits).to_le_bytes().as_slice();
    is_sound.then_some((*version, bits))
}

/// Whether a status is one of those of which filters have pairs.
fn is_failure(code: u64) -> bool {
    code == 0 || code >= 400
}

/// The values of all requests, some of them more than once.
fn keys(events: &Columns) -> Vec<Key> {
    let texts = [
        (Column::Consumer, "consumer"),
        (Column::Route, "route"),
        (Column::ErrorType, "error_type"),
        (Column::ClientAddress, "client_address"),
        (Column::RequestId, "request_id"),
        (Column::Host, "host"),
        (Column::UpstreamCluster, "upstream_cluster"),
        (Column::Version, "version"),
        (Column::TraceId, "trace_id"),
    ];
    let mut keys = Vec::new();
    for (column, name) in texts {
        let Some(values) = events.named(name) else { continue };
        keys.extend(values.texts().map(|text| Key::of(column, text)));
    }
    if let Some(paths) = events.named("path") {
        let paths = paths.texts().filter_map(|path| std::str::from_utf8(path).ok());
        keys.extend(paths.flat_map(path_words).map(|word| Key::of_text(Column::PathWord, word)));
    }
    if let Some(status) = events.named("status") {
        let mut all: Vec<u64> = (0..events.len()).filter_map(|row| status.number(row)).collect();
        all.sort_unstable();
        all.dedup();
        keys.extend(all.into_iter().map(Key::of_status));
        let consumers = events.named("consumer");
        for row in 0..events.len() {
            let Some(code) = status.number(row).filter(|code| is_failure(*code)) else { continue };
            if let Some(consumer) = consumers.and_then(|texts| texts.text(row)) {
                keys.push(Key::pair(Key::of(Column::Consumer, consumer), Key::of_status(code)));
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RequestEvent;
    use proptest::prelude::*;

    fn event(number: u64) -> RequestEvent {
        RequestEvent {
            consumer: format!("consumer-{}", number % 7),
            route: "/orders/{id}".to_owned(),
            path: Some(format!("/orders/{number}/items")),
            request_id: Some(format!("id-{number}")),
            trace_id: u128::from(number).to_be_bytes().to_vec(),
            status: 200,
            ..RequestEvent::default()
        }
    }

    fn asks(column: Column, value: &str) -> Vec<AnyOf> {
        vec![vec![vec![Key::of(column, value.as_bytes())]]]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn what_a_chunk_holds_is_never_missed(numbers in prop::collection::vec(any::<u64>(), 1..50)) {
            let events: Vec<_> = numbers.iter().map(|number| event(*number)).collect();
            let filter = of(&Columns::of(&events));
            for number in numbers {
                for (column, value) in [
                    (Column::RequestId, format!("id-{number}")),
                    (Column::PathWord, number.to_string()),
                    (Column::Consumer, format!("consumer-{}", number % 7)),
                    (Column::Status, "200".to_owned()),
                ] {
                    prop_assert!(may_hold(&filter, &asks(column, &value)));
                }
            }
        }
    }

    #[test]
    fn a_consumer_and_a_failure_must_be_of_one_request() {
        let event =
            |consumer: &str, status| RequestEvent { consumer: consumer.to_owned(), status, ..event(1) };
        let filter = of(&Columns::of(&[event("a", 503), event("b", 200), event("b", 404)]));
        let asks = |consumer: &str, status| {
            let keys = vec![Key::of_text(Column::Consumer, consumer), Key::of_status(status)];
            with_pairs(keys.into_iter().map(|key| vec![vec![key]]).collect())
        };
        for (consumer, status, expected) in [
            ("a", 503, true),
            ("b", 404, true),
            ("b", 200, true),
            ("a", 404, false),
            ("b", 503, false),
            ("a", 200, true),
        ] {
            assert_eq!(may_hold(&filter, &asks(consumer, status)), expected, "{consumer} {status}");
        }
        // A filter of before has no pairs.
        let mut first = filter.clone();
        first[0] = FIRST_VERSION;
        assert!(may_hold(&first, &asks("a", 404)));
        assert!(!may_hold(&first, &asks("a", 500)));
    }

    #[test]
    fn few_chunks_are_read_in_vain_and_the_bytes_are_bounded() {
        let events: Vec<_> = (0..500).map(event).collect();
        let filter = of(&Columns::of(&events));
        let wrong =
            (0..10_000).filter(|n| may_hold(&filter, &asks(Column::RequestId, &format!("other-{n}"))));
        let wrong = wrong.count();
        assert!(wrong < 200, "{wrong} of 10,000");
        assert!(filter.len() < 500 * 5, "{} bytes", filter.len());
        let long = RequestEvent {
            path: Some((0..1_000).map(|n| format!("/{n}")).collect()),
            ..RequestEvent::default()
        };
        let filter = of(&Columns::of(&[long]));
        assert!(filter.len() <= HEAD_BYTES + MAX_KEYS * BITS_PER_KEY / 8, "{} bytes", filter.len());
        assert!(may_hold(&filter, &asks(Column::PathWord, "999")));
    }

    #[test]
    fn a_damaged_filter_rules_nothing_out() {
        let absent = asks(Column::RequestId, "no such");
        let filter = of(&Columns::of(&[event(1)]));
        assert!(!may_hold(&filter, &absent) && is_sound(&filter));
        for at in 0..filter.len() {
            let mut damaged = filter.clone();
            damaged[at] ^= 0x10;
            assert!(may_hold(&damaged, &absent) && !is_sound(&damaged), "byte {at}");
        }
        assert!(may_hold(&[], &absent) && may_hold(&filter[..HEAD_BYTES], &absent));
    }

    #[test]
    fn lists_are_any_of_and_all_must_hold() {
        let filter = of(&Columns::of(&[event(1)]));
        let key = |text: &str| vec![Key::of(Column::RequestId, text.as_bytes())];
        assert!(may_hold(&filter, &[]));
        assert!(may_hold(&filter, &[vec![key("x"), key("id-1")]]));
        assert!(!may_hold(&filter, &[vec![key("id-1")], vec![key("x")]]));
    }
}
