//! A rule tried on the past: the stretches, observations and states of the engine, over the minutes that are stored.
//! Nothing is sent. A long trial is done in pieces: an answer has what was found so far, and the next question goes on.

use super::engine::waits;
use super::observe::{DAY, Labels, MINUTE, Observation, SECOND, Sample, of_counts, stretches};
use super::rule::{Rule, RuleConfig, RuleError, Side, Source};
use super::schedule::Maintenance;
use super::state::{Kind, Reading, Sound, State, news};
use super::{Alerts, AlertsError};
use crate::error::QueryError;
use crate::query::{Range, Store, Window, WindowsQuery, rfc3339};
use crate::sync::lock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const DAYS: RangeInclusive<u32> = 1..=14;
/// Minutes times the instances that were found in each.
const MAX_READINGS: usize = 3_000_000;
/// Firings in an answer.
const MAX_FIRINGS: usize = 500;
/// Trials that wait to be gone on with. A further one takes the place of the oldest.
const MAX_BEGUN: usize = 16;

/// The question: a rule, and how far back to look.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    rule: RuleConfig,
    /// 1 to 14.
    days: u32,
    /// `resume` of the last answer, to go on with the same question.
    resume: Option<u64>,
}

/// The trials that are not done.
pub(crate) struct Trials {
    /// Time after which a piece ends; at least a minute of the past is tried in each.
    piece: Duration,
    begun: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    trials: VecDeque<(u64, Begun)>,
}

/// A trial up to some minute.
struct Begun {
    rule: RuleConfig,
    days: u32,
    range: Range,
    /// The last minute that was tried.
    tried_to: i64,
    found: Found,
}

impl Trials {
    pub(crate) fn new(piece: Duration) -> Self {
        Self { piece, begun: Mutex::default() }
    }

    /// Keeps a trial to be gone on with, and returns its number.
    fn keep(&self, begun: Begun) -> u64 {
        let mut waiting = lock(&self.begun);
        let number = waiting.next;
        waiting.next += 1;
        waiting.trials.push_back((number, begun));
        while waiting.trials.len() > MAX_BEGUN {
            waiting.trials.pop_front();
        }
        number
    }

    /// Takes a trial of this question out.
    fn take(&self, number: u64, rule: &RuleConfig, days: u32) -> Option<Begun> {
        let trials = &mut lock(&self.begun).trials;
        let is_same =
            |(other, begun): &(u64, Begun)| *other == number && begun.rule == *rule && begun.days == days;
        let place = trials.iter().position(is_same)?;
        trials.remove(place).map(|(_, begun)| begun)
    }
}

/// When a rule would have fired.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    from: String,
    to: String,
    /// The minute up to which it was tried; `to` when it is done.
    tried_to: String,
    /// Goes on with the trial when it is asked with the same question; absent when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<u64>,
    /// The first minute that could be evaluated: before it there was no traffic, or its minutes are no longer kept.
    known_from: Option<String>,
    unit: &'static str,
    side: &'static str,
    threshold: f64,
    /// The worst value that had enough requests.
    worst: Option<f64>,
    /// Messages to each receiver.
    messages: usize,
    /// The first of them, at most 500.
    firings: Vec<ShownFiring>,
    /// Firings beyond those.
    more: usize,
}

#[derive(Debug, Serialize)]
struct ShownFiring {
    labels: BTreeMap<String, String>,
    since: String,
    fired_at: String,
    /// `null` where it would fire at the end.
    resolved_at: Option<String>,
    worst: Option<f64>,
}

