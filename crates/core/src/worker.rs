//! What one worker holds for one stream of counters: it outlives the root contexts that use it, because a
//! configuration update replaces those.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::counters::{Pending, Series, SeriesKey, Values};
use crate::delivery::{Answer, Backoff, InFlight, MAX_IN_FLIGHT, Parcel, Queue, RootId, Tally};
use crate::event::Event;
use crate::host::{Callout, CalloutId, Host, LogLevel};
use crate::ledger::{Ledger, Signal};
use crate::otlp::logs::{encode_record, encode_request};
use crate::otlp::metrics::Frame;
use crate::otlp::{self, Resource};
use crate::plan::Stream;

/// Most series in one request: about half a megabyte.
const FRAME_SERIES: usize = 500;

/// With no traffic, metrics are sent this often all the same, so that a silent gateway and a dead one differ.
const HEARTBEAT_NS: u64 = 10_000_000_000;

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
}

/// The batch that is being filled.
#[derive(Debug, Default)]
struct OpenBatch {
    records: Vec<u8>,
    events: u32,
    opened_ns: u64,
}

/// The exporter's part; idle on all workers but the elected one.
#[derive(Debug, Default)]
struct Export {
    leading: bool,
    changed: BTreeSet<u32>,
    waiting: Option<Parcel>,
    in_flight: Option<InFlight>,
    backoff: Backoff,
    last_ns: u64,
}

impl Worker {
    /// Opens the shared counters of a stream.
    pub fn new(host: &impl Host, stream: Rc<Stream>) -> Self {
        let ledger = Ledger::open(host, stream.ledger, stream.max_series);
        let epoch = ledger.epoch().id;
        let instance = stream.instance.clone().unwrap_or_else(|| format!("envoy-{:08x}", epoch >> 32));
        Self {
            stream,
            instance,
            ledger,
            pending: Pending::default(),
            open: OpenBatch::default(),
            queue: Queue::default(),
            logs_backoff: Backoff::default(),
            export: Export::default(),
        }
    }

    /// Goes on under a changed configuration of the same stream.
    pub fn adopt(&mut self, host: &impl Host, stream: Rc<Stream>) {
        if stream.resource != self.stream.resource {
            self.close_batch(host, host.now());
        }
        self.ledger.set_max_series(stream.max_series);
        self.stream = stream;
    }

    /// Counts a finished exchange and writes its log record.
    pub fn record(&mut self, host: &impl Host, series: Series<'_>, event: &Event<'_>, now_ns: u64) {
        self.pending.add(series, &event.measurement, &self.stream.bounds_ns, self.stream.max_series);
        if self.open.events == 0 {
            self.open.opened_ns = now_ns;
        }
        encode_record(event, &mut self.open.records);
        self.open.events = self.open.events.saturating_add(1);
        let limits = &self.stream.limits;
        if self.open.events >= limits.batch_events || self.open.records.len() >= limits.batch_bytes as usize {
            self.close_batch(host, now_ns);
        }
    }

    /// The regular work: merge, close what is old enough, export, send.
    pub fn tick(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        self.ledger.merge(host, &mut self.pending);
        let age_ns = now_ns.saturating_sub(self.open.opened_ns);
        if self.open.events > 0
            && age_ns.saturating_add(50_000_000)
                >= u64::from(self.stream.limits.flush_ms).saturating_mul(1_000_000)
        {
            self.close_batch(host, now_ns);
        }
        let led = std::mem::replace(&mut self.export.leading, self.ledger.lead(host, me.0, now_ns));
        if self.export.leading {
            if !led {
                // Whoever led before may have taken changes along that never arrived.
                self.export.changed = self.ledger.all_slots(host, &mut self.pending).into_iter().collect();
            }
            self.export.changed.extend(self.ledger.take_dirty(host));
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
        self.ledger.merge(host, &mut self.pending);
        self.close_batch(host, now_ns);
        // Whoever else has the office may have ended before this worker merged, so its changes go from here.
        self.export.changed.extend(self.ledger.take_dirty(host));
        self.export.leading = true;
        self.send(host, me, now_ns);
        self.ledger.resign(host, me.0);
    }

    /// Adds what was counted to the shared counters, for whoever exports them.
    pub fn merge(&mut self, host: &impl Host) {
        self.ledger.merge(host, &mut self.pending);
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
        self.queue.is_empty()
            && self.open.events == 0
            && self.export.in_flight.is_none()
            && self.export.waiting.is_none()
            && self.export.changed.is_empty()
    }

    fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.queue.in_flight().iter().chain(&self.export.in_flight)
    }

