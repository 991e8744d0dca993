//! The evaluation: every minute, the values of all rules, the states that follow, and the messages about them.
//!
//! Time is an argument. An evaluation is about the minutes up to a lag before now, because gateways report with a delay.
//! After a pause it goes through the minutes that it missed, so that a restart loses nothing; the messages and the states are
//! committed together, so that it repeats nothing.

use super::Severity;
use super::file::{AlertsFile, EpochKey, Incident, Recent, Stored};
use super::message::Message;
use super::observe::{
    DAY, FORGOTTEN, GatewayKey, Labels, MINUTE, Observation, Sample, of_counts, of_disk, of_gateways,
    stretches,
};
use super::rule::{Measure, Rule, Source};
use super::schedule::Maintenance;
use super::state::{Kind, Reading, Sound, State, Waits, news};
use super::view;
use crate::error::QueryError;
use crate::query::{Range, Sender, Store, Window, WindowsQuery};
use crate::store::StoreError;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// Minutes that are made up for after a pause; what came before is passed over.
const MAX_MISSED: i64 = 60;
/// Values of an alert that are kept to be shown.
const RECENT: usize = 60;
/// Time for which it is remembered when the service did not run: last week's requests are compared with.
const GAPS_KEPT: i64 = 9 * DAY;
/// Counts of a time in which the service did not run arrive within this time after its start, in one minute.
const SETTLING: i64 = 2 * MINUTE;
/// Name of the mark up to which everything is evaluated.
const EVALUATED: &str = "evaluated_to";

/// Who made a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    BuiltIn,
    File,
    Page,
}

/// A rule, and who made it.
#[derive(Debug)]
pub(crate) struct KnownRule {
    pub(crate) rule: Rule,
    pub(crate) origin: Origin,
    /// In Unix nanoseconds.
    pub(crate) muted_until: Option<i64>,
}

/// What an evaluation needs to know beside the time.
pub(crate) struct Setting<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) rules: &'a [KnownRule],
    pub(crate) receivers: &'a [String],
    /// Of all rules.
    pub(crate) maintenance: &'a [Maintenance],
    /// Share of the disk that is used.
    pub(crate) disk_percent: Option<f64>,
    /// Address of the page, without a slash at the end; empty where it is not known.
    pub(crate) page_url: &'a str,
    /// Nanoseconds.
    pub(crate) lag: i64,
}

/// What is remembered between evaluations and need not survive a restart.
pub(crate) struct Engine {
    /// Start of the service, in Unix nanoseconds.
    started: i64,
    has_resumed: bool,
    recent: HashMap<(String, String), Recent>,
    /// Of the latest evaluation, by rule.
    notes: HashMap<String, Note>,
}

/// The latest evaluation of a rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Note {
    /// Why it could not be evaluated.
    pub(crate) error: Option<String>,
    /// Instances that were measured.
    pub(crate) instances: usize,
    /// Instances beyond the bound, which were not.
    pub(crate) beyond: usize,
    /// The worst value.
    pub(crate) value: Option<f64>,
}

/// The outcome of an evaluation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Evaluated {
    /// Minutes that were evaluated.
    pub(crate) minutes: u32,
    /// Rules that could not be.
    pub(crate) failures: u32,
    /// Messages that were put into queues.
    pub(crate) messages: u32,
}

/// Why nothing was evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("the state of alerts cannot be kept: {0}")]
    File(#[from] StoreError),
}

/// What one minute found.
struct Findings {
    /// By the place of the rule. Absent where the rule was not evaluated.
    by_rule: HashMap<usize, Result<Vec<Observation>, String>>,
    drops: Vec<(EpochKey, u64)>,
}

/// Which evaluation of several it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Of a minute that was missed: the present state of gateways and of the disk is not that of then.
    Past,
    /// Of the latest minute.
    Present,
}

impl Engine {
    /// An engine of a service that started at this time, in Unix nanoseconds.
    pub(crate) fn new(started: i64) -> Self {
        Self { started, has_resumed: false, recent: HashMap::new(), notes: HashMap::new() }
    }

    /// The latest evaluation of each rule, by its name.
    pub(crate) fn notes(&self) -> &HashMap<String, Note> {
        &self.notes
    }

