//! The section `remote_write` of a configuration file.

use crate::alerts::{Secret, whole_url};
use crate::config::Size;
use crate::query::TrafficLabel;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const INTERVAL_SECONDS: std::ops::RangeInclusive<u32> = 1..=300;
const MIN_QUEUE: u64 = 1 << 20;
const MAX_EXTERNAL_LABELS: usize = 16;

/// Where the counters go, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RemoteWriteConfig {
    /// Address that takes remote write 1.0, such as `https://mimir.example.com/api/v1/push`; `http://` or `https://`.
    pub url: String,
    /// Seconds between two rounds. 1 to 300.
    pub interval_seconds: u32,
    /// Labels of the series. By default those of `traffic_labels`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub labels: Option<Vec<TrafficLabel>>,
    /// Also sends durations as native histograms, for stores that take them.
    pub native_histograms: bool,
    /// Labels that all series get, at most 16. A label of a series wins over one of the same name.
    pub external_labels: BTreeMap<String, String>,
    /// File with a token that is sent as `authorization: Bearer TOKEN`. It is read again for each request.
    pub bearer_token_file: Option<PathBuf>,
    /// File with the authorities that sign the certificate of the store, in PEM. By default those of Mozilla.
    pub ca_file: Option<PathBuf>,
    /// Bytes of requests that wait while the store does not take them, 1 MiB or more. Beyond, the oldest go. Default: 32MiB.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub queue_bytes: Size,
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            interval_seconds: 15,
            labels: None,
            native_histograms: false,
            external_labels: BTreeMap::new(),
            bearer_token_file: None,
            ca_file: None,
            queue_bytes: Size::of(32 << 20),
        }
    }
}

/// What is wrong with the section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RemoteWriteError {
    /// The key in the section.
    pub path: &'static str,
    /// The fault, and what to do.
    pub message: String,
}

/// The section as it is used.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) url: String,
    /// For people to see: an address may hold a secret.
    pub(super) host: String,
    pub(super) interval: Duration,
    pub(super) labels: Option<Vec<TrafficLabel>>,
    pub(super) native_histograms: bool,
    pub(super) external_labels: BTreeMap<String, String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) queue_bytes: usize,
    bearer_token_file: Option<PathBuf>,
}

impl RemoteWriteConfig {
    /// Checks the section, but not whether the files that it names exist.
    ///
    /// # Errors
    /// The first defect, with its key and what was meant.
    pub fn check(&self) -> Result<(), RemoteWriteError> {
        let wrong = |path, message| Err(RemoteWriteError { path, message });
        if let Err(message) = whole_url(&self.url) {
            return wrong("url", message);
        }
        if !INTERVAL_SECONDS.contains(&self.interval_seconds) {
            return wrong("interval_seconds", format!("{} is not in 1..=300", self.interval_seconds));
        }
        if self.queue_bytes.bytes() < MIN_QUEUE {
            return wrong("queue_bytes", "1 MiB is the least: give the queue more room".to_owned());
        }
        if self.external_labels.len() > MAX_EXTERNAL_LABELS {
            return wrong("external_labels", format!("at most {MAX_EXTERNAL_LABELS} labels"));
        }
        if let Some(name) = self.external_labels.keys().find(|name| !is_label(name)) {
            let message = format!(
                "{name:?} is not the name of a label: write letters, digits and `_`, and no digit first"
            );
            return wrong("external_labels", message);
        }
        Ok(())
    }

    pub(super) fn destination(&self) -> Destination {
        let host = whole_url(&self.url).ok().and_then(|url| url.host().map(str::to_owned));
        Destination {
            url: self.url.clone(),
            host: host.unwrap_or_default(),
            interval: Duration::from_secs(self.interval_seconds.into()),
            labels: self.labels.clone(),
            native_histograms: self.native_histograms,
            external_labels: self.external_labels.clone(),
            ca_file: self.ca_file.clone(),
            queue_bytes: usize::try_from(self.queue_bytes.bytes()).unwrap_or(usize::MAX),
            bearer_token_file: self.bearer_token_file.clone(),
        }
    }
}

impl Destination {
    /// The token, where there is one. The error is a sentence.
    pub(super) fn token(&self) -> Result<Option<Secret>, String> {
        let file = self.bearer_token_file.as_deref();
        let read = |path: &Path| {
            Secret::of_file(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        file.map(read).transpose()
    }
}

/// Whether a text is a name of a label, which `__` may not begin.
fn is_label(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_first)
        && !name.starts_with("__")
        && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_section_is_refused_with_its_key() {
        let check = |change: &dyn Fn(&mut RemoteWriteConfig), path: Option<&str>| {
            let mut config = RemoteWriteConfig {
                url: "http://127.0.0.1:9090/api/v1/write".to_owned(),
                ..Default::default()
            };
            change(&mut config);
            assert_eq!(config.check().err().map(|error| error.path), path, "{config:?}");
        };
        check(&|_| (), None);
        check(&|config| config.url = "mimir".to_owned(), Some("url"));
        check(&|config| config.interval_seconds = 0, Some("interval_seconds"));
        check(&|config| config.queue_bytes = Size::of(1000), Some("queue_bytes"));
        check(
            &|config| drop(config.external_labels.insert("a-b".into(), "c".into())),
            Some("external_labels"),
        );
        check(
            &|config| drop(config.external_labels.insert("__a".into(), "c".into())),
            Some("external_labels"),
        );
        check(&|config| drop(config.external_labels.insert("cluster".into(), "c".into())), None);
    }
}
