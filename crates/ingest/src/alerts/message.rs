//! A message to receivers: what fires, since when, and where to look.

use super::file::Incident;
use super::rule::{Measure, Rule, number};
use super::state::Kind;
use crate::query::rfc3339;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the form of a message. Fields may be added within a version.
pub(crate) const VERSION: u32 = 1;

/// A message, as the webhook sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) version: u32,
    pub(crate) kind: Kind,
    /// The same for the beginning, the repetitions and the end.
    pub(crate) alert: String,
    pub(crate) rule: String,
    pub(crate) severity: String,
    /// One line: the rule, the labels and the value.
    pub(crate) title: String,
    /// What happened, in a sentence or two.
    pub(crate) text: String,
    /// The text of the rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) measure: String,
    pub(crate) unit: String,
    pub(crate) value: Option<f64>,
    /// The worst value of the incident.
    pub(crate) worst: Option<f64>,
    /// `above` or `below`.
    pub(crate) side: String,
    pub(crate) threshold: f64,
    /// RFC 3339: when the value was first beyond the threshold.
    pub(crate) since: String,
    pub(crate) fired_at: String,
    pub(crate) resolved_at: Option<String>,
    /// Why it ended, where its value did not come back.
    pub(crate) reason: Option<String>,
    /// The page's view of the traffic; a path where the service does not know its address.
    pub(crate) view: String,
    /// Minutes until it is repeated; 0 for never.
    pub(crate) repeat_minutes: u32,
}

impl Message {
    /// A message about an incident. The rule is absent when it was removed.
    pub(crate) fn of(
        kind: Kind,
        incident: &Incident,
        value: Option<f64>,
        rule: Option<&Rule>,
        view: String,
    ) -> Self {
        let measure = Measure::named(&incident.measure);
        let unit = measure.map_or("", Measure::unit);
        let mut message = Self {
            version: VERSION,
            kind,
            alert: incident.fingerprint.clone(),
            rule: incident.rule.clone(),
            severity: incident.severity.clone(),
            title: String::new(),
            text: String::new(),
            description: rule.map(|rule| rule.config.description.clone()).unwrap_or_default(),
            labels: incident.labels.iter().cloned().collect(),
            measure: incident.measure.clone(),
            unit: unit.to_owned(),
            value,
            worst: incident.worst,
            side: incident.side.clone(),
            threshold: incident.threshold,
            since: rfc3339(incident.since),
            fired_at: rfc3339(incident.fired_at),
            resolved_at: incident.resolved_at.map(rfc3339),
            reason: incident.reason.clone(),
            view,
            repeat_minutes: rule.map_or(0, |rule| rule.config.repeat_minutes),
        };
        message.title = message.titled(measure);
        message.text = message.described();
        message
    }

    /// Whether it is about an end.
    pub(crate) fn is_resolved(&self) -> bool {
        self.kind == Kind::Resolved
    }

    fn described(&self) -> String {
        let limit = format!("{} {} {}", self.side, number(self.threshold), self.unit);
        let mut text = match (self.kind, &self.resolved_at, &self.reason) {
            (Kind::Resolved, Some(at), Some(reason)) => format!("Ended at {at}: {reason}."),
            (Kind::Resolved, Some(at), None) => {
                format!("Resolved at {at}. It fired since {}.", self.fired_at)
            }
            (Kind::Test, _, _) => "This is a test of the receiver. Nothing is wrong.".to_owned(),
            _ => format!("It is {limit} since {}.", self.since),
        };
        if !self.description.is_empty() {
            text.push(' ');
            text.push_str(&self.description);
        }
        text
    }

    fn titled(&self, measure: Option<Measure>) -> String {
        let state = match self.kind {
            Kind::Firing => "Firing",
            Kind::Repeat => "Still firing",
            Kind::Resolved => "Resolved",
            Kind::Test => "Test",
        };
        let labels: Vec<&str> =
            self.labels.values().map(String::as_str).filter(|text| !text.is_empty()).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
        let value = match (measure, self.value) {
            (Some(measure), Some(value)) => format!(": {}", measure.words(value)),
            _ => String::new(),
        };
        format!("{state}: {}{labels}{value}", self.rule)
    }
}
