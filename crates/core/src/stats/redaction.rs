//! Matches of redaction rules, and fates of bodies.

use std::collections::BTreeMap;

use gatelens_model::value::{BODY_CAPTURED, OVERFLOW};

use gatelens_model::{Message, OmissionReason};
use gatelens_redact::Hits;
use gatelens_redact::capture::CapturedBody;

/// Maximum number of separate rules. A configuration has fewer; only repeated replacements reach this bound.
const MAX_RULES: usize = 4_096;

/// Fates of a body: captured, or omitted for one of the reasons.
const BODY_FATES: usize = OmissionReason::ALL.len() + 1;

/// Counts since the start of the epoch, or counts that are not merged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactionStats {
    rules: BTreeMap<String, u64>,
    /// By [`Message`]; captured first, then by reason.
    bodies: [[u64; BODY_FATES]; 2],
}

impl RedactionStats {
    /// Adds matches of the rules with these names.
    pub fn add_hits(&mut self, rules: &[String], hits: &mut Hits) {
        for (index, count) in hits.drain() {
            if let Some(rule) = rules.get(index) {
                self.add_rule(rule, count);
            }
        }
    }

    /// Adds matches of one rule.
    pub fn add_rule(&mut self, rule: &str, hits: u64) {
        if let Some(sum) = self.rules.get_mut(rule) {
            *sum = sum.saturating_add(hits);
        } else {
            let rule = if self.rules.len() < MAX_RULES { rule } else { OVERFLOW };
            let sum = self.rules.entry(rule.to_owned()).or_default();
            *sum = sum.saturating_add(hits);
        }
    }

    /// Counts a body.
    pub fn add_body(&mut self, message: Message, body: &CapturedBody) {
        let fate = body.content.as_ref().map_or_else(|reason| place(*reason), |_| 0);
        self.count(message, fate, 1);
    }

    /// Counts bodies that are omitted for the same reason.
    pub fn add_omitted(&mut self, message: Message, reason: OmissionReason, bodies: u64) {
        self.count(message, place(reason), bodies);
    }

    /// Lists rules even though they never matched.
    pub fn list_rules(&mut self, rules: &[String]) {
        rules.iter().for_each(|rule| self.add_rule(rule, 0));
    }

    /// The rules with their matches, by name.
    pub fn rules(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().map(|(rule, hits)| (rule.as_str(), *hits))
    }

    /// Bodies by message and fate, where there were any: `captured`, or the name of the [`OmissionReason`].
    pub fn bodies(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let fates = || std::iter::once(BODY_CAPTURED).chain(OmissionReason::ALL.map(OmissionReason::name));
        ["request", "response"]
            .into_iter()
            .zip(&self.bodies)
            .flat_map(move |(message, row)| {
                fates().zip(row).map(move |(fate, count)| (message, fate, *count))
            })
            .filter(|(_, _, count)| *count > 0)
    }

    /// Bodies of requests and of responses, for rows in shared data: captured first, then by reason. Append only.
    pub fn body_numbers(&self) -> [&[u64]; 2] {
        self.bodies.each_ref().map(|row| &row[..])
    }

    /// Adds a row of [`RedactionStats::body_numbers`], which another version may have written.
    pub fn add_body_numbers(&mut self, message: usize, numbers: &[u64]) {
        for (sum, number) in self.bodies.iter_mut().skip(message).take(1).flatten().zip(numbers) {
            *sum = sum.saturating_add(*number);
        }
    }

    /// Whether nothing was counted and no rule is listed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn count(&mut self, message: Message, fate: usize, bodies: u64) {
        if let Some(count) = self.bodies.get_mut(message as usize).and_then(|row| row.get_mut(fate)) {
            *count = count.saturating_add(bodies);
        }
    }
}

/// The place of a reason among the fates.
fn place(reason: OmissionReason) -> usize {
    (reason as usize).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: Result<&str, OmissionReason>) -> CapturedBody {
        CapturedBody { size: 0, content: content.map(str::to_owned) }
    }

    #[test]
    fn every_fate_of_a_body_has_a_name_of_its_own() {
        let mut stats = RedactionStats::default();
        stats.add_body(Message::Response, &body(Ok("")));
        OmissionReason::ALL.iter().for_each(|reason| stats.add_body(Message::Request, &body(Err(*reason))));
        let mut seen: Vec<_> = stats.bodies().collect();
        assert_eq!(seen.pop(), Some(("response", "captured", 1)));
        assert_eq!(seen, OmissionReason::ALL.map(|reason| ("request", reason.name(), 1)));
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let mut stats = RedactionStats::default();
        (0..2 * MAX_RULES).for_each(|rule| stats.add_rule(&format!("keys:{rule}"), 1));
        assert_eq!(stats.rules().count(), MAX_RULES + 1);
        assert_eq!(stats.rules().map(|(_, hits)| hits).sum::<u64>(), 2 * MAX_RULES as u64);
    }
}
