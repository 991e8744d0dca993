//! What an evaluation asks the store, and what it makes of the answers.

use crate::alerts::file::EpochKey;
use crate::alerts::observe::{GatewayKey, Labels, Observation, Sample, of_counts, stretches};
use crate::alerts::rule::{Rule, Side};
use crate::error::QueryError;
use crate::query::{Range, Sender, Store, Window, WindowsQuery};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Identifies an instance of a rule for receivers.
pub(crate) fn fingerprint(rule: &str, labels: &Labels) -> String {
    let mut hash = Sha256::new();
    let parts = labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for part in std::iter::once(rule).chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize()[..8])
}

/// The observations of rules about the same traffic.
pub(super) fn measure(
    store: &dyn Store,
    rules: &[(usize, &Rule)],
    at: i64,
    gaps: &[(i64, i64)],
) -> Vec<(usize, Result<Vec<Observation>, String>)> {
    let Some((_, first)) = rules.first() else { return Vec::new() };
    let mut ranges: Vec<Range> = Vec::new();
    for range in rules.iter().flat_map(|(_, rule)| stretches(rule, at)) {
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    let query = WindowsQuery { filter: &first.filter, by: &first.each };
    let mut windows: Vec<Window> = Vec::new();
    let asked: Result<(), QueryError> = store.windows(&query, &mut |window| {
        windows.extend(window);
        ranges.get(windows.len()).copied()
    });
    let observe = |(place, rule): &(usize, &Rule)| {
        if let Err(error) = &asked {
            return (*place, Err(error.to_string()));
        }
        let wanted = stretches(rule, at);
        let found: Vec<&Window> = wanted
            .iter()
            .filter_map(|range| windows.get(ranges.iter().position(|other| other == range)?))
            .collect();
        let mut observed = of_counts(rule, &found);
        let is_in_gap =
            wanted.iter().any(|range| gaps.iter().any(|gap| range.from < gap.1 && gap.0 < range.to));
        if is_in_gap && rule.config.measure.counts_requests() {
            observed.iter_mut().for_each(|observation| observation.sample = Sample::Unknown);
        }
        (*place, Ok(observed))
    };
    rules.iter().map(observe).collect()
}

/// The instances that the bound of a rule leaves, with their fingerprints, and how many it does not.
pub(super) fn bounded(
    rule: &Rule,
    observed: &[Observation],
    has_alert: impl Fn(&str) -> bool,
) -> (Vec<(String, Observation)>, usize) {
    let mut all: Vec<(bool, String, &Observation)> = observed
        .iter()
        .map(|observation| {
            let fingerprint = fingerprint(rule.name(), &observation.labels);
            (has_alert(&fingerprint), fingerprint, observation)
        })
        .collect();
    all.sort_by_key(|(has_alert, _, observation)| std::cmp::Reverse((*has_alert, observation.weight)));
    let beyond = all.len().saturating_sub(rule.config.max_instances as usize);
    all.truncate(rule.config.max_instances as usize);
    (
        all.into_iter().map(|(_, fingerprint, observation)| (fingerprint, observation.clone())).collect(),
        beyond,
    )
}

pub(super) fn worst(rule: &Rule, kept: &[(String, Observation)]) -> Option<f64> {
    let values =
        kept.iter().filter(|(_, found)| found.sample == Sample::Enough).filter_map(|(_, found)| found.value);
    match rule.threshold.side {
        Side::Above => values.reduce(f64::max),
        Side::Below => values.reduce(f64::min),
    }
}

pub(super) fn epoch_of(sender: &Sender) -> EpochKey {
    [&sender.service, &sender.environment, &sender.instance, &sender.epoch].map(Clone::clone)
}

/// The records that each gateway dropped since a time. An epoch that is older than the first look at it may have dropped
/// its records before.
pub(super) fn dropped_since(
    senders: &[Sender],
    earlier: &[(EpochKey, u64)],
    since: i64,
) -> HashMap<GatewayKey, u64> {
    let earlier: BTreeMap<&EpochKey, u64> =
        earlier.iter().map(|(epoch, dropped)| (epoch, *dropped)).collect();
    let mut dropped: HashMap<GatewayKey, u64> = HashMap::new();
    for sender in senders {
        let [service, environment, instance, epoch] = epoch_of(sender);
        let gateway = [service.clone(), environment.clone(), instance.clone()];
        let before = earlier.get(&[service, environment, instance, epoch]).copied();
        let before = before.unwrap_or(if sender.first_seen >= since { 0 } else { sender.dropped });
        let sum = dropped.entry(gateway).or_default();
        *sum = sum.saturating_add(sender.dropped.saturating_sub(before));
    }
    dropped
}
