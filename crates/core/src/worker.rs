//! What one worker holds for one stream of counters: it outlives the root contexts that use it, because a
//! configuration update replaces those.

use std::rc::Rc;

use crate::batch::{OpenBatch, compress};
use crate::config::Compression;
use crate::counters::{Pending, Series};
use crate::delivery::{Answer, Backoff, InFlight, MAX_IN_FLIGHT, Parcel, Queue, RootId};
use crate::event::Event;
use crate::export::{Export, Snapshot};
use crate::findings::Findings;
use crate::host::{Callout, CalloutAnswer, CalloutId, Host, LogLevel};
use crate::ledger::{Ledger, Office, Signal, decode_slot};
use crate::otlp;
use crate::otlp::metrics::Frame;
use crate::plan::Stream;
use crate::redact::{Hits, Message, Reason};
use crate::roster::{Roster, Stats, Survey};

/// Counts and log records of one worker, and their delivery.
#[derive(Debug)]
pub struct Worker {
    stream: Rc<Stream>,
    instance: String,
    ledger: Ledger,
    pending: Pending,
    open: OpenBatch,
    queue: Queue,
    logs_backoff: Backoff,
    export: Export,
    roster: Roster,
    survey: Survey,
    findings: Findings,
    /// What a request about counters last said of them, encoded, and when.
    findings_said: Option<(Vec<u8>, u64)>,
    /// Bytes of bodies that filters hold.
    held_bytes: usize,
    active_requests: u64,
    export_failures: u64,
    busy_ns: u64,
    /// Of that, for exchanges with bodies since the last tick.
    redacting_ns: u64,
    retired: bool,
}

impl Worker {
    /// Opens the shared counters of a stream.
    pub fn new(host: &impl Host, stream: Rc<Stream>) -> Self {
        let ledger = Ledger::open(host, stream.ledger);
        let epoch = ledger.epoch().id;
        let instance = stream.instance.clone().unwrap_or_else(|| format!("envoy-{:08x}", epoch >> 32));
        Self {
            open: OpenBatch::new(stream.resource.clone(), instance.clone(), stream.compression),
            pending: Pending::new(stream.caps),
            stream,
            instance,
            ledger,
            queue: Queue::default(),
            logs_backoff: Backoff::default(),
            export: Export::default(),
            roster: Roster::default(),
            survey: Survey::default(),
            findings: Findings::default(),
            findings_said: None,
            held_bytes: 0,
            active_requests: 0,
            export_failures: 0,
            busy_ns: 0,
            redacting_ns: 0,
            retired: false,
        }
    }

    /// Goes on under a changed configuration of the same stream.
    pub fn adopt(&mut self, host: &impl Host, stream: Rc<Stream>) {
        if stream.resource != self.stream.resource || stream.compression != self.stream.compression {
            self.close_batch(host, host.now());
            self.open = OpenBatch::new(stream.resource.clone(), self.instance.clone(), stream.compression);
        }
        self.pending.set_caps(stream.caps);
        if stream.rules != self.stream.rules {
            self.findings_said = None;
        }
        self.stream = stream;
        self.retired = false;
    }

    /// Counts a finished exchange and writes its log record.
    pub fn record(&mut self, host: &impl Host, series: Series<'_>, event: &Event<'_>, now_ns: u64) {
        self.pending.add(series, &event.measurement, &self.stream.bounds_ns);
        let bodies = [(Message::Request, event.request_body), (Message::Response, event.response_body)];
        for (message, body) in bodies {
            body.into_iter().for_each(|body| self.findings.add_body(message, body));
        }
        self.open.push(event, now_ns);
        self.queue.capture();
        let limits = &self.stream.limits;
        let full = self.open.events() >= u64::from(limits.batch_events);
        if full || self.open.bytes() >= limits.batch_bytes as usize {
            self.close_batch(host, now_ns);
        }
    }

    /// A request has begun that a filter sees.
    pub fn begin(&mut self) {
        self.active_requests = self.active_requests.saturating_add(1);
    }

    /// It is over, however it ended.
    pub fn end(&mut self) {
        self.active_requests = self.active_requests.saturating_sub(1);
    }

    /// So much time was spent in the filter's own code.
    pub fn was_busy(&mut self, nanoseconds: u64) {
        self.busy_ns = self.busy_ns.saturating_add(nanoseconds);
    }

    /// Rules of these names were hit.
    pub fn hit(&mut self, rules: &[String], hits: &mut Hits) {
        self.findings.add_hits(rules, hits);
    }

    /// A filter holds `now` bytes of bodies where it held `before`.
    pub fn hold(&mut self, before: usize, now: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(before).saturating_add(now);
    }

