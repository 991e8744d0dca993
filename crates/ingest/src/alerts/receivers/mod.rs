//! Receivers of messages, and how each kind is sent one.
//!
//! A response of 2xx is a delivery. 408, 429, 5xx and a failed connection are tried again; any other response is final,
//! because the same request would get it again. Of SMTP, 4xx is tried again and 5xx is final.

mod address;
mod alertmanager;
mod change;
mod http;
mod pagerduty;
mod slack;
mod smtp;
mod webhook;

pub use alertmanager::AlertmanagerConfig;
pub(crate) use change::{Settings as ReceiverSettings, settings as receiver_settings, with_kept_secrets};
pub(crate) use http::{Reach, agent, whole_url, words};
pub use pagerduty::PagerdutyConfig;
pub use slack::SlackConfig;
pub use smtp::{MailTls, SmtpConfig};
pub use webhook::WebhookConfig;

use super::engine::Origin;
use super::file::Delivery;
use super::message::Message;
use super::rule::{RuleError, check_name};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a secret or an address in a file.
const MAX_SECRET_BYTES: u64 = 16 << 10;
/// Bytes of a part of a secret that must not be repeated. Shorter ones are in any text.
const MIN_SECRET_PART: usize = 4;

/// A receiver as it is written: a name, and one kind.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ReceiverConfig {
    /// Name of the receiver, unique: 1 to 64 letters, digits, `-`, `_` or `.`.
    pub name: String,
    /// Whether it gets the end of an alert, too.
    pub send_resolved: Option<bool>,
    /// JSON to an address of your own, signed.
    pub webhook: Option<WebhookConfig>,
    /// A channel of Slack, by an incoming webhook.
    pub slack: Option<SlackConfig>,
    /// A service of PagerDuty.
    pub pagerduty: Option<PagerdutyConfig>,
    /// An Alertmanager of Prometheus.
    pub alertmanager: Option<AlertmanagerConfig>,
    /// E-mail, by a server that takes it by SMTP.
    pub smtp: Option<SmtpConfig>,
}

/// A text that must not be seen: its debug output and its errors do not have it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Secret {
    /// A text that is none, where one is expected.
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text of a file, without white space around it. A file larger than 16 KiB is an error: a part of a secret would
    /// be refused by whoever gets it, and nobody would know why.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        // One byte more shows that there is more.
        if File::open(path)?.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_SECRET_BYTES {
            let message =
                format!("it is larger than {MAX_SECRET_BYTES} bytes: write only the secret into it");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let text = str::from_utf8(&bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self(text.trim().to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// A text that is written directly or is in a file, which is read for each message: it can be changed without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    Here(Secret),
    File(PathBuf),
}

impl Held {
    /// One of the two, or neither.
    pub(crate) fn of(
        key: &str,
        here: Option<&Secret>,
        file: Option<&PathBuf>,
        origin: Origin,
    ) -> Result<Option<Self>, RuleError> {
        match (here, file) {
            (Some(_), Some(_)) => {
                Err(RuleError::new(format!("{key}_file"), format!("write `{key}` or `{key}_file`, not both")))
            }
            // Whoever may use the page must not be able to read files of the host.
            (None, Some(_)) if origin == Origin::Page => Err(RuleError::new(
                format!("{key}_file"),
                format!("files are for receivers in the configuration file: write `{key}`"),
            )),
            (Some(secret), None) if secret.0.trim().is_empty() => {
                Err(RuleError::new(key, format!("`{key}` is empty")))
            }
            (Some(secret), None) => Ok(Some(Self::Here(secret.clone()))),
            (None, Some(file)) => Ok(Some(Self::File(file.clone()))),
            (None, None) => Ok(None),
        }
    }

    /// The text, without white space around it.
    pub(crate) fn read(&self) -> Result<Secret, SendError> {
        let path = match self {
            Self::Here(secret) => return Ok(Secret(secret.0.trim().to_owned())),
            Self::File(path) => path,
        };
        Secret::of_file(path).map_err(|error| {
            SendError::again(None, format!("the file {} cannot be read: {error}", path.display()))
        })
    }
}

/// A receiver, checked.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) send_resolved: bool,
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    Webhook(webhook::Webhook),
    Slack(slack::Slack),
    Pagerduty(pagerduty::Pagerduty),
    Alertmanager(alertmanager::Alertmanager),
    Smtp(smtp::Smtp),
}

/// What of a receiver may be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// The host it is at. The rest of an address may be a secret.
    pub(crate) host: String,
    pub(crate) origin: Origin,
    pub(crate) send_resolved: bool,
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SendError {
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    pub(crate) retry: Retry,
    /// The recipients of an e-mail that have it all the same, also by earlier attempts.
    pub(crate) reached: Vec<String>,
}

/// Whether another attempt can do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Later,
    Never,
}

impl SendError {
    pub(crate) fn again(status: Option<u16>, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry: Retry::Later, reached: Vec::new() }
    }

    pub(crate) fn never(status: Option<u16>, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry: Retry::Never, reached: Vec::new() }
    }
}

