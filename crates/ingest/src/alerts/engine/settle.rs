//! Incidents, and the messages about them.

use super::{EngineError, KnownRule, Setting};
use crate::alerts::file::{Change, Incident, Stored};
use crate::alerts::message::Message;
use crate::alerts::observe::MINUTE;
use crate::alerts::rule::Rule;
use crate::alerts::state::{Kind, Sound, news};
use crate::alerts::view;
use crate::query::Range;

/// Begins and ends the incident of an alert, and queues the messages about it. Returns their number.
pub(super) fn settle(
    setting: &Setting<'_>,
    change: &Change<'_>,
    known: Option<&KnownRule>,
    alert: &mut Stored,
    at: i64,
    reason: Option<&str>,
) -> Result<u32, EngineError> {
    if let (None, Some(fired_at), Some(known)) = (alert.incident, alert.state.fired_at(), known) {
        let config = &known.rule.config;
        let since = alert.state.since().unwrap_or(fired_at);
        alert.incident = Some(change.begin_incident(&Incident {
            id: 0,
            rule: alert.rule.clone(),
            fingerprint: alert.fingerprint.clone(),
            labels: alert.labels.clone(),
            severity: config.severity.name().to_owned(),
            measure: config.measure.name().to_owned(),
            side: known.rule.threshold.side.name().to_owned(),
            threshold: known.rule.threshold.at,
            since,
            fired_at,
            resolved_at: None,
            reason: None,
            worst: alert.value,
            view: Some(view::begun(&known.rule, &alert.labels, seen_from(&known.rule, since))),
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
        // No message went out, so a receiver that is added later gets one.
        _ if receivers.is_empty() => alert.announced_at,
        _ => Some(at),
    };
    Ok(u32::try_from(receivers.len()).unwrap_or(u32::MAX))
}

/// The names of the receivers of a rule that there are.
fn receivers_of(rule: &Rule, all: &[String]) -> Vec<String> {
    let wanted = |name: &&String| rule.config.receivers.as_ref().is_none_or(|names| names.contains(name));
    all.iter().filter(wanted).cloned().collect()
}

/// The address of the view of an incident: from half an hour before it to the present.
pub(crate) fn view_of(page_url: &str, rule: &Rule, incident: &Incident, at: i64) -> String {
    let range = Range { from: seen_from(rule, incident.since), to: at + MINUTE };
    format!("{page_url}{}", view::path(rule, &incident.labels, range))
}

/// The start of the view of an incident: half an hour before the first window beyond the threshold.
fn seen_from(rule: &Rule, since: i64) -> i64 {
    since - i64::from(rule.config.window_minutes) * MINUTE - 30 * MINUTE
}

fn sound(setting: &Setting<'_>, known: Option<&KnownRule>, at: i64) -> Sound {
    let is_muted = known.is_some_and(|known| known.muted_until.is_some_and(|until| at < until));
    let own = known.map(|known| known.rule.maintenance.as_slice()).unwrap_or_default();
    let in_maintenance = setting.maintenance.iter().chain(own).any(|maintenance| maintenance.holds(at));
    if is_muted || in_maintenance { Sound::Off } else { Sound::On }
}