    /// Bytes of bodies that filters may hold beyond those that they do.
    pub fn room_for_bodies(&self) -> usize {
        (self.stream.limits.queue_bytes as usize).saturating_sub(self.held_bytes)
    }

    /// So much time was spent on an exchange whose bodies were redacted.
    pub fn redacted(&mut self, nanoseconds: u64) {
        self.was_busy(nanoseconds);
        self.redacting_ns = self.redacting_ns.saturating_add(nanoseconds);
    }

    /// Whether redaction has taken as much of the time since the last tick as it may: traffic waits for it, and a worker
    /// that does not get to tick is taken for lost.
    pub fn is_overloaded(&self) -> bool {
        self.redacting_ns >= MAX_REDACTING_NS
    }

    /// The regular work: merge, close what is old enough, export, send.
    pub fn tick(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        self.redacting_ns = 0;
        if self.retired {
            self.send(host, me, now_ns);
            return;
        }
        self.merge(host);
        // A tick that comes a little early does not make a batch wait for the next one.
        let old_ns = u64::from(self.stream.limits.flush_ms).saturating_mul(750_000);
        if self.open.age_ns(now_ns) >= old_ns {
            self.close_batch(host, now_ns);
        }
        self.roster.report(host, &self.ledger, &self.stats());
        let changed = match self.ledger.lead(host, me.0, now_ns) {
            Office::None => {
                self.export.give_up();
                None
            }
            Office::Kept => Some(self.ledger.take_dirty(host)),
            // Whoever led before may have taken changes along that never arrived.
            Office::Taken => {
                self.findings_said = None;
                self.ledger.take_dirty(host);
                Some(self.ledger.all_slots(host, &mut self.pending))
            }
        };
        if let Some(changed) = changed {
            self.survey = self.roster.survey(host, &self.ledger, now_ns);
            self.export.leading = true;
            self.export.tick(changed, now_ns);
            // What another worker found may have been merged after the counts that it belongs to were sent.
            let found = Findings::read(host, &self.ledger);
            if self.findings_said.as_ref().is_some_and(|(said, _)| *said != found) {
                self.export.speak();
            }
            let ledger = &self.ledger;
            self.export.keep_minute(now_ns, |slot| ledger.read(host, slot));
        }
        self.send(host, me, now_ns);
    }

    /// Sends what waits, as far as the host takes it.
    pub fn send(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        // Counters first: of what is dispatched while a process ends, Envoy sends the first request only.
        // A frame that was begun is finished by whoever holds it, elected or not: its sequence number is given out.
        if self.export.leading || self.export.waiting.is_some() {
            self.export_frame(host, me, now_ns);
        }
        self.send_logs(host, me, now_ns);
    }

    /// Sends as much as the host takes before the last root context of this worker goes.
    pub fn flush(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        self.merge(host);
        self.close_batch(host, now_ns);
        // Whoever else has the office may have ended before this worker merged, so its changes go from here.
        let changed = self.ledger.take_dirty(host);
        self.roster.report(host, &self.ledger, &self.stats());
        self.survey = self.roster.survey(host, &self.ledger, now_ns);
        self.export.tick(changed, now_ns);
        self.export.leading = true;
        self.send(host, me, now_ns);
        self.ledger.resign(host, me.0);
    }

    /// The virtual machine is about to end: what it still holds is lost with it, and counted so.
    pub fn leave(&mut self, host: &impl Host) {
        if !self.retired {
            self.roster.leave(host, &self.ledger, &self.stats());
        }
    }

    /// Nothing more will be counted here and nothing is left to deliver but the last word: the fates of the last events,
    /// and what workers of other threads have merged that no exporter may be left to send.
    pub fn retire(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        if self.retired {
            return;
        }
        self.leave(host);
        self.retired = true;
        let changed = self.ledger.take_dirty(host);
        self.survey = self.roster.survey(host, &self.ledger, now_ns);
        self.export.tick(changed, now_ns);
        self.export.speak();
        self.export.leading = true;
        self.send(host, me, now_ns);
    }

    /// Whether the last word has arrived.
    pub fn is_over(&self) -> bool {
        self.retired && self.is_idle()
    }

    /// Adds what was counted to the shared counters, for whoever exports them.
    pub fn merge(&mut self, host: &impl Host) {
        self.ledger.merge(host, &mut self.pending);
        self.findings.merge(host, &self.ledger);
    }

    /// A root context ends while others go on: they export, and send again what it has no answer to.
    pub fn abandon(&mut self, host: &impl Host, root: RootId) {
        self.queue.abandon(root);
        if let Some(sent) = self.export.in_flight.take_if(|sent| sent.root == root) {
            self.export.waiting = Some(sent.parcel);
        }
        self.ledger.resign(host, root.0);
    }