impl Receiver {
    /// Checks a receiver.
    ///
    /// # Errors
    /// The first defect, with its key and what was meant.
    pub(crate) fn compile(config: &ReceiverConfig, origin: Origin) -> Result<Self, RuleError> {
        check_name("name", &config.name)?;
        let ReceiverConfig { webhook, slack, pagerduty, alertmanager, smtp, .. } = config;
        let mut targets = Vec::new();
        let under = |kind: &'static str| move |error: RuleError| error.under(kind);
        if let Some(config) = webhook {
            let webhook = webhook::Webhook::compile(config, origin).map_err(under("webhook"))?;
            targets.push(Target::Webhook(webhook));
        }
        if let Some(config) = slack {
            targets.push(Target::Slack(slack::Slack::compile(config, origin).map_err(under("slack"))?));
        }
        if let Some(config) = pagerduty {
            let pagerduty = pagerduty::Pagerduty::compile(config, origin).map_err(under("pagerduty"))?;
            targets.push(Target::Pagerduty(pagerduty));
        }
        if let Some(config) = alertmanager {
            let alertmanager =
                alertmanager::Alertmanager::compile(config, origin).map_err(under("alertmanager"))?;
            targets.push(Target::Alertmanager(alertmanager));
        }
        if let Some(config) = smtp {
            targets.push(Target::Smtp(smtp::Smtp::compile(config, origin).map_err(under("smtp"))?));
        }
        let (Some(target), true) = (targets.pop(), targets.is_empty()) else {
            let message = format!("a receiver has one kind: write one of {}", KINDS.join(", "));
            return Err(RuleError::new("", message));
        };
        Ok(Self {
            name: config.name.clone(),
            origin,
            send_resolved: config.send_resolved.unwrap_or(true),
            target,
        })
    }

    /// What may be seen of it.
    pub(crate) fn shown(&self) -> Shown {
        let (kind, host) = match &self.target {
            Target::Webhook(webhook) => ("webhook", webhook.host()),
            Target::Slack(slack) => ("slack", slack.host()),
            Target::Pagerduty(pagerduty) => ("pagerduty", pagerduty.host()),
            Target::Alertmanager(alertmanager) => ("alertmanager", alertmanager.host()),
            Target::Smtp(smtp) => ("smtp", smtp.host()),
        };
        Shown { name: self.name.clone(), kind, host, origin: self.origin, send_resolved: self.send_resolved }
    }

    /// Sends a message. Blocks until there is a response, at most 10 s, and 20 s for e-mail. `now` is in Unix nanoseconds.
    /// The status is that of the response.
    pub(crate) fn send(
        &self,
        message: &Message,
        delivery: &Delivery,
        now: i64,
    ) -> Result<Option<u16>, SendError> {
        match &self.target {
            Target::Webhook(webhook) => webhook.send(message, delivery.id, now),
            Target::Slack(slack) => slack.send(message),
            Target::Pagerduty(pagerduty) => pagerduty.send(message),
            Target::Alertmanager(alertmanager) => alertmanager.send(message, now),
            Target::Smtp(smtp) => smtp.send(message, delivery),
        }
    }
}

/// The keys of the kinds.
const KINDS: [&str; 5] = ["webhook", "slack", "pagerduty", "alertmanager", "smtp"];

/// The words of secrets by which they can be recognised in what a receiver says, in lower case: a server repeats the path
/// or the address that it does not know, and whoever sees deliveries would see it.
fn secret_parts<const N: usize>(texts: [&str; N]) -> impl Iterator<Item = String> + use<N> {
    let word = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_');
    let parts = texts.map(|text| text.split(word).map(str::to_ascii_lowercase).collect::<Vec<_>>());
    parts.into_iter().flatten().filter(|part| part.len() >= MIN_SECRET_PART)
}

/// Whether a text has one of the parts of secrets.
fn repeats(said: &str, mut parts: impl Iterator<Item = String>) -> bool {
    let said = said.to_ascii_lowercase();
    parts.any(|part| said.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_for_a_secret_is_refused_and_not_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let most = "s".repeat(MAX_SECRET_BYTES as usize - 1);
        std::fs::write(&path, format!("{most}\n")).unwrap();
        let held = Held::File(path.clone());
        assert_eq!(held.read().unwrap().expose(), most);
        std::fs::write(&path, format!("{most}s\n")).unwrap();
        let error = held.read().unwrap_err();
        assert!(error.message.contains("is larger than 16384 bytes"), "{error}");
        assert!(error.message.contains("secret cannot be read") && !error.message.contains("sss"), "{error}");
        assert_eq!(error.retry, Retry::Later, "the file can be mended");
        // A letter of several bytes at the bound changes nothing.
        std::fs::write(&path, "é".repeat(MAX_SECRET_BYTES as usize)).unwrap();
        assert!(held.read().unwrap_err().message.contains("is larger than 16384 bytes"));
    }
}