impl Alerts {
    /// Tries a rule, switched on or not, on the days before `now`, in Unix nanoseconds, or a piece of them. Blocks, for at
    /// most the time of a query.
    ///
    /// # Errors
    /// A wrong rule, a rule whose measure has no history, or a trial that is too much work.
    pub(crate) fn try_rule(&self, trial: Trial, now: i64) -> Result<Tried, QueryError> {
        let Trial { rule: mut config, days, resume } = trial;
        if !DAYS.contains(&days) {
            let message = format!(
                "{days} is not in {}..={}: write a number of days within it",
                DAYS.start(),
                DAYS.end()
            );
            return Err(wrong(RuleError::new("days", message)));
        }
        if config.name.is_empty() {
            // A rule can be tried before it has a name.
            config.name = "tried".to_owned();
        }
        let rule = Rule::compile(config.clone()).map_err(|error| wrong(error.under("rule")))?;
        if rule.config.measure.source() != Source::Counts {
            let message = format!(
                "{} is not kept by minute, so that it cannot be tried on the past: try a measure of requests",
                rule.config.measure.name()
            );
            return Err(wrong(RuleError::new("rule.measure", message)));
        }
        let mut begun = match resume {
            Some(number) => self.trials.take(number, &config, days).ok_or_else(|| {
                let message = "this trial is not kept any more, or was of another question: begin anew, without `resume`";
                wrong(RuleError::new("resume", message))
            })?,
            None => {
                let lag = i64::from(self.settings.lag_seconds) * SECOND;
                let to = (now - lag).div_euclid(MINUTE) * MINUTE;
                let range = Range { from: to - i64::from(days) * DAY, to };
                Begun { rule: config, days, range, tried_to: range.from, found: Found::default() }
            }
        };
        let range = begun.range;
        let gaps = lock(&self.file).gaps(range.from - 8 * DAY).map_err(AlertsError::from)?;
        let past = Past {
            rule: &rule,
            gaps: &gaps,
            maintenance: &self.settings.maintenance,
            max_readings: MAX_READINGS,
        };
        past.over(&self.store, &mut begun, self.trials.piece)?;
        let Begun { tried_to, found, .. } = &begun;
        let tried = Tried {
            from: rfc3339(range.from),
            to: rfc3339(range.to),
            tried_to: rfc3339(*tried_to),
            resume: None,
            known_from: found.known_from.map(rfc3339),
            unit: rule.config.measure.unit(),
            side: rule.threshold.side.name(),
            threshold: rule.threshold.at,
            worst: found.worst,
            messages: found.messages,
            more: found.more,
            firings: found.firings.iter().cloned().map(Firing::shown).collect(),
        };
        let resume = (*tried_to < range.to).then(|| self.trials.keep(begun));
        Ok(Tried { resume, ..tried })
    }
}

fn wrong(error: RuleError) -> QueryError {
    AlertsError::from(error).into()
}

/// What a rule is tried with.
struct Past<'a> {
    rule: &'a Rule,
    /// Times in which the service did not run.
    gaps: &'a [(i64, i64)],
    /// Of all rules.
    maintenance: &'a [Maintenance],
    max_readings: usize,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    known_from: Option<i64>,
    readings: usize,
    alerts: BTreeMap<Labels, Tracked>,
    firings: Vec<Firing>,
    more: usize,
    messages: usize,
    worst: Option<f64>,
}

/// An alert on its way through the past.
#[derive(Default)]
struct Tracked {
    state: State,
    announced_at: Option<i64>,
    /// Its place among the firings; behind the last one where they are too many.
    firing: Option<usize>,
}

/// One time that an alert fires. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq)]
struct Firing {
    labels: Labels,
    since: i64,
    fired_at: i64,
    resolved_at: Option<i64>,
    worst: Option<f64>,
}

impl Firing {
    fn shown(self) -> ShownFiring {
        ShownFiring {
            labels: self.labels.into_iter().collect(),
            since: rfc3339(self.since),
            fired_at: rfc3339(self.fired_at),
            resolved_at: self.resolved_at.map(rfc3339),
            worst: self.worst,
        }
    }
}