    /// Evaluates all minutes that have passed since the last time. `now` is in Unix nanoseconds.
    pub(crate) fn evaluate(
        &mut self,
        setting: &Setting<'_>,
        file: &Mutex<AlertsFile>,
        now: i64,
    ) -> Result<Evaluated, EngineError> {
        let end = (now - setting.lag).div_euclid(MINUTE) * MINUTE;
        let last = lock(file).mark(EVALUATED)?;
        if !self.has_resumed {
            self.resume(file, last, end, now)?;
        }
        // A clock that was set back must not stop the evaluation for long.
        let last = last.filter(|last| last - end < MAX_MISSED * MINUTE);
        let first = last.map_or(end, |last| (last + MINUTE).max(end - (MAX_MISSED - 1) * MINUTE));
        let mut evaluated = Evaluated::default();
        let mut at = first;
        while at <= end {
            let turn = if at == end { Turn::Present } else { Turn::Past };
            let found = self.find(setting, file, at, now, turn)?;
            self.apply(setting, file, at, &found, turn, &mut evaluated)?;
            evaluated.minutes += 1;
            at += MINUTE;
        }
        Ok(evaluated)
    }

    /// Notes the time in which the service did not run.
    fn resume(
        &mut self,
        file: &Mutex<AlertsFile>,
        last: Option<i64>,
        end: i64,
        now: i64,
    ) -> Result<(), EngineError> {
        let since = last.unwrap_or(end - DAY);
        if end - since > SETTLING {
            let mut file = lock(file);
            let change = file.begin()?;
            change.put_gap(since, now + SETTLING)?;
            change.commit()?;
        }
        for alert in lock(file).alerts()? {
            self.recent.insert((alert.rule, alert.fingerprint), alert.recent);
        }
        self.has_resumed = true;
        Ok(())
    }

