//! Whose data is not taken: counts by sender, of a bounded number of them.

use super::register;
use crate::auth::Principal;
use crate::model::{Rejection, Rejections};
use crate::sync::lock;
use gatelens_model::value;
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Senders that are counted apart. Further ones are counted together as `__overflow__`: strangers can invent environments, and
/// each sender has a series for each reason.
const MAX_SENDERS: usize = 100;
/// Characters of an environment that nobody has proven.
const MAX_CHARS: usize = 128;

/// A sender, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SenderName {
    /// Of its token; `None` without one.
    token: Option<String>,
    /// The one that the token may report for, or else the one that the sender names itself.
    environment: String,
}

impl SenderName {
    /// The holder of a token, or else whoever reports for this environment.
    pub(crate) fn of(principal: &Principal, environment: &str) -> Self {
        Self::by_token(principal).unwrap_or_else(|| Self {
            token: None,
            environment: environment.chars().take(MAX_CHARS).collect(),
        })
    }

    /// The holder of a token.
    pub(crate) fn by_token(principal: &Principal) -> Option<Self> {
        let Principal::Sender(sender) = principal else { return None };
        Some(Self { token: Some(sender.name.clone()), environment: sender.environment().to_owned() })
    }

    /// All those that have no place of their own.
    fn overflow() -> Self {
        Self { token: None, environment: value::OVERFLOW.to_owned() }
    }
}

/// What was not taken from a sender, since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NotTaken {
    /// Name of its token; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    environment: String,
    /// Points, records and spans of requests that were stored, by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// Whole requests, by reason.
    refused: BTreeMap<&'static str, u64>,
}

/// The counters by sender.
pub(super) struct BySender {
    rejected: IntCounterVec,
    refused: IntCounterVec,
    known: Mutex<BTreeMap<SenderName, Counts>>,
}

#[derive(Default)]
struct Counts {
    rejected: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn total(&self) -> u64 {
        self.rejected.values().chain(self.refused.values()).sum()
    }
}

impl BySender {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str| {
            let options = Opts::new(format!("gatelens_ingest_sender_{name}"), help);
            register(registry, IntCounterVec::new(options, &["token", "environment", "reason"])?)
        };
        Ok(Self {
            rejected: counters(
                "rejected_total",
                "Points, log records and spans that are not stored although their request is, by sender and reason.",
            )?,
            refused: counters(
                "refused_total",
                "Requests of holders of tokens that are not stored, by sender and reason.",
            )?,
            known: Mutex::default(),
        })
    }

    /// Counts what was rejected of a request that is stored.
    pub(super) fn rejected(&self, sender: &SenderName, rejections: &Rejections) {
        let notable = rejections.each().filter(|(reason, _)| !Rejection::ORDINARY.contains(reason));
        for (reason, count) in notable {
            self.count(sender, &self.rejected, reason.name(), count, |counts| &mut counts.rejected);
        }
    }

    /// Counts a request that is not stored.
    pub(super) fn refused(&self, sender: &SenderName, reason: &'static str) {
        self.count(sender, &self.refused, reason, 1, |counts| &mut counts.refused);
    }

    fn count(
        &self,
        sender: &SenderName,
        counters: &IntCounterVec,
        reason: &'static str,
        count: u64,
        place: impl FnOnce(&mut Counts) -> &mut BTreeMap<&'static str, u64>,
    ) {
        let mut known = lock(&self.known);
        let has_place = known.contains_key(sender) || known.len() < MAX_SENDERS;
        let sender = if has_place { sender.clone() } else { SenderName::overflow() };
        let labels = [sender.token.as_deref().unwrap_or_default(), &sender.environment, reason];
        counters.with_label_values(&labels).inc_by(count);
        let counted = place(known.entry(sender).or_default()).entry(reason).or_default();
        *counted = counted.saturating_add(count);
    }

    /// All senders of whom something was not taken; those with most first.
    pub(super) fn not_taken(&self) -> Vec<NotTaken> {
        let known = lock(&self.known);
        let mut all: Vec<_> = known.iter().collect();
        all.sort_by_key(|(_, counts)| Reverse(counts.total()));
        let shown = |(sender, counts): (&SenderName, &Counts)| NotTaken {
            token: sender.token.clone(),
            environment: sender.environment.clone(),
            rejected: counts.rejected.clone(),
            refused: counts.refused.clone(),
        };
        all.into_iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_senders_are_counted_together_and_nothing_is_lost() {
        let registry = Registry::new();
        let senders = BySender::new(&registry).unwrap();
        let mut rejections = Rejections::default();
        rejections.add(Rejection::Time, 2);
        rejections.add(Rejection::OtherSpan, 50);
        for number in 0..MAX_SENDERS + 30 {
            let sender = SenderName::of(&Principal::Open, &format!("{number}{}", "x".repeat(200)));
            assert_eq!(sender.environment.chars().count(), MAX_CHARS);
            senders.rejected(&sender, &rejections);
        }
        let all = senders.not_taken();
        assert_eq!(all.len(), MAX_SENDERS + 1);
        let first = NotTaken {
            token: None,
            environment: "__overflow__".to_owned(),
            rejected: [("time", 60)].into(),
            refused: BTreeMap::new(),
        };
        assert_eq!(all[0], first, "ordinary ones are not among them");
        let series: usize = registry.gather().iter().map(|family| family.get_metric().len()).sum();
        assert_eq!(series, MAX_SENDERS + 1);
    }
}