impl Past<'_> {
    /// Evaluates the minutes that follow, in one look at the store, until all are done or the time for a piece is over.
    fn over(&self, store: &dyn Store, begun: &mut Begun, piece: Duration) -> Result<(), QueryError> {
        let start = Instant::now();
        let Begun { range, tried_to, found, .. } = begun;
        let mut outcome = Ok(());
        let mut windows: Vec<Window> = Vec::new();
        let mut at = *tried_to + MINUTE;
        let mut wanted = stretches(self.rule, at);
        let query = WindowsQuery { filter: &self.rule.filter, by: &self.rule.each };
        let asked = store.windows(&query, &mut |window| {
            windows.extend(window);
            if let Some(next) = wanted.get(windows.len()) {
                return Some(*next);
            }
            outcome = self.minute(found, at, &windows);
            windows.clear();
            *tried_to = at;
            at += MINUTE;
            if outcome.is_err() || at > range.to || start.elapsed() >= piece {
                return None;
            }
            wanted = stretches(self.rule, at);
            wanted.first().copied()
        });
        match asked {
            Err(QueryError::TooSlow) => return Err(too_much("takes longer for a minute than a query may")),
            other => other?,
        }
        outcome
    }

    /// Moves all alerts by a minute whose windows are known.
    fn minute(&self, found: &mut Found, at: i64, windows: &[Window]) -> Result<(), QueryError> {
        found.readings += 1 + windows.iter().map(|window| window.groups.len()).sum::<usize>();
        if found.readings > self.max_readings {
            return Err(too_much("has too many values of `each`"));
        }
        let is_before_traffic =
            found.known_from.is_none() && windows.iter().all(|window| window.groups.is_empty());
        if is_before_traffic || windows.iter().any(|window| window.is_widened) {
            return Ok(());
        }
        found.known_from.get_or_insert(at);
        let rule = self.rule;
        let mut observed = of_counts(rule, &windows.iter().collect::<Vec<_>>());
        let is_in_gap = || {
            let is_hit = |range: &Range| self.gaps.iter().any(|gap| range.from < gap.1 && gap.0 < range.to);
            stretches(rule, at).iter().any(is_hit)
        };
        if rule.config.measure.counts_requests() && is_in_gap() {
            observed.iter_mut().for_each(|observation| observation.sample = Sample::Unknown);
        }
        let bound = rule.config.max_instances as usize;
        if observed.len() > bound {
            let rank = |observation: &Observation| {
                (found.alerts.contains_key(&observation.labels), observation.weight)
            };
            observed.sort_by_key(|observation| std::cmp::Reverse(rank(observation)));
            observed.truncate(bound);
        }
        let seen: HashSet<&Labels> = observed.iter().map(|observation| &observation.labels).collect();
        let gone: Vec<Labels> =
            found.alerts.keys().filter(|labels| !seen.contains(labels)).cloned().collect();
        let missing = Reading::of(None, &rule.threshold, rule.config.missing);
        for observation in &observed {
            if observation.sample == Sample::Enough {
                found.worst = self.worse(found.worst, observation.value);
            }
            self.step(found, &observation.labels, observation.reading(rule), observation.value, at);
        }
        for labels in &gone {
            self.step(found, labels, missing, None, at);
        }
        Ok(())
    }

    fn step(&self, found: &mut Found, labels: &Labels, reading: Reading, value: Option<f64>, at: i64) {
        let mut alert = found.alerts.remove(labels).unwrap_or_default();
        alert.state = alert.state.after(reading, at, waits(self.rule));
        match (alert.state.fired_at(), alert.firing) {
            (Some(fired_at), None) => {
                alert.firing = Some(found.firings.len());
                if found.firings.len() < MAX_FIRINGS {
                    let since = alert.state.since().unwrap_or(fired_at);
                    let labels = labels.clone();
                    found.firings.push(Firing { labels, since, fired_at, resolved_at: None, worst: value });
                } else {
                    found.more += 1;
                }
            }
            (Some(_), Some(place)) => {
                if let Some(firing) = found.firings.get_mut(place) {
                    firing.worst = self.worse(firing.worst, value);
                }
            }
            (None, Some(place)) => {
                if let Some(firing) = found.firings.get_mut(place) {
                    firing.resolved_at = Some(at);
                }
                alert.firing = None;
            }
            (None, None) => {}
        }
        let repeat = i64::from(self.rule.config.repeat_minutes) * MINUTE;
        if let Some(kind) = news(alert.state, alert.announced_at, at, repeat, self.sound(at)) {
            found.messages += 1;
            alert.announced_at = (kind != Kind::Resolved).then_some(at);
        }
        if alert.state != State::Inactive {
            found.alerts.insert(labels.clone(), alert);
        }
    }

    fn worse(&self, a: Option<f64>, b: Option<f64>) -> Option<f64> {
        let values = [a, b].into_iter().flatten();
        match self.rule.threshold.side {
            Side::Above => values.reduce(f64::max),
            Side::Below => values.reduce(f64::min),
        }
    }

    fn sound(&self, at: i64) -> Sound {
        let mut all = self.maintenance.iter().chain(&self.rule.maintenance);
        if all.any(|maintenance| maintenance.holds(at)) { Sound::Off } else { Sound::On }
    }
}

