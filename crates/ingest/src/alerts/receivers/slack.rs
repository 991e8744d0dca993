//! Slack, by an incoming webhook: its address is the secret.

use super::{Reach, Secret, SendError};
use crate::alerts::engine::Origin;
use crate::alerts::message::Message;
use crate::alerts::rule::RuleError;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// An incoming webhook of Slack as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SlackConfig {
    /// Address of the incoming webhook.
    pub url: Option<Secret>,
    /// File with the address.
    pub url_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authorities that are trusted, in the place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A checked one.
#[derive(Debug, Clone)]
pub(super) struct Slack {
    reach: Reach,
}

impl Slack {
    pub(super) fn compile(config: &SlackConfig, origin: Origin) -> Result<Self, RuleError> {
        let SlackConfig { url, url_file, ca_file } = config;
        Ok(Self { reach: Reach::compile(url.as_ref(), url_file.as_ref(), ca_file.as_ref(), origin)? })
    }

    pub(super) fn host(&self) -> String {
        self.reach.host()
    }

    pub(super) fn send(&self, message: &Message) -> Result<Option<u16>, SendError> {
        let body = serde_json::to_vec(&body(message)).unwrap_or_default();
        self.reach.post("", &[("content-type", "application/json")], &body, None)
    }
}

fn body(message: &Message) -> serde_json::Value {
    let title = escaped(&message.title);
    // A path alone is not a link.
    let title = match message.view.starts_with("http") {
        true => format!("<{}|{title}>", escaped(&message.view)),
        false => title,
    };
    let colour = match (message.is_resolved(), message.severity.as_str()) {
        (true, _) => "#2e7d32",
        (false, "critical") => "#c62828",
        (false, "warning") => "#ef6c00",
        (false, _) => "#546e7a",
    };
    let text = format!("*{title}*\n{}", escaped(&message.text));
    json!({
        "text": escaped(&message.title),
        "attachments": [{"color": colour, "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]}],
    })
}

/// The three characters that steer Slack's markup, as its documentation has it: a route or a consumer must not mention a
/// channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
