//! Matches of rules and fates of bodies, of all workers together.
//!
//! Key `redaction`: a row of bodies by fate for requests, one for responses, then a section with the rules: for each a
//! section with its name and a row with its matches.

use gatelens_model::varint;

use super::row::{add_numbers, put_numbers, put_section, take_numbers, take_section};
use super::store::{SharedStore, Unreadable, UpdateError};
use crate::host::Host;
use crate::stats::RedactionStats;

const KEY: &str = "redaction";

/// Adds these counts to the shared ones.
///
/// # Errors
/// [`UpdateError`]; nothing was added then.
pub fn merge(host: &impl Host, store: &SharedStore, counts: &RedactionStats) -> Result<(), UpdateError> {
    let add = |present: Option<&[u8]>| {
        let mut sum = present.map_or(Ok(Shared::default()), Shared::decode)?;
        for (sum, numbers) in sum.bodies.iter_mut().zip(counts.body_numbers()) {
            add_numbers(sum, numbers);
        }
        counts.rules().for_each(|(rule, hits)| sum.rules.add_rule(rule, hits));
        Ok(sum.encode())
    };
    store.update(host, format_args!("{KEY}"), add).map(drop)
}

/// The counts since the start of the epoch, encoded for [`decode`].
pub fn read(host: &impl Host, store: &SharedStore) -> Vec<u8> {
    host.shared_get(&store.key(format_args!("{KEY}"))).map(|(value, _)| value).unwrap_or_default()
}

/// Reads a value of [`read`]. An unreadable one has no counts.
pub fn decode(value: &[u8]) -> RedactionStats {
    let shared = Shared::decode(value).unwrap_or_default();
    let mut stats = shared.rules;
    for (message, numbers) in shared.bodies.iter().enumerate() {
        stats.add_body_numbers(message, numbers);
    }
    stats
}

/// The shared value, with what a newer version has appended.
#[derive(Debug, Default, PartialEq)]
struct Shared {
    bodies: [Vec<u64>; 2],
    rules: RedactionStats,
    rest: Vec<u8>,
}

impl Shared {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.bodies.iter().for_each(|numbers| put_numbers(&mut out, numbers));
        let mut rules = Vec::new();
        for (rule, hits) in self.rules.rules() {
            put_section(&mut rules, rule.as_bytes());
            varint::put(&mut rules, hits);
        }
        put_section(&mut out, &rules);
        out.extend_from_slice(&self.rest);
        out
    }

    fn decode(mut value: &[u8]) -> Result<Self, Unreadable> {
        let input = &mut value;
        if input.is_empty() {
            return Ok(Self::default());
        }
        let bodies = [take_numbers(input)?, take_numbers(input)?];
        let mut section = take_section(input)?;
        let mut rules = RedactionStats::default();
        while !section.is_empty() {
            let rule = take_section(&mut section)?;
            let hits = varint::take(&mut section).ok_or(Unreadable)?;
            rules.add_rule(&String::from_utf8_lossy(rule), hits);
        }
        Ok(Self { bodies, rules, rest: input.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_come_back(rules in prop::collection::btree_map(".{0,9}", any::<u64>(), 0..9), bodies in prop::collection::vec(any::<u64>(), 0..40), rest: Vec<u8>) {
            let mut shared = Shared { bodies: [bodies, Vec::new()], rest, ..Shared::default() };
            rules.iter().for_each(|(rule, hits)| shared.rules.add_rule(rule, *hits));
            prop_assert_eq!(Shared::decode(&shared.encode()), Ok(shared));
        }

        #[test]
        fn garbage_is_survived(bytes: Vec<u8>) {
            let _ = Shared::decode(&bytes);
        }
    }

    /// A change of these bytes breaks gateways that are upgraded: it needs a new [`super::super::FORMAT`].
    #[test]
    fn the_bytes_of_the_value() {
        let mut shared = Shared { bodies: [vec![3, 1], vec![]], ..Shared::default() };
        shared.rules.add_rule("keys:a", 300);
        assert_eq!(shared.encode(), b"\x02\x03\x01\x00\x09\x06keys:a\xac\x02");
    }
}