    /// Asks the store for the values of all rules at a minute.
    fn find(
        &self,
        setting: &Setting<'_>,
        file: &Mutex<AlertsFile>,
        at: i64,
        now: i64,
        turn: Turn,
    ) -> Result<Findings, EngineError> {
        let mut found = Findings { by_rule: HashMap::new(), drops: Vec::new() };
        let active = |source: Source| {
            setting.rules.iter().enumerate().filter(move |(_, known)| {
                known.rule.config.enabled && known.rule.config.measure.source() == source
            })
        };
        let mut counts: Vec<(usize, &Rule)> =
            active(Source::Counts).map(|(n, known)| (n, &known.rule)).collect();
        let gaps = lock(file).gaps(at - GAPS_KEPT)?;
        while let Some((_, first)) = counts.first().copied() {
            // Rules about the same traffic share the search for its series.
            let is_same = |rule: &Rule| rule.filter == first.filter && rule.each == first.each;
            let (same, others): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(_, rule)| is_same(rule));
            found.by_rule.extend(measure(setting.store, &same, at, &gaps));
            counts = others;
        }
        if turn == Turn::Past {
            return Ok(found);
        }
        for (place, _) in active(Source::Disk) {
            found.by_rule.insert(place, Ok(of_disk(setting.disk_percent)));
        }
        if active(Source::Gateways).next().is_none() {
            return Ok(found);
        }
        let senders = setting.store.senders(now - FORGOTTEN);
        if let Ok(senders) = &senders {
            found.drops = senders.iter().map(|sender| (epoch_of(sender), sender.dropped)).collect();
        }
        for (place, known) in active(Source::Gateways) {
            let observed = match &senders {
                Ok(senders) => {
                    let since = at - i64::from(known.rule.config.window_minutes) * MINUTE;
                    let earlier = match known.rule.config.measure {
                        Measure::DroppedRecords => lock(file).drops_since(since)?,
                        _ => Vec::new(),
                    };
                    let dropped = dropped_since(senders, &earlier, since);
                    Ok(of_gateways(&known.rule, senders, &dropped, now, self.started))
                }
                Err(error) => Err(error.to_string()),
            };
            found.by_rule.insert(place, observed);
        }
        Ok(found)
    }

    /// Moves all alerts, and commits what follows.
    fn apply(
        &mut self,
        setting: &Setting<'_>,
        file: &Mutex<AlertsFile>,
        at: i64,
        found: &Findings,
        turn: Turn,
        evaluated: &mut Evaluated,
    ) -> Result<(), EngineError> {
        let mut file = lock(file);
        let mut alerts: HashMap<(String, String), Stored> = HashMap::new();
        for alert in file.alerts()? {
            alerts.insert((alert.rule.clone(), alert.fingerprint.clone()), alert);
        }
        let change = file.begin()?;
        let mut moved = Vec::new();
        let mut seen: HashSet<(String, String)> = HashSet::new();
        for (place, known) in setting.rules.iter().enumerate() {
            let rule = &known.rule;
            let observed = match found.by_rule.get(&place) {
                Some(Ok(observed)) => observed,
                Some(Err(error)) => {
                    evaluated.failures += 1;
                    tracing::warn!(rule = rule.name(), %error, "a rule could not be evaluated");
                    self.notes.entry(rule.name().to_owned()).or_default().error = Some(error.clone());
                    continue;
                }
                None => continue,
            };
            let definition = rule.definition();
            let of_rule = |alert: &Stored| alert.rule == rule.name() && alert.definition == definition;
            let (kept, beyond) = bounded(rule, observed, |fingerprint| {
                alerts.get(&(rule.name().to_owned(), fingerprint.to_owned())).is_some_and(of_rule)
            });
            self.notes.insert(
                rule.name().to_owned(),
                Note { error: None, instances: kept.len(), beyond, value: worst(rule, &kept) },
            );
            for (fingerprint, observation) in kept {
                let key = (rule.name().to_owned(), fingerprint.clone());
                let recent = self.recent.entry(key.clone()).or_default();
                recent.push_back((at, observation.value));
                while recent.len() > RECENT {
                    recent.pop_front();
                }
                seen.insert(key.clone());
                // An alert of the rule as it was before a change ends first.
                if alerts.get(&key).is_some_and(|alert| !of_rule(alert)) {
                    continue;
                }
                let stored = alerts.remove(&key);
                let before = stored.clone();
                let mut alert = stored.unwrap_or_else(|| Stored {
                    rule: rule.name().to_owned(),
                    fingerprint,
                    definition: definition.clone(),
                    labels: observation.labels.clone(),
                    state: State::Inactive,
                    announced_at: None,
                    incident: None,
                    value: None,
                    recent: Recent::new(),
                });
                alert.value = observation.value;
                alert.state = alert.state.after(observation.reading(rule), at, waits(rule));
                if before.is_some() || alert.state != State::Inactive {
                    alert.recent = recent.clone();
                    moved.push((Some(known), alert, None));
                }
            }
        }
        for (_, mut alert) in alerts {
            let known = setting.rules.iter().find(|known| known.rule.name() == alert.rule);
            let (reading, reason) = match known {
                None => (Reading::Back, Some("the rule was removed")),
                Some(known) if !known.rule.config.enabled => {
                    (Reading::Back, Some("the rule was switched off"))
                }
                Some(known) if known.rule.definition() != alert.definition => {
                    (Reading::Back, Some("the rule was changed"))
                }
                Some(known) => {
                    let place = setting.rules.iter().position(|other| std::ptr::eq(other, known));
                    let was_observed =
                        place.and_then(|place| found.by_rule.get(&place)).is_some_and(Result::is_ok);
                    match (was_observed, known.rule.config.measure.source()) {
                        (false, _) => (Reading::Unknown, None),
                        (true, Source::Counts) => {
                            (Reading::of(None, &known.rule.threshold, known.rule.config.missing), None)
                        }
                        (true, Source::Gateways | Source::Disk) => {
                            (Reading::Back, Some("the gateway was replaced, or was silent for a day"))
                        }
                    }
                }
            };
            if reading == Reading::Unknown {
                continue;
            }
            alert.value = None;
            alert.state = match reason {
                Some(_) => State::Inactive,
                None => {
                    known.map_or(State::Inactive, |known| alert.state.after(reading, at, waits(&known.rule)))
                }
            };
            moved.push((known, alert, reason));
        }
        for (known, mut alert, reason) in moved {
            evaluated.messages += settle(setting, &change, known, &mut alert, at, reason)?;
            change.put_alert(&alert)?;
        }
        if turn == Turn::Present {
            for (epoch, dropped) in &found.drops {
                change.put_drops(at, epoch, *dropped)?;
            }
            change.prune(at - DAY - MINUTE, at - GAPS_KEPT)?;
            self.recent.retain(|key, _| seen.contains(key));
            let names: HashSet<&str> = setting.rules.iter().map(|known| known.rule.name()).collect();
            self.notes.retain(|rule, _| names.contains(rule.as_str()));
        }
        change.put_mark(EVALUATED, at)?;
        change.commit()?;
        Ok(())
    }
}

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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn waits(rule: &Rule) -> Waits {
    let minutes = |minutes: u32| i64::from(minutes) * MINUTE;
    Waits { sustain: minutes(rule.config.sustain_minutes), recover: minutes(rule.config.recover_minutes) }
}