fn too_much(reason: &str) -> QueryError {
    let message =
        format!("the trial {reason}: try fewer days, a narrower scope, or fewer dimensions in `each`");
    wrong(RuleError::new("days", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Sums;

    fn rule(change: impl FnOnce(&mut RuleConfig)) -> Rule {
        let mut config = RuleConfig {
            name: "r".to_owned(),
            measure: super::super::Measure::ErrorPercent,
            above: Some(10.0),
            each: vec!["route".to_owned()],
            sustain_minutes: 2,
            recover_minutes: 1,
            ..RuleConfig::default()
        };
        change(&mut config);
        Rule::compile(config).unwrap()
    }

    /// The errors among 100 requests to each of these routes.
    fn window(errors: &[(&str, u64)]) -> Window {
        let sums = |errors| Sums { requests: 100, errors, ..Sums::default() };
        Window {
            groups: errors.iter().map(|(route, errors)| (vec![(*route).to_owned()], sums(*errors))).collect(),
            ..Window::default()
        }
    }

    fn tried(rule: &Rule, max_readings: usize, minutes: Vec<Window>) -> Result<Found, QueryError> {
        let past = Past { rule, gaps: &[], maintenance: &[], max_readings };
        let mut found = Found::default();
        for (at, window) in (1i64..).zip(minutes) {
            past.minute(&mut found, at * MINUTE, &[window])?;
        }
        Ok(found)
    }

    #[test]
    fn it_fires_in_the_past_as_it_would_now() {
        let widened = Window { is_widened: true, ..window(&[("/a", 50)]) };
        let mut minutes = vec![window(&[]), widened];
        minutes.extend([20, 30, 40, 0, 0, 12].map(|errors| window(&[("/a", errors), ("/b", 5)])));
        // What has no requests any more is back.
        minutes.extend([window(&[("/a", 99)]), window(&[("/a", 15)]), window(&[])]);
        let found = tried(&rule(|_| {}), MAX_READINGS, minutes).unwrap();
        let firing = |since: i64, fired_at: i64, resolved_at: Option<i64>, worst| Firing {
            labels: vec![("route".to_owned(), "/a".to_owned())],
            since: since * MINUTE,
            fired_at: fired_at * MINUTE,
            resolved_at: resolved_at.map(|at| at * MINUTE),
            worst: Some(worst),
        };
        assert_eq!(found.firings, [firing(3, 5, Some(7), 40.0), firing(8, 10, None, 15.0)]);
        assert_eq!((found.known_from, found.worst), (Some(3 * MINUTE), Some(99.0)));
        assert_eq!((found.messages, found.more), (3, 0));
    }

    #[test]
    fn repetitions_are_counted_as_messages() {
        let rule = rule(|rule| (rule.repeat_minutes, rule.sustain_minutes) = (3, 0));
        let minutes = (0..7).map(|_| window(&[("/a", 50)])).collect();
        assert_eq!(tried(&rule, MAX_READINGS, minutes).unwrap().messages, 3);
    }

    #[test]
    fn a_trial_of_too_many_values_is_refused() {
        let minutes = || (0..4).map(|_| window(&[("/a", 0), ("/b", 0)])).collect();
        assert!(tried(&rule(|_| {}), 12, minutes()).is_ok());
        let refused = tried(&rule(|_| {}), 11, minutes()).err().unwrap();
        assert!(refused.to_string().contains("days: the trial has too many values"), "{refused}");
    }
}
