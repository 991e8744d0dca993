//! Active probes: the service asks addresses of the configuration file at intervals, and notes whether they answer.
//!
//! Only the file names addresses, so that nobody at the page can have the service connect anywhere.

use crate::clock;
use crate::store::{Probed, Refused, Writers};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Most probes.
const MAX_PROBES: usize = 50;
/// Probes that ask at a time.
const MAX_ASKING: usize = 4;
const INTERVAL_SECONDS: std::ops::RangeInclusive<u32> = 10..=3_600;
const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=60_000;
const MAX_NAME_CHARS: usize = 64;
/// Longer errors are cut.
const MAX_ERROR_CHARS: usize = 200;

/// A probe as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Name of the probe, unique: 1 to 64 letters, digits, `-`, `_` or `.`.
    pub name: String,
    /// Address that is asked with `GET`; `http://` or `https://`. Redirects are not followed.
    pub url: String,
    /// Seconds between two questions. 10 to 3600.
    pub interval_seconds: u32,
    /// Milliseconds that a whole response may take, and less than the interval. 100 to 60000.
    pub timeout_ms: u32,
    /// Statuses that are as expected. By default any of 2xx.
    pub expected_status: Vec<u16>,
    /// Service whose uptime the probe counts into, by `service.name`.
    pub service: Option<String>,
    /// Environment of that service. By default `default`.
    pub environment: Option<String>,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            interval_seconds: 60,
            timeout_ms: 5_000,
            expected_status: Vec::new(),
            service: None,
            environment: None,
        }
    }
}

/// What is wrong with the probes of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ProbeError {
    /// The key within the list, such as `[1].url`.
    pub path: String,
    /// The fault, and what to do.
    pub message: String,
}

impl ProbeConfig {
    /// Checks a list of probes.
    ///
    /// # Errors
    /// The first defect, with its key and what was meant.
    pub fn check(all: &[Self]) -> Result<(), ProbeError> {
        let wrong = |path: String, message: String| Err(ProbeError { path, message });
        if all.len() > MAX_PROBES {
            return wrong(String::new(), format!("{} probes are too many: at most {MAX_PROBES}", all.len()));
        }
        let mut names = HashSet::new();
        for (index, probe) in all.iter().enumerate() {
            let at = |key: &str| format!("[{index}].{key}");
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if probe.name.is_empty() || probe.name.len() > MAX_NAME_CHARS || !probe.name.chars().all(is_name)
            {
                let message = format!("{:?} is not 1 to 64 letters, digits, `-`, `_` or `.`", probe.name);
                return wrong(at("name"), message);
            }
            if !names.insert(&probe.name) {
                return wrong(
                    at("name"),
                    format!("{:?} is the name of another probe: choose another", probe.name),
                );
            }
            if let Err(message) = check_url(&probe.url) {
                return wrong(at("url"), message);
            }
            if !INTERVAL_SECONDS.contains(&probe.interval_seconds) {
                return wrong(
                    at("interval_seconds"),
                    format!("{} is not in 10..=3600", probe.interval_seconds),
                );
            }
            if !TIMEOUT_MS.contains(&probe.timeout_ms) {
                return wrong(at("timeout_ms"), format!("{} is not in 100..=60000", probe.timeout_ms));
            }
            if probe.timeout_ms >= probe.interval_seconds.saturating_mul(1_000) {
                return wrong(at("timeout_ms"), "it must be less than the interval".to_owned());
            }
            if let Some(status) = probe.expected_status.iter().find(|status| !(100..=599).contains(*status)) {
                return wrong(at("expected_status"), format!("{status} is not a status: 100 to 599"));
            }
            if probe.environment.is_some() && probe.service.is_none() {
                return wrong(at("environment"), "it is that of `service`, which is missing".to_owned());
            }
        }
        Ok(())
    }

    fn agent(&self) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_millis(self.timeout_ms.into())))
            .max_redirects(0)
            // A connection that is kept open proves nothing about a new one.
            .max_idle_connections(0)
            .user_agent(concat!("gatelens-probe/", env!("CARGO_PKG_VERSION")));
        config.build().new_agent()
    }

    /// Asks once, and blocks until the response or the timeout.
    fn ask(&self, agent: &ureq::Agent) -> Probed {
        let time = clock::now();
        let begun = Instant::now();
        let outcome = agent.get(&self.url).call().map(|response| response.status().as_u16());
        let duration_ms = begun.elapsed().as_secs_f64() * 1e3;
        let (status, error) = match outcome {
            Ok(status) if self.expects(status) => (status, String::new()),
            Ok(status) => (status, format!("it responded with {status}")),
            Err(ureq::Error::Timeout(_)) => (0, format!("it did not respond within {} ms", self.timeout_ms)),
            Err(error) => (0, crate::alerts::words(&error)),
        };
        Probed {
            name: self.name.clone(),
            service: self.service.clone().unwrap_or_default(),
            environment: match &self.service {
                Some(_) => self.environment.clone().unwrap_or_else(|| "default".to_owned()),
                None => String::new(),
            },
            time,
            status,
            duration_ms,
            error: error.chars().take(MAX_ERROR_CHARS).collect(),
        }
    }

    fn expects(&self, status: u16) -> bool {
        match self.expected_status.as_slice() {
            [] => (200..300).contains(&status),
            expected => expected.contains(&status),
        }
    }
}