    /// Whether a root context has an answer outstanding.
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.in_flight().any(|sent| sent.root == root)
    }

    /// Whether nothing is left to deliver.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.open.events() == 0 && self.export.is_idle()
    }

    fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.queue.in_flight().iter().chain(&self.export.in_flight)
    }

    /// Takes an answer, if it is to one of this worker's callouts.
    pub fn answered(&mut self, host: &impl Host, id: CalloutId, answer: &CalloutAnswer, now_ns: u64) {
        let meaning = Answer::new(answer, now_ns);
        if self.queue.answered(id, meaning) {
            let mut backoff = std::mem::take(&mut self.logs_backoff);
            self.note(host, "request log", &mut backoff, meaning, answer.status, now_ns);
            self.logs_backoff = backoff;
        } else if let Some(sent) = self.export.in_flight.take_if(|sent| sent.id == id) {
            let mut backoff = std::mem::take(&mut self.export.backoff);
            self.note(host, "counters", &mut backoff, meaning, answer.status, now_ns);
            self.export.backoff = backoff;
            if meaning == Answer::Refused {
                self.findings_said = None;
            }
            self.export.answered(sent.parcel, meaning);
        }
    }

    /// What this virtual machine says of itself.
    pub fn stats(&self) -> Stats {
        Stats {
            tally: self.queue.tally(),
            queue_bytes: self.queue.bytes() as u64,
            active_requests: self.active_requests,
            export_failures: self.export_failures,
            busy_ns: self.busy_ns,
        }
    }

    /// Keeps the back-off, and tells the gateway's log when delivery begins to fail and when it works again.
    fn note(
        &mut self,
        host: &impl Host,
        what: &str,
        backoff: &mut Backoff,
        answer: Answer,
        status: Option<u16>,
        now_ns: u64,
    ) {
        let answered = status.map_or("broke off".to_owned(), |status| format!("answered {status}"));
        let cluster = &self.stream.cluster;
        match answer {
            Answer::Taken { rejected } => {
                if backoff.is_failing() {
                    host.log(LogLevel::Info, &format!("the ingest `{cluster}` takes the {what} again"));
                }
                if rejected > 0 {
                    host.log(
                        LogLevel::Warn,
                        &format!("the ingest `{cluster}` refused {rejected} records of the {what}"),
                    );
                }
                backoff.succeeded();
            }
            Answer::Later { not_before } => {
                self.export_failures = self.export_failures.saturating_add(1);
                if !backoff.is_failing() {
                    host.log(
                        LogLevel::Warn,
                        &format!("the ingest `{cluster}` {answered}; the {what} is held and sent again"),
                    );
                }
                backoff.failed(now_ns, host.random(), not_before);
            }
            Answer::Refused => {
                self.export_failures = self.export_failures.saturating_add(1);
                if !backoff.is_failing() {
                    host.log(
                        LogLevel::Warn,
                        &format!("the ingest `{cluster}` {answered} and refuses the {what}"),
                    );
                }
                // What is refused says nothing of the next request, so the pause does not grow: one bad batch must not
                // hold up the good ones behind it. A receiver that refuses all is asked about once a second.
                backoff.succeeded();
                backoff.failed(now_ns, host.random(), None);
            }
        }
    }

    fn close_batch(&mut self, host: &impl Host, now_ns: u64) {
        let (events, bodies) = (self.open.events(), self.open.bodies());
        if events > 0 {
            let sequence = self.ledger.next_sequence(host, Signal::Logs);
            let parcel = Parcel {
                body: self.open.close(),
                compression: self.stream.compression,
                events,
                bodies,
                was_sent: false,
                sequence,
                closed_ns: now_ns,
            };
            let [requests, responses] = self.queue.push(parcel, self.stream.limits.queue_bytes as usize);
            self.findings.add_bodies(Message::Request, Reason::QueueFull, requests);
            self.findings.add_bodies(Message::Response, Reason::QueueFull, responses);
        }
    }

    fn send_logs(&mut self, host: &impl Host, root: RootId, now_ns: u64) {
        // While the receiver fails, one batch alone finds out whether it is back.
        let limit = if self.logs_backoff.is_failing() { 1 } else { MAX_IN_FLIGHT };
        while self.logs_backoff.is_over(now_ns) {
            let Some(mut parcel) = self.queue.next(now_ns, limit) else { break };
            match self.dispatch(host, Signal::Logs, &mut parcel) {
                Some(id) => self.queue.sent(InFlight { id, root, parcel }),
                None => {
                    self.queue.put_back(parcel);
                    self.dispatch_failed();
                    self.logs_backoff.failed(now_ns, host.random(), None);
                }
            }
        }
    }

    fn export_frame(&mut self, host: &impl Host, root: RootId, now_ns: u64) {
        if self.export.in_flight.is_some() || !self.export.backoff.is_over(now_ns) {
            return;
        }
        if self.export.waiting.is_none() {
            let ledger = &self.ledger;
            let next = self.export.next(now_ns, |slot| ledger.read(host, slot));
            self.export.waiting = next.map(|snapshot| self.frame(host, &snapshot, now_ns));
        }
        let Some(mut parcel) = self.export.waiting.take() else { return };
        match self.dispatch(host, Signal::Metrics, &mut parcel) {
            Some(id) => self.export.sent(InFlight { id, root, parcel }, now_ns),
            None => {
                self.export.waiting = Some(parcel);
                self.dispatch_failed();
                self.export.backoff.failed(now_ns, host.random(), None);
            }
        }
    }

    fn frame(&mut self, host: &impl Host, snapshot: &Snapshot, now_ns: u64) -> Parcel {
        let findings = self.news_of_redaction(host, now_ns);
        let series: Vec<_> = snapshot.series.values().filter_map(|value| decode_slot(value)).collect();
        let frame = Frame {
            resource: &self.stream.resource,
            instance: &self.instance,
            direction: self.stream.direction,
            start_ns: self.ledger.epoch().start,
            time_ns: snapshot.time_ns,
            bounds_seconds: &self.stream.bounds_seconds,
            interval_ns: snapshot.coarse_span_ns(),
            series_in_use: self.ledger.series(host, &mut self.pending),
            survey: &self.survey,
            findings: findings.as_ref(),
            series: &series,
        };
        let compression = self.stream.compression;
        Parcel {
            body: compress(frame.encode(), compression),
            compression,
            events: 0,
            bodies: 0,
            was_sent: false,
            sequence: self.ledger.next_sequence(host, Signal::Metrics),
            closed_ns: now_ns,
        }
    }

    /// What redaction found, when that is to be said: a long list of rules is no small part of a request about a few
    /// series.
    fn news_of_redaction(&mut self, host: &impl Host, now_ns: u64) -> Option<Findings> {
        let encoded = Findings::read(host, &self.ledger);
        let is_old = |time_ns: u64| now_ns.saturating_sub(time_ns) >= FINDINGS_NS;
        if self.findings_said.as_ref().is_some_and(|(said, at)| *said == encoded && !is_old(*at)) {
            return None;
        }
        let mut findings = Findings::decode(&encoded);
        findings.list_rules(&self.stream.rules);
        self.findings_said = Some((encoded, now_ns));
        (!findings.is_empty()).then_some(findings)
    }

    fn dispatch_failed(&mut self) {
        self.export_failures = self.export_failures.saturating_add(1);
    }

    fn dispatch(&self, host: &impl Host, signal: Signal, parcel: &mut Parcel) -> Option<CalloutId> {
        let sequence = parcel.sequence.or_else(|| self.ledger.next_sequence(host, signal))?;
        parcel.sequence = Some(sequence);
        let stream = &*self.stream;
        let path = match signal {
            Signal::Metrics => &stream.metrics_path,
            Signal::Logs => &stream.logs_path,
        };
        let (epoch, sequence) = (format!("{:016x}", self.ledger.epoch().id), sequence.to_string());
        let instance = header_value(&self.instance);
        let mut headers: Vec<(&str, &str)> = vec![
            (":method", "POST"),
            (":path", path),
            (":authority", &stream.authority),
            ("content-type", otlp::CONTENT_TYPE),
            ("user-agent", USER_AGENT),
            ("x-gatelens-instance", &instance),
            ("x-gatelens-epoch", &epoch),
            ("x-gatelens-sequence", &sequence),
        ];
        if parcel.compression == Compression::Gzip {
            headers.push(("content-encoding", "gzip"));
        }
        headers.extend(stream.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())));
        let callout = Callout {
            cluster: &stream.cluster,
            headers: &headers,
            body: &parcel.body,
            timeout: stream.timeout,
        };
        match host.dispatch(&callout) {
            Ok(id) => Some(id),
            Err(error) => {
                let backoff = if signal == Signal::Logs { &self.logs_backoff } else { &self.export.backoff };
                if !backoff.is_failing() {
                    host.log(
                        LogLevel::Warn,
                        &format!("cannot reach the ingest `{}`: {error}", stream.cluster),
                    );
                }
                None
            }
        }
    }
}

/// Half of the time from one tick to the next.
const MAX_REDACTING_NS: u64 = 250_000_000;

/// What redaction found is said this often even if nothing has changed, nanoseconds.
const FINDINGS_NS: u64 = 60_000_000_000;

const USER_AGENT: &str = concat!("gatelens/", env!("CARGO_PKG_VERSION"));

/// A header value holds printable ASCII only; anything else in a node's name is replaced.
fn header_value(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}
