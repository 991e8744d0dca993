//! Sends the requests of one signal to one destination.

use std::collections::VecDeque;

use super::answer::Answer;
use super::backoff::Backoff;
use super::config::{Destination, ExportConfig};
use super::request::{ExportRequest, InFlight, RootId};
use crate::config::Compression;
use crate::host::{Callout, CalloutAnswer, CalloutId, Host, LogLevel};
use crate::otlp;
use crate::shared::SharedStore;
use crate::shared::epoch::Epoch;
use crate::shared::sequence::{self, Signal};

/// Requests of one signal to one destination that wait or are in flight.
#[derive(Debug)]
pub struct Pipeline {
    signal: Signal,
    /// Its place in [`ExportConfig::destinations`].
    destination: usize,
    max_in_flight: usize,
    waiting: VecDeque<ExportRequest>,
    in_flight: Vec<InFlight>,
    bytes: usize,
    backoff: Backoff,
    failures: u64,
}

/// The destinations, and the identity under which requests are sent to them.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Clusters, paths, headers.
    pub config: &'a ExportConfig,
    /// `service.instance.id`.
    pub instance: &'a str,
    /// Gives out sequence numbers.
    pub store: &'a SharedStore,
    /// The epoch in progress.
    pub epoch: Epoch,
}

/// A request with its final response.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// The receiver accepted it, except for some records.
    Accepted {
        /// The request.
        request: ExportRequest,
        /// Records that the receiver refused.
        rejected: u64,
    },
    /// The receiver refused it, and it is not retried.
    Refused(ExportRequest),
}

impl Pipeline {
    /// An empty pipeline. Of the log, two requests of a worker may be in flight at once; of the counters one, because a
    /// later value contains an earlier one.
    pub fn new(signal: Signal, destination: usize) -> Self {
        let max_in_flight = match signal {
            Signal::Logs | Signal::Traces => 2,
            Signal::Metrics => 1,
        };
        Self {
            signal,
            destination,
            max_in_flight,
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            bytes: 0,
            backoff: Backoff::default(),
            failures: 0,
        }
    }

    /// The destination's place in [`ExportConfig::destinations`].
    pub fn destination(&self) -> usize {
        self.destination
    }

    /// Appends a request.
    pub fn push(&mut self, request: ExportRequest) {
        self.bytes = self.bytes.saturating_add(request.body.len());
        self.waiting.push_back(request);
    }

    /// Takes the oldest waiting request out, if `matches` it.
    pub fn pop_if(&mut self, matches: impl FnOnce(&ExportRequest) -> bool) -> Option<ExportRequest> {
        self.waiting.front().filter(|request| matches(request))?;
        let request = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(request.body.len());
        Some(request)
    }

    /// Rewrites the oldest waiting request that `matches`; false if there is none. Its bytes may change only before it
    /// is sent.
    pub fn rewrite(
        &mut self,
        matches: impl Fn(&ExportRequest) -> bool,
        rewrite: impl FnOnce(&mut ExportRequest),
    ) -> bool {
        let request = self.waiting.iter_mut().find(|request| !request.was_sent && matches(request));
        let Some(request) = request else { return false };
        let before = request.body.len();
        rewrite(request);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(request.body.len());
        true
    }

    /// Whether a new request could be sent now.
    pub fn is_ready(&self, now_ns: u64) -> bool {
        self.is_idle() && self.backoff.is_over(now_ns)
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Whether a root context has an answer outstanding.
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.in_flight.iter().any(|sent| sent.root == root)
    }

    /// Whether this is a callout of its own, not answered yet.
    pub fn is_own(&self, id: CalloutId) -> bool {
        self.in_flight.iter().any(|sent| sent.id == id)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Attempts that failed.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Sends waiting requests while the host takes them; true if any was sent. While the receiver fails, a single
    /// request tests whether it is back.
    pub fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, from: Sender<'_>) -> bool {
        let mut any = false;
        let limit = if self.backoff.is_failing() { 1 } else { self.max_in_flight };
        while self.in_flight.len() < limit && self.backoff.is_over(now_ns) {
            let Some(mut request) = self.waiting.pop_front() else { break };
            match self.dispatch(host, &mut request, from) {
                Some(id) => {
                    request.was_sent = true;
                    self.in_flight.push(InFlight { id, root, request });
                    any = true;
                }
                None => {
                    self.waiting.push_front(request);
                    self.failures = self.failures.saturating_add(1);
                    self.backoff.failed(now_ns, host.random(), None);
                }
            }
        }
        any
    }