/// The observations of rules about the same traffic.
fn measure(
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
fn bounded(
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

fn worst(rule: &Rule, kept: &[(String, Observation)]) -> Option<f64> {
    use super::rule::Side;
    let values =
        kept.iter().filter(|(_, found)| found.sample == Sample::Enough).filter_map(|(_, found)| found.value);
    match rule.threshold.side {
        Side::Above => values.reduce(f64::max),
        Side::Below => values.reduce(f64::min),
    }
}

/// Begins and ends the incident of an alert, and queues the messages about it. Returns their number.
fn settle(
    setting: &Setting<'_>,
    change: &super::file::Change<'_>,
    known: Option<&KnownRule>,
    alert: &mut Stored,
    at: i64,
    reason: Option<&str>,
) -> Result<u32, EngineError> {
    if let (None, Some(fired_at), Some(known)) = (alert.incident, alert.state.fired_at(), known) {
        let config = &known.rule.config;
        alert.incident = Some(change.begin_incident(&Incident {
            id: 0,
            rule: alert.rule.clone(),
            fingerprint: alert.fingerprint.clone(),
            labels: alert.labels.clone(),
            severity: config.severity.name().to_owned(),
            measure: config.measure.name().to_owned(),
            side: known.rule.threshold.side.name().to_owned(),
            threshold: known.rule.threshold.at,
            since: alert.state.since().unwrap_or(fired_at),
            fired_at,
            resolved_at: None,
            reason: None,
            worst: alert.value,
        })?);
    }
    let Some(id) = alert.incident else { return Ok(0) };
    if let Some(value) = alert.value.filter(|_| alert.state.fired_at().is_some()) {
        change.worsen(id, value)?;
    }
    if alert.state.fired_at().is_none() {
        change.end_incident(id, at, reason)?;
        alert.incident = None;
    }
    let Some(incident) = change.incident(id)? else { return Ok(0) };
    let repeat = known.map_or(0, |known| i64::from(known.rule.config.repeat_minutes) * MINUTE);
    let Some(kind) = news(alert.state, alert.announced_at, at, repeat, sound(setting, known, at)) else {
        return Ok(0);
    };
    let receivers = match (kind, known) {
        (Kind::Resolved, _) | (_, None) => change.told(&alert.rule, &alert.fingerprint, incident.fired_at)?,
        (_, Some(known)) => receivers_of(&known.rule, setting.receivers),
    };
    let rule = known.map(|known| &known.rule);
    let view = rule.map(|rule| view_of(setting.page_url, rule, &incident, at)).unwrap_or_default();
    let message = Message::of(kind, &incident, alert.value, rule, view);
    let content = serde_json::to_string(&message).unwrap_or_default();
    for receiver in &receivers {
        change.queue(receiver, (&alert.rule, &alert.fingerprint), kind, &content, at)?;
    }
    alert.announced_at = match kind {
        Kind::Resolved => None,
        // Nobody knows of it; a receiver that is added later is told.
        _ if receivers.is_empty() => alert.announced_at,
        _ => Some(at),
    };
    Ok(u32::try_from(receivers.len()).unwrap_or(u32::MAX))
}

/// The names of the receivers of a rule that there are.
pub(crate) fn receivers_of(rule: &Rule, all: &[String]) -> Vec<String> {
    let wanted = |name: &&String| rule.config.receivers.as_ref().is_none_or(|names| names.contains(name));
    all.iter().filter(wanted).cloned().collect()
}

/// The address of the view of an incident: from half an hour before it to the present.
pub(crate) fn view_of(page_url: &str, rule: &Rule, incident: &Incident, at: i64) -> String {
    let window = i64::from(rule.config.window_minutes) * MINUTE;
    let from = incident.since - window - 30 * MINUTE;
    format!("{page_url}{}", view::path(rule, &incident.labels, Range { from, to: at + MINUTE }))
}

fn sound(setting: &Setting<'_>, known: Option<&KnownRule>, at: i64) -> Sound {
    let is_muted = known.is_some_and(|known| known.muted_until.is_some_and(|until| at < until));
    let own = known.map(|known| known.rule.maintenance.as_slice()).unwrap_or_default();
    let in_maintenance = setting.maintenance.iter().chain(own).any(|maintenance| maintenance.holds(at));
    if is_muted || in_maintenance { Sound::Off } else { Sound::On }
}

fn epoch_of(sender: &Sender) -> EpochKey {
    [&sender.service, &sender.environment, &sender.instance, &sender.epoch].map(Clone::clone)
}

/// The records that each gateway dropped since a time. An epoch that is older than the first look at it may have dropped
/// its records before.
fn dropped_since(senders: &[Sender], earlier: &[(EpochKey, u64)], since: i64) -> HashMap<GatewayKey, u64> {
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

impl Severity {
    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
