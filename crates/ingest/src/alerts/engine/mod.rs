//! The evaluation: every minute, the values of all rules, the states that follow, and the messages about them.
//!
//! Time is an argument. An evaluation is about the minutes up to a lag before now, because gateways report with a delay.
//! After a pause it goes through the minutes that it missed, so that a restart loses nothing; the messages and the states are
//! committed together, so that it repeats nothing.

mod measure;
mod settle;

pub(crate) use measure::fingerprint;
pub(crate) use settle::view_of;

use super::file::{AlertsFile, EpochKey, Recent, Stored};
use super::observe::{DAY, FORGOTTEN, MINUTE, Observation, of_disk, of_gateways};
use super::rule::{Measure, Rule, Source};
use super::schedule::Maintenance;
use super::state::{Reading, State, Waits};
use crate::query::Store;
use crate::store::StoreError;
use crate::sync::lock;
use measure::{bounded, dropped_since, epoch_of, measure, worst};
use settle::settle;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

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
    /// Whether this replica still evaluates. Another one takes over what it does not end.
    pub(crate) may_go_on: &'a dyn Fn() -> bool,
}

/// What is remembered between evaluations and need not survive a restart.
pub(crate) struct Engine {
    /// Start of the service, in Unix nanoseconds.
    started: i64,
    has_resumed: bool,
    /// The minute of the last look at what gateways dropped, while another replica evaluates.
    looked: i64,
    recent: HashMap<(String, String), Recent>,
    /// Of the latest evaluation, by rule.
    notes: HashMap<String, Note>,
}

/// The latest evaluation of a rule.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
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
        Self { started, has_resumed: false, looked: i64::MIN, recent: HashMap::new(), notes: HashMap::new() }
    }

    /// The next evaluation goes on with the state of the file, as after a start: another replica has evaluated meanwhile.
    pub(crate) fn resume_later(&mut self) {
        self.has_resumed = false;
        self.recent.clear();
    }

    /// Keeps what an evaluation asks of earlier minutes while another replica evaluates. `now` is in Unix nanoseconds.
    pub(crate) fn look_on(
        &mut self,
        store: &dyn Store,
        file: &Mutex<AlertsFile>,
        now: i64,
    ) -> Result<(), EngineError> {
        let at = now.div_euclid(MINUTE) * MINUTE;
        if at == self.looked {
            return Ok(());
        }
        // What cannot be asked now is asked in the next minute.
        let senders = store.senders(now - FORGOTTEN).unwrap_or_default();
        let mut file = lock(file);
        let change = file.begin()?;
        for sender in &senders {
            change.put_drops(at, &epoch_of(sender), sender.dropped)?;
        }
        change.prune(at - DAY - MINUTE, at - GAPS_KEPT)?;
        change.commit()?;
        self.looked = at;
        Ok(())
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
            if !(setting.may_go_on)() {
                break;
            }
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

pub(crate) fn waits(rule: &Rule) -> Waits {
    let minutes = |minutes: u32| i64::from(minutes) * MINUTE;
    Waits { sustain: minutes(rule.config.sustain_minutes), recover: minutes(rule.config.recover_minutes) }
}