    /// Takes an answer. `Some` if it settles one of these requests; a request to be repeated waits again.
    pub fn answered(
        &mut self,
        host: &impl Host,
        id: CalloutId,
        answer: &CalloutAnswer,
        now_ns: u64,
        config: &ExportConfig,
    ) -> Option<Settled> {
        let position = self.in_flight.iter().position(|sent| sent.id == id)?;
        let request = self.in_flight.swap_remove(position).request;
        let meaning = Answer::new(answer, now_ns);
        self.note(host, meaning, answer.status, now_ns, config);
        let size = request.body.len();
        let settled = match meaning {
            Answer::Accepted { rejected } => Settled::Accepted { request, rejected },
            Answer::Refused => Settled::Refused(request),
            Answer::Later { .. } => {
                self.waiting.push_front(request);
                return None;
            }
        };
        self.bytes = self.bytes.saturating_sub(size);
        Some(settled)
    }

    /// A root context is gone and with it the answers to its requests: these wait to be sent again.
    pub fn requeue(&mut self, root: RootId) {
        for sent in self.in_flight.extract_if(.., |sent| sent.root == root) {
            self.waiting.push_front(sent.request);
        }
    }

    /// Sets the back-off, and writes to the gateway's log when delivery begins to fail and when it works again.
    fn note(
        &mut self,
        host: &impl Host,
        answer: Answer,
        status: Option<u16>,
        now_ns: u64,
        config: &ExportConfig,
    ) {
        let subject = self.subject();
        let to = config.destinations.get(self.destination).map_or("", |to| to.title.as_str());
        let was_failing = self.backoff.is_failing();
        let reply =
            || status.map_or("closed the connection".to_owned(), |status| format!("answered {status}"));
        match answer {
            Answer::Accepted { rejected } => {
                if was_failing {
                    host.log(LogLevel::Info, &format!("{to} accepts the {subject} again"));
                }
                if rejected > 0 {
                    let message = format!("{to} refused {rejected} records of the {subject}");
                    host.log(LogLevel::Warn, &message);
                }
                self.backoff.succeeded();
            }
            Answer::Later { not_before } => {
                self.failures = self.failures.saturating_add(1);
                if !was_failing {
                    let message = format!("{to} {}; the {subject} will be sent again", reply());
                    host.log(LogLevel::Warn, &message);
                }
                self.backoff.failed(now_ns, host.random(), not_before);
            }
            Answer::Refused => {
                self.failures = self.failures.saturating_add(1);
                if !was_failing {
                    let message = format!("{to} {} and refused a part of the {subject}", reply());
                    host.log(LogLevel::Warn, &message);
                }
                // A refusal does not predict the next response, so the pause does not grow: one bad batch must not
                // delay the good ones behind it. A receiver that refuses everything gets about one request a second.
                self.backoff.succeeded();
                self.backoff.failed(now_ns, host.random(), None);
            }
        }
    }

    fn dispatch(&self, host: &impl Host, request: &mut ExportRequest, from: Sender<'_>) -> Option<CalloutId> {
        let to: &Destination = from.config.destinations.get(self.destination)?;
        let path = to.path(self.signal)?;
        let next = || sequence::next(host, from.store, self.signal, self.destination);
        let sequence = request.sequence.or_else(next)?;
        request.sequence = Some(sequence);
        let (epoch, sequence) = (format!("{:016x}", from.epoch.id), sequence.to_string());
        let instance = header_value(from.instance);
        let mut headers: Vec<(&str, &str)> = vec![
            (":method", "POST"),
            (":path", path),
            ("content-type", otlp::CONTENT_TYPE),
            ("x-gatelens-instance", &instance),
            ("x-gatelens-epoch", &epoch),
            ("x-gatelens-sequence", &sequence),
        ];
        if request.compression == Compression::Gzip {
            headers.push(("content-encoding", "gzip"));
        }
        headers.extend(to.common_headers());
        let callout =
            Callout { cluster: &to.cluster, headers: &headers, body: &request.body, timeout: to.timeout };
        match host.dispatch(&callout) {
            Ok(id) => Some(id),
            Err(error) => {
                if !self.backoff.is_failing() {
                    let message = format!("cannot send the {} to {}: {error}", self.subject(), to.title);
                    host.log(LogLevel::Warn, &message);
                }
                None
            }
        }
    }

    fn subject(&self) -> &'static str {
        match self.signal {
            Signal::Metrics => "counters",
            Signal::Logs => "request log",
            Signal::Traces => "spans",
        }
    }
}

/// A header value holds printable ASCII only; anything else in a node's name is replaced.
fn header_value(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}
