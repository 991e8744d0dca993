//! PagerDuty's Events API v2. An alert and its end have one `dedup_key`.

use super::{Held, Reach, Secret, SendError};
use crate::alerts::engine::Origin;
use crate::alerts::message::Message;
use crate::alerts::rule::RuleError;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

const URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// A service of PagerDuty as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PagerdutyConfig {
    /// Integration key of the service (Events API v2).
    pub routing_key: Option<Secret>,
    /// File with the key.
    pub routing_key_file: Option<PathBuf>,
    /// Address, if it is not `https://events.pagerduty.com/v2/enqueue`.
    pub url: Option<Secret>,
    /// File with the certificates (PEM) of the authorities that are trusted, in the place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A checked one.
#[derive(Debug, Clone)]
pub(super) struct Pagerduty {
    reach: Reach,
    key: Held,
}

impl Pagerduty {
    pub(super) fn compile(config: &PagerdutyConfig, origin: Origin) -> Result<Self, RuleError> {
        let PagerdutyConfig { routing_key, routing_key_file, url, ca_file } = config;
        let key = Held::of("routing_key", routing_key.as_ref(), routing_key_file.as_ref(), origin)?
            .ok_or_else(|| {
                RuleError::new("routing_key", "the key is missing: write `routing_key` or `routing_key_file`")
            })?;
        let url = url.clone().unwrap_or_else(|| Secret::new(URL));
        Ok(Self { reach: Reach::compile(Some(&url), None, ca_file.as_ref(), origin)?, key })
    }

    pub(super) fn host(&self) -> String {
        self.reach.host()
    }

    pub(super) fn send(&self, message: &Message) -> Result<Option<u16>, SendError> {
        let key = self.key.read()?;
        let body = serde_json::to_vec(&body(message, key.expose())).unwrap_or_default();
        self.reach.post("", &[("content-type", "application/json")], &body, Some(&key))
    }
}

fn body(message: &Message, key: &str) -> serde_json::Value {
    let action = if message.is_resolved() { "resolve" } else { "trigger" };
    // Its summary has at most 1024 characters.
    let summary: String = message.title.chars().take(1024).collect();
    let links = match message.view.starts_with("http") {
        true => json!([{"href": message.view, "text": "gatelens"}]),
        false => json!([]),
    };
    json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": format!("gatelens:{}", message.alert),
        "payload": {
            "summary": summary,
            "source": "gatelens",
            "severity": message.severity,
            "timestamp": message.since,
            "component": message.rule,
            "custom_details": {
                "text": message.text, "labels": message.labels, "value": message.value, "unit": message.unit,
                "threshold": message.threshold,
            },
        },
        "links": links,
    })
}
