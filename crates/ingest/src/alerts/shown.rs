//! Alerts as the API and the page show them.

use super::engine::{Note, Origin, fingerprint, view_of};
use super::file::{Delivery, Incident, Past};
use super::message::Message;
use super::observe::{Labels, MINUTE, SECOND};
use super::receivers::Shown;
use super::rule::{Measure, RuleConfig};
use super::state::Kind;
use super::view;
use super::{Alerts, Severity, StoreError};
use crate::query::rfc3339;
use crate::sync::lock;
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer to `GET alerts`.
#[derive(Serialize)]
pub(crate) struct AlertsAnswer {
    /// The minute up to which rules are evaluated; `null` before the first time.
    evaluated_to: Option<String>,
    /// What fires or is about to: firing first, the worst first.
    alerts: Vec<Alert>,
    rules: Vec<ShownRule>,
    receivers: Vec<ShownReceiver>,
}

#[derive(Serialize)]
struct Alert {
    id: String,
    rule: String,
    severity: Severity,
    state: &'static str,
    labels: BTreeMap<String, String>,
    since: Option<String>,
    fired_at: Option<String>,
    value: Option<f64>,
    threshold: f64,
    recover_at: f64,
    side: &'static str,
    measure: &'static str,
    unit: &'static str,
    muted: bool,
    announced_at: Option<String>,
    view: String,
    recent: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    time: String,
    value: Option<f64>,
}

#[derive(Serialize)]
struct ShownRule {
    #[serde(flatten)]
    config: RuleConfig,
    origin: Origin,
    unit: &'static str,
    /// The worst state of its alerts.
    state: &'static str,
    firing: usize,
    muted_until: Option<String>,
    /// The worst value of the latest evaluation.
    value: Option<f64>,
    instances: usize,
    /// Instances that were not measured, because there are more than `max_instances`.
    beyond: usize,
    error: Option<String>,
}

#[derive(Serialize)]
struct ShownReceiver {
    #[serde(flatten)]
    receiver: Shown,
    /// The latest delivery to it; `null` before the first one.
    last: Option<ShownDelivery>,
}

/// The answer to `GET alerts/deliveries`.
#[derive(Serialize)]
pub(crate) struct DeliveriesAnswer {
    rows: Vec<ShownDelivery>,
    next: Option<String>,
}

#[derive(Serialize)]
struct ShownDelivery {
    id: i64,
    receiver: String,
    rule: String,
    alert: String,
    kind: String,
    title: String,
    created_at: String,
    outcome: String,
    attempts: u32,
    last_at: Option<String>,
    next_at: Option<String>,
    status: Option<u16>,
    error: Option<String>,
}

/// The answer to `GET alerts/history`.
#[derive(Serialize)]
pub(crate) struct HistoryAnswer {
    rows: Vec<ShownIncident>,
    /// The cursor of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct ShownIncident {
    id: i64,
    alert: String,
    rule: String,
    severity: String,
    labels: BTreeMap<String, String>,
    measure: String,
    unit: &'static str,
    side: String,
    threshold: f64,
    worst: Option<f64>,
    since: String,
    fired_at: String,
    resolved_at: Option<String>,
    /// From `since` to the end, or to the present.
    duration_seconds: i64,
    reason: Option<String>,
    /// Absent of incidents from before it was kept.
    view: Option<String>,
}

impl Alerts {
    /// Everything that the page shows at once.
    pub(crate) fn answer(&self, now: i64) -> Result<AlertsAnswer, StoreError> {
        let rules = self.rules()?;
        let receivers = self.receivers()?;
        let (stored, evaluated_to, last) = {
            let file = lock(&self.file);
            (file.alerts()?, file.mark("evaluated_to")?, file.last_deliveries()?)
        };
        let mut alerts = Vec::new();
        for alert in stored.iter().filter(|alert| alert.state.since().is_some()) {
            let Some(known) = rules.iter().find(|known| known.rule.name() == alert.rule) else { continue };
            let config = &known.rule.config;
            let incident = Incident {
                id: 0,
                rule: alert.rule.clone(),
                fingerprint: fingerprint(&alert.rule, &alert.labels),
                labels: alert.labels.clone(),
                severity: String::new(),
                measure: String::new(),
                side: String::new(),
                threshold: 0.0,
                since: alert.state.since().unwrap_or(now),
                fired_at: 0,
                resolved_at: None,
                reason: None,
                worst: None,
                view: None,
            };
            let value = |(time, value): &(i64, Option<f64>)| Value { time: rfc3339(*time), value: *value };
            alerts.push(Alert {
                id: alert.fingerprint.clone(),
                rule: alert.rule.clone(),
                severity: config.severity,
                state: alert.state.name(),
                labels: map(&alert.labels),
                since: alert.state.since().map(rfc3339),
                fired_at: alert.state.fired_at().map(rfc3339),
                value: alert.value,
                threshold: known.rule.threshold.at,
                recover_at: known.rule.threshold.recover_at,
                side: known.rule.threshold.side.name(),
                measure: config.measure.name(),
                unit: config.measure.unit(),
                muted: known.muted_until.is_some_and(|until| now < until),
                announced_at: alert.announced_at.map(rfc3339),
                view: view_of("", &known.rule, &incident, evaluated_to.unwrap_or(now)),
                recent: alert.recent.iter().map(value).collect(),
            });
        }
        alerts.sort_by(|a, b| {
            let rank = |alert: &Alert| (alert.fired_at.is_none(), std::cmp::Reverse(alert.severity));
            rank(a).cmp(&rank(b)).then_with(|| b.since.cmp(&a.since)).then_with(|| a.id.cmp(&b.id))
        });
        let notes = lock(&self.notes).clone();
        let shown = rules.into_iter().map(|known| {
            let own: Vec<&Alert> = alerts.iter().filter(|alert| alert.rule == known.rule.name()).collect();
            let firing = own.iter().filter(|alert| alert.fired_at.is_some()).count();
            let Note { error, instances, beyond, value } =
                notes.get(known.rule.name()).cloned().unwrap_or_default();
            ShownRule {
                origin: known.origin,
                unit: known.rule.config.measure.unit(),
                state: own.first().map_or("inactive", |alert| alert.state),
                firing,
                muted_until: known.muted_until.filter(|until| now < *until).map(rfc3339),
                value,
                instances,
                beyond,
                error,
                config: known.rule.config,
            }
        });
        let rules = shown.collect();
        let receivers = receivers.into_iter().map(|receiver| {
            let receiver = receiver.shown();
            let last = last.iter().find(|delivery| delivery.receiver == receiver.name).map(shown_delivery);
            ShownReceiver { receiver, last }
        });
        Ok(AlertsAnswer {
            evaluated_to: evaluated_to.map(rfc3339),
            receivers: receivers.collect(),
            alerts,
            rules,
        })
    }

