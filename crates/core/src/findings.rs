//! What redaction found and what capture left out, counted for all workers together.
//!
//! One value in shared data, key `findings`: two rows of counts of bodies by fate, one for each [`Message`], each after
//! the number of its counts; then the rules with their hits, each name after its length. All numbers are varints.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::ledger::Ledger;
use gatelens_model::varint;
use gatelens_model::{Message, OmissionReason};
use gatelens_redact::Hits;
use gatelens_redact::capture::CapturedBody;

/// Most rules that are told apart. A configuration has fewer; only one that is replaced time and again gets there.
const MAX_RULES: usize = 4_096;

/// Stands for the rules beyond [`MAX_RULES`].
const OTHER_RULES: &str = gatelens_model::value::OVERFLOW;

/// Fates of a body: captured, or left out for one of the reasons.
const FATES: usize = OmissionReason::ALL.len() + 1;

/// Counts since the start of the epoch, or those that are not merged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    rules: BTreeMap<String, u64>,
    /// By [`Message`]; captured first, then by reason.
    bodies: [[u64; FATES]; 2],
}

impl Findings {
    /// Adds the hits of rules that have these names.
    pub fn add_hits(&mut self, rules: &[String], hits: &mut Hits) {
        for (index, count) in hits.drain() {
            if let Some(rule) = rules.get(index) {
                self.add_rule(rule, count);
            }
        }
    }

    /// Counts a body.
    pub fn add_body(&mut self, message: Message, body: &CapturedBody) {
        let fate = match body.content {
            Ok(_) => 0,
            Err(reason) => fate_of(reason),
        };
        self.count(message, fate, 1);
    }

    /// Counts bodies that are left out for the same reason.
    pub fn add_bodies(&mut self, message: Message, reason: OmissionReason, bodies: u64) {
        self.count(message, fate_of(reason), bodies);
    }

    /// Names rules that are to be listed though they were never hit.
    pub fn list_rules(&mut self, rules: &[String]) {
        rules.iter().for_each(|rule| self.add_rule(rule, 0));
    }

    /// The rules with their hits, by name.
    pub fn rules(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().map(|(rule, hits)| (rule.as_str(), *hits))
    }

    /// Bodies by message and fate, where there were any: `captured`, or the name of the [`OmissionReason`].
    pub fn bodies(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let fates = || std::iter::once("captured").chain(OmissionReason::ALL.map(OmissionReason::name));
        ["request", "response"]
            .into_iter()
            .zip(&self.bodies)
            .flat_map(move |(message, row)| {
                fates().zip(row).map(move |(fate, count)| (message, fate, *count))
            })
            .filter(|(_, _, count)| *count > 0)
    }

    /// Whether nothing was counted and no rule is listed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds these counts to the shared ones. What cannot be merged now stays for the next time.
    pub fn merge(&mut self, host: &impl Host, ledger: &Ledger) {
        if self.is_empty() {
            return;
        }
        let merged = ledger.update(host, &key(ledger), |present| {
            let mut sum = present.map(Self::decode).unwrap_or_default();
            sum.add(self);
            sum.encode()
        });
        if merged.is_ok() {
            *self = Self::default();
        }
    }

    /// The counts of all workers since the start of the epoch, encoded for [`Findings::decode`].
    pub fn read(host: &impl Host, ledger: &Ledger) -> Vec<u8> {
        host.shared_get(key(ledger).as_bytes()).map(|(value, _)| value).unwrap_or_default()
    }

    fn count(&mut self, message: Message, fate: usize, bodies: u64) {
        if let Some(count) = self.bodies.get_mut(message as usize).and_then(|row| row.get_mut(fate)) {
            *count = count.saturating_add(bodies);
        }
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.bodies.iter_mut().flatten().zip(other.bodies.iter().flatten()) {
            *sum = sum.saturating_add(*more);
        }
        other.rules.iter().for_each(|(rule, hits)| self.add_rule(rule, *hits));
    }

    fn add_rule(&mut self, rule: &str, hits: u64) {
        if let Some(sum) = self.rules.get_mut(rule) {
            *sum = sum.saturating_add(hits);
        } else {
            let rule = if self.rules.len() < MAX_RULES { rule } else { OTHER_RULES };
            let sum = self.rules.entry(rule.to_owned()).or_default();
            *sum = sum.saturating_add(hits);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for row in &self.bodies {
            varint::put(&mut out, FATES as u64);
            row.iter().for_each(|count| varint::put(&mut out, *count));
        }
        for (rule, hits) in &self.rules {
            varint::put(&mut out, rule.len() as u64);
            out.extend_from_slice(rule.as_bytes());
            varint::put(&mut out, *hits);
        }
        out
    }

    /// Reads what [`Findings::read`] returned, up to a defect if there is one. A version of the filter with fewer reasons
    /// has written shorter rows.
    pub fn decode(value: &[u8]) -> Self {
        let mut findings = Self::default();
        let mut input = value;
        let _ = findings.fill(&mut input);
        findings
    }

    fn fill(&mut self, input: &mut &[u8]) -> Option<()> {
        for row in &mut self.bodies {
            for fate in 0..varint::take(input)? {
                let count = varint::take(input)?;
                if let Some(place) = usize::try_from(fate).ok().and_then(|fate| row.get_mut(fate)) {
                    *place = count;
                }
            }
        }
        while !input.is_empty() {
            let length = usize::try_from(varint::take(input)?).ok()?;
            let (rule, rest) = input.split_at_checked(length)?;
            *input = rest;
            self.add_rule(&String::from_utf8_lossy(rule), varint::take(input)?);
        }
        Some(())
    }
}

/// The place of a reason among the fates.
fn fate_of(reason: OmissionReason) -> usize {
    (reason as usize).saturating_add(1)
}

fn key(ledger: &Ledger) -> String {
    ledger.key(format_args!("findings"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(content: Result<&str, OmissionReason>) -> CapturedBody {
        CapturedBody { size: 0, content: content.map(str::to_owned) }
    }

    #[test]
    fn every_fate_of_a_body_has_a_name_of_its_own() {
        let mut findings = Findings::default();
        findings.add_body(Message::Response, &body(Ok("")));
        OmissionReason::ALL
            .iter()
            .for_each(|reason| findings.add_body(Message::Request, &body(Err(*reason))));
        let mut seen: Vec<_> = findings.bodies().collect();
        assert_eq!(seen.pop(), Some(("response", "captured", 1)));
        assert_eq!(seen, OmissionReason::ALL.map(|reason| ("request", reason.name(), 1)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rules in prop::collection::btree_map(".{0,9}", any::<u64>(), 0..9), counts in prop::collection::vec(any::<u64>(), FATES)) {
            let mut findings = Findings { rules, ..Findings::default() };
            findings.bodies[1].copy_from_slice(&counts);
            prop_assert_eq!(Findings::decode(&findings.encode()), findings);
        }

        #[test]
        fn garbage_is_survived(bytes in any::<Vec<u8>>()) {
            Findings::decode(&bytes);
        }
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let mut findings = Findings::default();
        (0..2 * MAX_RULES).for_each(|rule| findings.add_rule(&format!("keys:{rule}"), 1));
        assert_eq!(findings.rules().count(), MAX_RULES + 1);
        assert_eq!(findings.rules().map(|(_, hits)| hits).sum::<u64>(), 2 * MAX_RULES as u64);
    }
}
