//! The hand-back: fetches the route patterns that the ingest has learned.
//!
//! The ingest names their version in its answers to exports. When that is not the version in force, the leader asks for
//! the patterns. A receiver that is not gatelens names none and is never asked. An answer that holds no patterns changes
//! nothing: the next attempt follows a minute later, as long as the ingest names a version.

use std::time::Duration;

use gatelens_model::route_patterns::{DIRECTION, ENVIRONMENT, MAX_BYTES, PATH, SERVICE, version};
use gatelens_routes::Patterns;

use super::config::Destination;
use super::request::RootId;
use crate::host::{Callout, CalloutAnswer, CalloutId, Host, LogLevel};

/// Longest version that an ingest may name.
const MAX_VERSION_BYTES: usize = 64;

/// Shortest time between two requests, when each was answered with patterns: several ingests behind one name may have
/// learned different ones.
const PAUSE: Duration = Duration::from_secs(2);

/// The same after an answer without patterns.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The request for patterns of one worker.
#[derive(Debug, Default)]
pub struct PatternFetch {
    /// The version that the ingest named last, unless it is in force.
    named: Option<String>,
    in_flight: Option<(CalloutId, RootId)>,
    not_before_ns: u64,
    has_warned: bool,
}

/// Patterns of the ingest, and their version.
#[derive(Debug)]
pub struct Fetched {
    /// As the ingest names it.
    pub version: String,
    /// The patterns that it has learned.
    pub patterns: Patterns,
}

/// Why an answer holds no patterns.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("it closed the connection")]
    Closed,
    #[error("the answer is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the answer does not belong to its version")]
    WrongVersion,
    #[error("the answer is not text")]
    NotText,
    #[error("{0}")]
    NotPatterns(#[from] gatelens_routes::PatternsError),
}

/// The path and query of the patterns of a service.
pub fn path(prefix: &str, service: &str, environment: &str, direction: &str) -> String {
    let mut path = format!("{prefix}{PATH}");
    for (separator, name, value) in
        [('?', SERVICE, service), ('&', ENVIRONMENT, environment), ('&', DIRECTION, direction)]
    {
        path.push(separator);
        path.push_str(name);
        path.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    path.push(char::from(byte))
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    path
}

impl PatternFetch {
    /// Takes the version that an accepting answer to an export names, beside the one in force.
    pub fn on_answer(&mut self, answer: &CalloutAnswer, in_force: &[u8]) {
        if !answer.status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        let named = &answer.route_patterns;
        let is_news = !named.is_empty() && named.len() <= MAX_VERSION_BYTES && named != in_force;
        self.named = Some(named).filter(|_| is_news).and_then(|named| String::from_utf8(named.clone()).ok());
    }

    /// Asks for the patterns, if the ingest named a version that is not in force and the time has come.
    pub fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, to: &Destination) {
        if self.named.is_none() || self.in_flight.is_some() || now_ns < self.not_before_ns {
            return;
        }
        let Some(path) = &to.patterns_path else { return };
        let own = [(":method", "GET"), (":path", path), ("accept", "application/json")];
        let headers: Vec<_> = own.into_iter().chain(to.common_headers()).collect();
        let callout = Callout { cluster: &to.cluster, headers: &headers, body: &[], timeout: to.timeout };
        match host.dispatch(&callout) {
            Ok(id) => self.in_flight = Some((id, root)),
            // The export that goes the same way reports why.
            Err(_) => self.pause(now_ns, PAUSE_AFTER_FAILURE),
        }
    }

    /// Whether this is the callout that was sent.
    pub fn is_own(&self, id: CalloutId) -> bool {
        self.in_flight.is_some_and(|(own, _)| own == id)
    }

    /// Takes the answer to that callout. The first unusable one is a line in the gateway's log.
    pub fn answered(
        &mut self,
        host: &impl Host,
        answer: &CalloutAnswer,
        now_ns: u64,
        title: &str,
    ) -> Option<Fetched> {
        self.in_flight = None;
        match read(host, answer) {
            Ok(fetched) => {
                self.pause(now_ns, PAUSE);
                (self.named, self.has_warned) = (None, false);
                let version = &fetched.version;
                let message = format!("route patterns {version} of {title} are in force");
                host.log(LogLevel::Info, &message);
                Some(fetched)
            }
            Err(unusable) => {
                self.pause(now_ns, PAUSE_AFTER_FAILURE);
                if !std::mem::replace(&mut self.has_warned, true) {
                    let message = format!(
                        "the route patterns of {title} are ignored: {unusable}; routes are inferred as before"
                    );
                    host.log(LogLevel::Warn, &message);
                }
                None
            }
        }
    }

    /// A root context is gone, and with it the answer to its request.
    pub fn requeue(&mut self, root: RootId) {
        self.in_flight = self.in_flight.filter(|(_, sender)| *sender != root);
    }

    /// Whether a root context has the answer outstanding.
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.in_flight.is_some_and(|(_, sender)| sender == root)
    }

    fn pause(&mut self, now_ns: u64, pause: Duration) {
        self.not_before_ns = now_ns.saturating_add(pause.as_nanos() as u64);
    }
}

fn read(host: &impl Host, answer: &CalloutAnswer) -> Result<Fetched, Unusable> {
    match answer.status {
        Some(200) => {}
        Some(status) => return Err(Unusable::Status(status)),
        None => return Err(Unusable::Closed),
    }
    let body = host.callout_body(MAX_BYTES.saturating_add(1));
    if body.len() > MAX_BYTES {
        return Err(Unusable::TooLong);
    }
    let text = std::str::from_utf8(&body).map_err(|_| Unusable::NotText)?;
    let named = version(text);
    if answer.route_patterns != named.as_bytes() {
        return Err(Unusable::WrongVersion);
    }
    Ok(Fetched { version: named, patterns: Patterns::read(text)? })
}