    /// A page of deliveries, the latest first, before this one.
    pub(crate) fn deliveries(&self, before: i64, limit: u32) -> Result<DeliveriesAnswer, StoreError> {
        let mut rows = lock(&self.file).deliveries(before, limit.saturating_add(1))?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| has_more).map(|last| last.id.to_string());
        Ok(DeliveriesAnswer { rows: rows.iter().map(shown_delivery).collect(), next })
    }

    /// A page of incidents, the latest first. `now` is in Unix nanoseconds.
    pub(crate) fn history(&self, past: &Past<'_>, now: i64) -> Result<HistoryAnswer, StoreError> {
        let mut rows = lock(&self.file).incidents(&Past { limit: past.limit.saturating_add(1), ..*past })?;
        let has_more = rows.len() > past.limit as usize;
        rows.truncate(past.limit as usize);
        let next = rows.last().filter(|_| has_more).map(|last| last.id.to_string());
        Ok(HistoryAnswer {
            rows: rows.into_iter().map(|incident| shown_incident(incident, now)).collect(),
            next,
        })
    }
}

fn shown_incident(incident: Incident, now: i64) -> ShownIncident {
    let end = incident.resolved_at.unwrap_or(now);
    ShownIncident {
        id: incident.id,
        alert: incident.fingerprint,
        rule: incident.rule,
        severity: incident.severity,
        labels: map(&incident.labels),
        unit: Measure::named(&incident.measure).map_or("", Measure::unit),
        measure: incident.measure,
        side: incident.side,
        threshold: incident.threshold,
        worst: incident.worst,
        since: rfc3339(incident.since),
        fired_at: rfc3339(incident.fired_at),
        resolved_at: incident.resolved_at.map(rfc3339),
        duration_seconds: end.saturating_sub(incident.since).max(0) / SECOND,
        reason: incident.reason,
        view: incident.view.map(|begun| view::until(&begun, end + MINUTE)),
    }
}

/// The message that tests a receiver.
pub(super) fn test_message(now: i64, page_url: &str) -> String {
    let incident = Incident {
        id: 0,
        rule: "test".to_owned(),
        fingerprint: "test".to_owned(),
        labels: Labels::new(),
        severity: Severity::Info.name().to_owned(),
        measure: String::new(),
        side: "above".to_owned(),
        threshold: 0.0,
        since: now,
        fired_at: now,
        resolved_at: None,
        reason: None,
        worst: None,
        view: None,
    };
    let message = Message::of(Kind::Test, &incident, None, None, format!("{page_url}/alerts"));
    serde_json::to_string(&message).unwrap_or_default()
}

fn shown_delivery(delivery: &Delivery) -> ShownDelivery {
    let message = serde_json::from_str::<Message>(&delivery.content).ok();
    ShownDelivery {
        id: delivery.id,
        receiver: delivery.receiver.clone(),
        rule: delivery.rule.clone(),
        alert: delivery.fingerprint.clone(),
        kind: delivery.kind.clone(),
        title: message.map(|message| message.title).unwrap_or_default(),
        created_at: rfc3339(delivery.created_at),
        outcome: delivery.outcome.clone(),
        attempts: delivery.attempts,
        last_at: delivery.last_at.map(rfc3339),
        next_at: Some(delivery.next_at).filter(|at| *at > 0).map(rfc3339),
        status: delivery.status,
        error: delivery.error.clone(),
    }
}

fn map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().cloned().collect()
}