fn check_url(text: &str) -> Result<(), String> {
    let uri = crate::alerts::whole_url(text)?;
    // The page and the log show nothing of it, but the file would be a secret then.
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the address has a user or a password: use an address without".to_owned());
    }
    Ok(())
}

/// Asks all of them at their intervals, until the writers stop.
pub(crate) async fn keep(probes: Vec<ProbeConfig>, writers: Arc<Writers>) {
    let places = Arc::new(Semaphore::new(MAX_ASKING));
    let mut asking = tokio::task::JoinSet::new();
    for probe in probes {
        asking.spawn(keep_one(probe, Arc::clone(&writers), Arc::clone(&places)));
    }
    while asking.join_next().await.is_some() {}
}

async fn keep_one(probe: ProbeConfig, writers: Arc<Writers>, places: Arc<Semaphore>) {
    let probe = Arc::new(probe);
    let agent = probe.agent();
    let mut ticks = tokio::time::interval(Duration::from_secs(probe.interval_seconds.into()));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (asker, agent) = (Arc::clone(&probe), agent.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            asker.ask(&agent)
        });
        let Ok(probed) = asked.await else { continue };
        if !probed.error.is_empty() {
            tracing::warn!(probe = probed.name, error = probed.error, "a probe has failed");
        }
        match writers.probed(probed).await {
            Ok(()) => {}
            Err(Refused::Stopped) => return,
            Err(error) => tracing::warn!(%error, "the result of a probe is not stored"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(change: impl FnOnce(&mut ProbeConfig)) -> ProbeConfig {
        let mut probe = ProbeConfig {
            name: "home".to_owned(),
            url: "http://127.0.0.1/".to_owned(),
            ..ProbeConfig::default()
        };
        change(&mut probe);
        probe
    }

    #[test]
    fn wrong_probes_are_refused_with_their_key() {
        let check = |change: fn(&mut ProbeConfig), path: &str| {
            let found = ProbeConfig::check(&[probe(|_| ()), probe(change)]).unwrap_err();
            assert_eq!(found.path, path, "{found}");
        };
        ProbeConfig::check(&[probe(|_| ()), probe(|probe| probe.name = "other".to_owned())]).unwrap();
        check(|_| (), "[1].name");
        check(|probe| probe.name = "a b".to_owned(), "[1].name");
        for url in ["", "ftp://a/", "file:///etc/passwd", "http://", "http://user:secret@a/"] {
            let found = ProbeConfig::check(&[probe(|probe| probe.url = url.to_owned())]).unwrap_err();
            assert_eq!(found.path, "[0].url", "{url}");
            assert!(!found.message.contains("secret"), "{found}");
        }
        let named = |change: fn(&mut ProbeConfig), path: &str| {
            let mut wrong = probe(change);
            wrong.name = "other".to_owned();
            let found = ProbeConfig::check(&[probe(|_| ()), wrong]).unwrap_err();
            assert_eq!(found.path, path, "{found}");
        };
        named(|probe| probe.interval_seconds = 9, "[1].interval_seconds");
        named(|probe| probe.timeout_ms = 60_000, "[1].timeout_ms");
        named(|probe| probe.expected_status = vec![200, 600], "[1].expected_status");
        named(|probe| probe.environment = Some("prod".to_owned()), "[1].environment");
        let many: Vec<_> = (0..=MAX_PROBES).map(|n| probe(|probe| probe.name = n.to_string())).collect();
        assert!(ProbeConfig::check(&many).unwrap_err().message.contains("too many"));
    }

    /// Asks a server that answers one connection with this.
    fn asked(answer: &'static str, expected: Vec<u16>) -> Probed {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let probe = probe(|probe| (probe.url, probe.expected_status) = (url, expected));
        let probed = probe.ask(&probe.agent());
        server.join().unwrap();
        probed
    }

    #[test]
    fn a_status_is_as_expected_or_not() {
        let check = |answer, expected: Vec<u16>, status, error: &str| {
            let found = asked(answer, expected);
            assert_eq!((found.status, &*found.error), (status, error), "{answer:?}");
        };
        check("HTTP/1.1 204 x\r\n\r\n", vec![], 204, "");
        check("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n", vec![], 503, "it responded with 503");
        check("HTTP/1.1 302 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", vec![200, 302], 302, "");
        assert_ne!(asked("", vec![]).error, "");
    }
}