    /// Takes an answer, if it is to one of this worker's callouts.
    pub fn answered(&mut self, host: &impl Host, id: CalloutId, status: Option<u16>, now_ns: u64) {
        let answer = Answer::new(status);
        if self.queue.answered(id, answer) {
            let mut backoff = std::mem::take(&mut self.logs_backoff);
            self.note(host, "request log", &mut backoff, answer, status, now_ns);
            self.logs_backoff = backoff;
        } else if let Some(sent) = self.export.in_flight.take_if(|sent| sent.id == id) {
            let mut backoff = std::mem::take(&mut self.export.backoff);
            self.note(host, "counters", &mut backoff, answer, status, now_ns);
            self.export.backoff = backoff;
            if answer == Answer::Later {
                self.export.waiting = Some(sent.parcel);
            }
        }
    }

    /// Log events by fate so far.
    pub fn tally(&self) -> Tally {
        self.queue.tally()
    }

    /// Keeps the back-off, and tells the gateway's log when delivery begins to fail and when it works again.
    fn note(
        &self,
        host: &impl Host,
        what: &str,
        backoff: &mut Backoff,
        answer: Answer,
        status: Option<u16>,
        now_ns: u64,
    ) {
        let answered = || status.map_or("broke off".to_owned(), |status| format!("answered {status}"));
        let cluster = &self.stream.cluster;
        match answer {
            Answer::Taken => {
                if backoff.is_failing() {
                    host.log(LogLevel::Info, &format!("the ingest `{cluster}` takes the {what} again"));
                }
                backoff.succeeded();
            }
            Answer::Later => {
                if !backoff.is_failing() {
                    let held = "nothing is lost while there is room";
                    host.log(
                        LogLevel::Warn,
                        &format!("the ingest `{cluster}` {}; the {what} waits, {held}", answered()),
                    );
                }
                backoff.failed(now_ns, host.random());
            }
            Answer::Refused => {
                host.log(
                    LogLevel::Warn,
                    &format!("the ingest `{cluster}` {}: a batch of the {what} is dropped", answered()),
                );
                backoff.succeeded();
            }
        }
    }

    fn close_batch(&mut self, host: &impl Host, now_ns: u64) {
        if self.open.events == 0 {
            return;
        }
        let body = encode_request(&self.stream.resource, &self.instance, &self.open.records);
        let sequence = self.ledger.next_sequence(host, Signal::Logs);
        let parcel = Parcel { body, events: u64::from(self.open.events), sequence, closed_ns: now_ns };
        self.open.records.clear();
        self.open.events = 0;
        self.queue.push(parcel, self.stream.limits.queue_bytes as usize);
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
                    self.logs_backoff.failed(now_ns, host.random());
                }
            }
        }
    }

    fn export_frame(&mut self, host: &impl Host, root: RootId, now_ns: u64) {
        if self.export.in_flight.is_some() || !self.export.backoff.is_over(now_ns) {
            return;
        }
        let due = now_ns.saturating_sub(self.export.last_ns) >= HEARTBEAT_NS;
        if self.export.waiting.is_none() && (due || !self.export.changed.is_empty()) {
            self.export.waiting = Some(self.next_frame(host, now_ns));
        }
        let Some(mut parcel) = self.export.waiting.take() else { return };
        match self.dispatch(host, Signal::Metrics, &mut parcel) {
            Some(id) => {
                self.export.in_flight = Some(InFlight { id, root, parcel });
                self.export.last_ns = now_ns;
            }
            None => {
                self.export.waiting = Some(parcel);
                self.export.backoff.failed(now_ns, host.random());
            }
        }
    }

    fn next_frame(&mut self, host: &impl Host, now_ns: u64) -> Parcel {
        let mut series: Vec<(SeriesKey, Values)> = Vec::new();
        while series.len() < FRAME_SERIES {
            let Some(slot) = self.export.changed.pop_first() else { break };
            series.extend(self.ledger.read(host, slot));
        }
        let series_in_use = self.ledger.series(host, &mut self.pending);
        let frame = Frame {
            resource: &self.stream.resource,
            instance: &self.instance,
            direction: self.stream.direction,
            start_ns: self.ledger.epoch().start,
            time_ns: now_ns,
            bounds_seconds: &self.stream.bounds_seconds,
            series_in_use,
            series: &series,
        };
        let sequence = self.ledger.next_sequence(host, Signal::Metrics);
        Parcel { body: frame.encode(), events: 0, sequence, closed_ns: now_ns }
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
        headers.extend(stream.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
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

    /// The resource in force.
    pub fn resource(&self) -> &Resource {
        &self.stream.resource
    }
}

const USER_AGENT: &str = concat!("gatelens/", env!("CARGO_PKG_VERSION"));

/// A header value holds printable ASCII only; anything else in a node's name is replaced.
fn header_value(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}
