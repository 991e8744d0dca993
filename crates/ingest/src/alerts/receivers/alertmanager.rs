//! Alertmanager's API v2. It groups, silences and repeats by itself.

use super::{Reach, Secret, SendError};
use crate::alerts::engine::Origin;
use crate::alerts::message::Message;
use crate::alerts::rule::RuleError;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Alertmanager ends an alert that is not sent again before its end. A repetition may be this late.
const SLACK: SignedDuration = SignedDuration::from_hours(1);
/// The end of an alert that is never repeated.
const WITHOUT_REPEAT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An Alertmanager as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AlertmanagerConfig {
    /// Address of Alertmanager, without `/api/v2/alerts`.
    pub url: Option<Secret>,
    /// File with the address.
    pub url_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authorities that are trusted, in the place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A checked one.
#[derive(Debug, Clone)]
pub(super) struct Alertmanager {
    reach: Reach,
}

impl Alertmanager {
    pub(super) fn compile(config: &AlertmanagerConfig, origin: Origin) -> Result<Self, RuleError> {
        let AlertmanagerConfig { url, url_file, ca_file } = config;
        Ok(Self { reach: Reach::compile(url.as_ref(), url_file.as_ref(), ca_file.as_ref(), origin)? })
    }

    pub(super) fn host(&self) -> String {
        self.reach.host()
    }

    pub(super) fn send(&self, message: &Message, now: i64) -> Result<Option<u16>, SendError> {
        let body = serde_json::to_vec(&json!([body(message, now)])).unwrap_or_default();
        self.reach.post("/api/v2/alerts", &[("content-type", "application/json")], &body, None)
    }
}

fn body(message: &Message, now: i64) -> Value {
    let mut labels: Map<String, Value> = message
        .labels
        .iter()
        // An empty label is none.
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    labels.insert("alertname".to_owned(), json!(message.rule));
    labels.insert("severity".to_owned(), json!(message.severity));
    let ends_at = match &message.resolved_at {
        Some(at) => at.clone(),
        None => {
            let left = match message.repeat_minutes {
                0 => WITHOUT_REPEAT,
                minutes => SignedDuration::from_mins(minutes.into()).saturating_add(SLACK),
            };
            let now = Timestamp::from_nanosecond(now.into()).unwrap_or_default();
            now.checked_add(left).unwrap_or(Timestamp::MAX).to_string()
        }
    };
    let mut alert = json!({
        "labels": labels,
        "annotations": {"summary": message.title, "description": message.text},
        "startsAt": message.since,
        "endsAt": ends_at,
    });
    if message.view.starts_with("http") {
        alert["generatorURL"] = json!(message.view);
    }
    alert
}
