//! The state of one worker for one set of counters. It outlives the root contexts that use it, because a configuration
//! update replaces those.

mod changes;

use std::rc::Rc;

use super::announced::Announced;
use super::learned::LearnedRoutes;
use super::redaction_report::RedactionReport;
use super::usage::Usage;
use crate::config::Temporality;
use crate::counters::{Measurement, NameKind, Pending, Place, Series, Turnover};
use crate::export::{
    Closing, CounterExports, Destination, Drafts, ExportConfig, ExportRequest, LogExport, PatternFetch,
    RootId, Sender, Settlement, Snapshot, compress,
};
use crate::host::{CalloutAnswer, CalloutId, Host, LogLevel};
use crate::otlp::metrics::{Delivery, ExportedSeries, MetricsExport};
use crate::request::event::Event;
use crate::request::route::{RouteSource, UNMATCHED};
use crate::request::trace::{SpanIds, TraceContext};
use crate::request::{Counting, Decision, Logging};
use crate::shared::bids;
use crate::shared::delta;
use crate::shared::heartbeat::Heartbeats;
use crate::shared::lease::{self, Leadership};
use crate::shared::patterns;
use crate::shared::sequence::{self, Signal};
use crate::shared::slot::{Slot, Stage};
use crate::shared::{SharedSeries, Unreadable, UpdateError};
use crate::stats::{FleetStats, NotLoggedCounts, WorkerStats};
use gatelens_model::{Message, OmissionReason};
use gatelens_redact::Hits;
use gatelens_redact::capture::CapturedBody;
use gatelens_routes::Patterns;
use hashbrown::HashSet;

/// Counts and log of one worker, and their export.
#[derive(Debug)]
pub struct Worker {
    config: Rc<ExportConfig>,
    instance: String,
    /// Holds the lease. It belongs to the worker: all root contexts that tick it are one candidate.
    candidate: u64,
    phase: Phase,
    usage: Rc<Usage>,
    busy_ns: u64,
    not_logged: NotLoggedCounts,
    excluded_from_counters: u64,
    pending: Pending,
    redaction: RedactionReport,
    shared: SharedSeries,
    heartbeats: Heartbeats,
    fleet: FleetStats,
    log: LogExport,
    /// Some requests are sent as spans.
    has_spans: bool,
    announced: Announced,
    counters: CounterExports,
    turnover: Turnover,
    learned: Rc<LearnedRoutes>,
    /// Version of the learned patterns in force here.
    patterns_version: Vec<u8>,
    patterns: PatternFetch,
    has_warned: bool,
}

/// Stage in the life of a worker.
///
/// ```text
/// Serving ──the last root context ends──▶ Draining ──nothing left to deliver──▶ FinalReport ──answered──▶ Done
///    ▲                                        │                                     │                      │
///    └──────────────── a root context with the same counters is configured ────────┴──────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Root contexts use it.
    Serving,
    /// No root context uses it. Streams that began earlier still end in it, and its log is delivered.
    Draining,
    /// Nothing more will be counted or logged: the last metrics are in flight.
    FinalReport,
    /// Nothing is left to do.
    Done,
}

impl Worker {
    /// Opens the shared counters.
    pub(super) fn new(
        host: &impl Host,
        config: Rc<ExportConfig>,
        usage: Rc<Usage>,
        learned: Rc<LearnedRoutes>,
    ) -> Self {
        let shared = SharedSeries::open(host, config.counters);
        let epoch = shared.epoch();
        let instance = config.instance.clone().unwrap_or_else(|| format!("envoy-{:08x}", epoch.id >> 32));
        Self {
            candidate: host.random() | 1,
            phase: Phase::Serving,
            usage,
            busy_ns: 0,
            not_logged: NotLoggedCounts::default(),
            excluded_from_counters: 0,
            pending: Pending::new(config.caps),
            redaction: RedactionReport::default(),
            heartbeats: Heartbeats::default(),
            fleet: FleetStats::default(),
            log: LogExport::new(&config, &instance),
            has_spans: config.has_spans(),
            announced: Announced::default(),
            counters: CounterExports::new(&config, epoch.start_ns),
            turnover: Turnover::default(),
            learned,
            patterns_version: Vec::new(),
            patterns: PatternFetch::default(),
            has_warned: false,
            config,
            instance,
            shared,
        }
    }

    /// Continues under a changed configuration of the same counters.
    pub(super) fn reconfigure(&mut self, host: &impl Host, config: Rc<ExportConfig>) {
        let compressions = |config: &ExportConfig| -> Vec<_> {
            config.destinations.iter().map(|to| to.compression).collect()
        };
        if config.resource != self.config.resource || compressions(&config) != compressions(&self.config) {
            self.close_batches(host, host.now(), Closing::All);
            self.log.reopen(&config, &self.instance);
        }
        self.pending.set_caps(config.caps);
        if config.rules != self.config.rules {
            self.redaction.repeat();
        }
        self.config = config;
        self.phase = Phase::Serving;
    }

    /// The stage of its life.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Counts a finished request.
    pub(super) fn count(&mut self, series: Series<'_>, measurement: &Measurement) {
        self.pending.add(series, measurement, &self.config.bounds_ns);
    }

    /// Counts a finished request that the decision leaves out of the counters or of the log.
    pub(super) fn leave_out(&mut self, decision: Decision) {
        if decision.count == Counting::Excluded {
            self.excluded_from_counters = self.excluded_from_counters.saturating_add(1);
        }
        if let Logging::Skipped(reason) = decision.log {
            self.not_logged.count(reason);
        }
    }

    /// Takes the event of a finished request.
    pub(super) fn log(&mut self, host: &impl Host, event: &Event<'_>, now_ns: u64) {
        if self.log.is_off() {
            return;
        }
        self.add_bodies([event.request_body, event.response_body]);
        let event = self.sent_form(host, event, now_ns);
        let is_full = self.log.push(&event, now_ns, &self.config);
        if is_full {
            self.close_batches(host, now_ns, Closing::Full);
        }
    }

    /// Takes the event of a finished request that waits for bodies: all but those, encoded for [`log_late`](Self::log_late).
    pub(super) fn draft(&mut self, host: &impl Host, event: &Event<'_>, now_ns: u64) -> Drafts {
        self.add_bodies([event.request_body, event.response_body]);
        let event = self.sent_form(host, event, now_ns);
        self.log.draft(&event)
    }

    /// An event as it is sent: without the name and the group of its consumer where the receivers know them, and with the
    /// identifiers of its spans where it is sent as such, too.
    fn sent_form<'e>(&mut self, host: &impl Host, event: &Event<'e>, now_ns: u64) -> Event<'e> {
        let mut event = if self.is_announced(event, now_ns) { event.without_label() } else { *event };
        // The choice of spans alone has been made for the whole event.
        let is_traced = event.trace.as_ref().is_none_or(TraceContext::is_sampled);
        if self.has_spans && is_traced {
            event.spans = Some(SpanIds::new(event.trace, || host.random()));
        }
        event
    }

    /// Takes the bodies for which an event waited, of its request and of its response. [`write_slice`](Self::write_slice) writes
    /// them.
    pub(super) fn log_late(&mut self, draft: &Drafts, bodies: [Option<&CapturedBody>; 2], now_ns: u64) {
        self.add_bodies(bodies);
        self.log.push_late(draft, bodies, now_ns);
    }

    /// Writes a slice of an event that waited.
    pub(super) fn write_slice(&mut self, host: &impl Host, now_ns: u64) {
        if self.log.compress_slice(&self.config) {
            self.close_batches(host, now_ns, Closing::Full);
        }
    }

    /// Writes all that is left of an event that waited.
    pub(super) fn end_writing(&mut self) {
        self.log.end_large();
    }

    /// Whether an event that waited is not written to its end.
    pub(super) fn is_writing(&self) -> bool {
        self.log.has_large()
    }

    fn add_bodies(&mut self, bodies: [Option<&CapturedBody>; 2]) {
        for (message, body) in [Message::Request, Message::Response].into_iter().zip(bodies) {
            body.into_iter().for_each(|body| self.redaction.pending.add_body(message, body));
        }
    }

    /// Whether the name and the group of the event's consumer were sent not long ago.
    fn is_announced(&mut self, event: &Event<'_>, now_ns: u64) -> bool {
        let label = [event.consumer_name, event.consumer_group];
        label != ["", ""] && !self.announced.is_news(event.consumer, label, now_ns)
    }

    /// Adds time spent in the filter's own code.
    pub(super) fn was_busy(&mut self, nanoseconds: u64) {
        self.busy_ns = self.busy_ns.saturating_add(nanoseconds);
    }

    /// Adds matches of the rules with these names.
    pub(super) fn add_hits(&mut self, rules: &[String], hits: &mut Hits) {
        self.redaction.pending.add_hits(rules, hits);
    }

    /// The regular work: merge, close the batch if it is old enough, export, send.
    pub(super) fn tick(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        match self.phase {
            Phase::Serving | Phase::Draining => {}
            Phase::FinalReport => return self.send(host, me, now_ns),
            Phase::Done => return,
        }
        self.merge(host);
        // A tick that comes a little early does not make a batch wait for the next one.
        let old_ns = u64::from(self.config.limits.flush_ms).saturating_mul(750_000);
        self.close_batches(host, now_ns, Closing::OlderThan(old_ns));
        self.heartbeats.report(host, self.shared.store(), &self.stats());
        if self.counters.is_off() {
            // The shared counters stay here. Nobody leads, so each looks for workers that were lost.
            self.fleet = self.heartbeats.survey(host, self.shared.store(), now_ns);
        } else {
            self.adopt_patterns(host);
            self.lead_or_follow(host, now_ns);
            self.turn_over(host, now_ns);
        }
        self.send(host, me, now_ns);
    }

    /// Sends waiting requests, as far as the host takes them.
    pub(super) fn send(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        // Counters first: while a process ends, Envoy sends only the first request that is dispatched.
        for index in 0..self.config.destinations.len() {
            self.prepare_metrics(host, index, now_ns);
        }
        let from = sender(&self.config, &self.instance, &self.shared);
        self.counters.send(host, me, now_ns, from);
        self.log.send(host, me, now_ns, from);
        if self.counters.leads()
            && self.phase == Phase::Serving
            && let Some(ingest) = self.config.destinations.first()
        {
            self.patterns.send(host, me, now_ns, ingest);
        }
    }

    /// Makes the next request with counters for a destination, if one may be sent now.
    fn prepare_metrics(&mut self, host: &impl Host, destination: usize, now_ns: u64) {
        if !self.may_begin(host, destination, now_ns) {
            return;
        }
        let shared = &self.shared;
        let Some(counters) = self.counters.to(destination) else { return };
        let Some(mut snapshot) = counters.next(now_ns, |slot| shared.read(host, slot)) else { return };
        // Before the acknowledged values are read.
        let settled = match counters.is_delta() {
            true => delta::settled(host, self.shared.store(), destination),
            false => 0,
        };
        let (request, finished) = self.metrics_request(host, destination, &mut snapshot, now_ns);
        let has_begun = self.begin(host, destination, (&request, &snapshot, settled), now_ns);
        let Some(counters) = self.counters.to(destination) else { return };
        if has_begun {
            counters.push(request, finished);
        } else {
            counters.put_back(snapshot);
            self.redaction.repeat_to(destination);
        }
    }

    /// The last root context of this worker ends: sends as much as the host takes.
    pub(super) fn drain(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        self.merge(host);
        self.close_batches(host, now_ns, Closing::All);
        self.heartbeats.report(host, self.shared.store(), &self.stats());
        self.export_last_changes(host, me, now_ns);
        self.phase = Phase::Draining;
    }

    /// Sends one final metrics export, once the log is delivered: the last fates of events, and changes that workers of
    /// other threads have merged and that no leader may be left to send. No stream may use this worker any more.
    pub(super) fn begin_final_export(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        if self.phase != Phase::Draining || !self.is_idle() {
            return;
        }
        self.deregister(host);
        if self.counters.is_off() {
            self.phase = Phase::Done;
            return;
        }
        self.phase = Phase::FinalReport;
        self.counters.force_export();
        self.export_last_changes(host, me, now_ns);
        if !self.counters.may_export() {
            // The leader sends them; no answer will come.
            self.phase = Phase::Done;
        }
    }

    /// The worker's Wasm VM is about to end. Changes that it could not export are marked for the leader; events that it
    /// still holds are lost with it, and counted as `lost`.
    pub(super) fn abandon(&mut self, host: &impl Host) {
        let unsent = self.counters.abandon();
        self.shared.mark_dirty(host, &unsent);
        self.deregister(host);
    }

    fn deregister(&mut self, host: &impl Host) {
        if matches!(self.phase, Phase::Serving | Phase::Draining) {
            self.heartbeats.deregister(host, self.shared.store(), &self.stats());
        }
        lease::release(host, self.shared.store(), self.candidate, self.counters.acknowledged());
    }

    /// Adds the counts of this worker to the shared ones, for the leader.
    pub(super) fn merge(&mut self, host: &impl Host) {
        let counts = self.shared.merge(host, &mut self.pending);
        let redaction = match self.redaction.merge(host, self.shared.store()) {
            Err(UpdateError::Unreadable(unreadable)) => Err(unreadable),
            Ok(()) | Err(UpdateError::Contended) => Ok(()),
        };
        if let Err(unreadable @ Unreadable) = counts.and(redaction)
            && !std::mem::replace(&mut self.has_warned, true)
        {
            let message = format!("{unreadable}; its counts are kept in this worker and not exported");
            host.log(LogLevel::Error, &message);
        }
    }

    /// Gives up the series that match, for example those of routes that a pattern now stands for. Their final values are
    /// exported, and their slots become free when the receiver has acknowledged them. Further requests of such a series
    /// begin another one. Each worker may call this once its own requests no longer go there; what is given up already is
    /// left alone.
    pub(super) fn retire(&mut self, host: &impl Host, is_retired: impl Fn(Series<'_>) -> bool) {
        self.merge(host);
        self.shared.retire(host, &mut self.pending, |series, _| is_retired(series));
    }

    /// Where slots are scarce: names that wait on this worker are made known, and the leader gives up those with the
    /// least traffic.
    fn turn_over(&mut self, host: &impl Host, now_ns: u64) {
        if !self.turnover.is_due(now_ns) {
            return;
        }
        bids::put(host, self.shared.store(), &self.pending.bids(bids::MAX_BIDS));
        if self.counters.leads() {
            let bids = bids::take(host, self.shared.store());
            let given_up = self.turnover.look(&self.pending, &bids, now_ns);
            if !given_up.is_empty() {
                let contains = |series: Series<'_>, place| given_up.contains(series, place);
                self.shared.retire(host, &mut self.pending, contains);
            }
        }
    }

    /// A root context ends while others continue: they send again the requests to which it has no answer.
    pub(super) fn requeue(&mut self, root: RootId) {
        self.log.requeue(root);
        self.patterns.requeue(root);
        self.counters.requeue(root);
    }

    /// Whether a root context has an answer outstanding.
    pub(super) fn is_waiting(&self, root: RootId) -> bool {
        self.log.is_waiting(root) || self.counters.is_waiting(root) || self.patterns.is_waiting(root)
    }

    /// Takes an answer, if it is to one of this worker's requests.
    pub(super) fn answered(&mut self, host: &impl Host, id: CalloutId, answer: &CalloutAnswer, now_ns: u64) {
        let config = Rc::clone(&self.config);
        if self.patterns.is_own(id) {
            let title = config.destinations.first().map_or("", |ingest| ingest.title.as_str());
            if let Some(fetched) = self.patterns.answered(host, answer, now_ns, title) {
                // If they cannot be shared now, the next answer names them again.
                let _ = patterns::add(host, self.shared.store(), &fetched.version, &fetched.patterns);
                self.adopt_patterns(host);
            }
            return;
        }
        // Patterns come from the ingest alone.
        if self.log.destination_of(id).or_else(|| self.counters.destination_of(id)) == Some(0) {
            self.patterns.on_answer(answer, &self.patterns_version);
        }
        self.log.answered(host, id, answer, now_ns, &config);
        match self.counters.answered(host, id, answer, now_ns, &config, self.shared.store()) {
            Some(Settlement::Finished(places)) => {
                self.shared.release(host, &mut self.pending, &places);
            }
            Some(Settlement::Refused(destination)) => self.redaction.repeat_to(destination),
            None => {}
        }
        if self.phase == Phase::FinalReport && self.is_idle() {
            self.phase = Phase::Done;
        }
    }

    /// Statistics of this worker.
    pub(super) fn stats(&self) -> WorkerStats {
        let mut stats = WorkerStats {
            active_requests: self.usage.streams(),
            busy_ns: self.busy_ns,
            uncounted: self.usage.uncounted(),
            not_logged: self.not_logged,
            excluded_from_counters: self.excluded_from_counters,
            ..WorkerStats::default()
        };
        self.log.add_to(&mut stats);
        self.counters.add_to(&mut stats);
        stats
    }

    /// Whether nothing is left to deliver.
    pub(super) fn is_idle(&self) -> bool {
        self.log.is_idle() && self.counters.is_idle()
    }

    /// Follows the learned route patterns in shared data. Those that another version of the filter wrote are left alone.
    fn adopt_patterns(&mut self, host: &impl Host) {
        let store = self.shared.store();
        let Some(version) = patterns::version(host, store) else { return };
        if version != self.patterns_version {
            if let Ok(patterns) = patterns::read(host, store) {
                self.retire_folded(host, &patterns);
                self.learned.set(patterns);
            }
            self.patterns_version = version;
        }
    }

    /// Gives up the series of routes that patterns now stand for, so that their slots become free.
    fn retire_folded(&mut self, host: &impl Host, patterns: &Patterns) {
        let is_folded = |name: &&str| *name != UNMATCHED && patterns.fold(name).is_some();
        let routes = self.pending.placed().all_names(NameKind::Route);
        let folded: HashSet<Box<str>> = routes.filter(is_folded).map(Box::from).collect();
        if !folded.is_empty() {
            self.retire(host, |series| match series {
                Series::Exact(dimensions) if dimensions.route_source == RouteSource::Inferred => {
                    NameKind::Route.of(&dimensions).is_some_and(|route| folded.contains(route))
                }
                _ => false,
            });
        }
    }

    fn lead_or_follow(&mut self, host: &impl Host, now_ns: u64) {
        let led_until = self.counters.leads().then(|| self.counters.acknowledged());
        let changed = match lease::acquire(host, self.shared.store(), self.candidate, now_ns, led_until) {
            Leadership::Follower => {
                self.turnover.clear();
                let unsent = self.counters.on_lease_lost();
                return self.shared.mark_dirty(host, &unsent);
            }
            Leadership::Leader => self.shared.take_dirty(host),
            Leadership::Elected { acknowledged } => {
                self.redaction.repeat();
                self.counters.on_elected(acknowledged);
                // All slots contain those that changed.
                self.shared.take_dirty(host);
                self.shared.repair(host, &mut self.pending);
                self.shared.all_slots(host, &mut self.pending)
            }
        };
        self.fleet = self.heartbeats.survey(host, self.shared.store(), now_ns);
        self.counters.take(&changed, now_ns);
        self.counters.force_export_to(self.redaction.news(host, self.shared.store()));
        let shared = &self.shared;
        self.counters.keep_minute(now_ns, |slot| shared.read(host, slot));
    }

    /// Exports the changes that no leader has taken yet: the leader may have ended before this worker merged.
    fn export_last_changes(&mut self, host: &impl Host, me: RootId, now_ns: u64) {
        if self.counters.is_off() {
            return self.send(host, me, now_ns);
        }
        let store = self.shared.store();
        let mut changed = self.shared.take_dirty(host);
        // Only a leader exports changes. The last worker to end finds no other one.
        let election =
            self.counters.needs_leader().then(|| lease::acquire(host, store, self.candidate, now_ns, None));
        if let Some(Leadership::Elected { acknowledged }) = election {
            self.counters.on_elected(acknowledged);
            changed = self.shared.all_slots(host, &mut self.pending);
        }
        let store = self.shared.store();
        self.counters.on_ending(lease::acknowledged(host, store));
        self.fleet = self.heartbeats.survey(host, store, now_ns);
        if self.counters.needs_leader() {
            self.shared.mark_dirty(host, &changed);
        }
        self.counters.take(&changed, now_ns);
        self.send(host, me, now_ns);
        lease::release(host, self.shared.store(), self.candidate, self.counters.acknowledged());
    }

    fn close_batches(&mut self, host: &impl Host, now_ns: u64, closing: Closing) {
        let from = sender(&self.config, &self.instance, &self.shared);
        let [requests, responses] = self.log.close(host, now_ns, from, closing);
        let counts = &mut self.redaction.pending;
        counts.add_omitted(Message::Request, OmissionReason::QueueFull, requests);
        counts.add_omitted(Message::Response, OmissionReason::QueueFull, responses);
    }

    /// The request of a snapshot to a destination, and the places whose final values are in it.
    fn metrics_request(
        &mut self,
        host: &impl Host,
        destination: usize,
        snapshot: &mut Snapshot,
        now_ns: u64,
    ) -> (ExportRequest, Vec<Place>) {
        let store = self.shared.store();
        let config = Rc::clone(&self.config);
        let redaction = self.redaction.take_if_due(host, store, (destination, &config.rules), now_ns);
        let deliveries = deliveries(&config.destinations, &self.fleet);
        let to = config.destinations.get(destination);
        let (compression, temporality) = to.map(|to| (to.compression, to.temporality)).unwrap_or_default();
        let epoch_start_ns = self.shared.epoch().start_ns;
        let mut finished = Vec::new();
        let mut series = Vec::with_capacity(snapshot.series.len());
        for (slot, value) in &mut snapshot.series {
            let Some(Slot { key, start_ns, values, stage, .. }) = Slot::read(value) else { continue };
            let place = Place { slot: *slot, start_ns };
            match stage {
                Stage::Closed => finished.push(place),
                _ => self.turnover.note(place, values.duration.count, now_ns),
            }
            let before = match temporality {
                Temporality::Cumulative => None,
                Temporality::Delta => delta::acknowledged(host, store, destination, *slot),
            };
            let before = before.filter(|(_, before)| (before.start_ns, &before.key) == (start_ns, &key));
            match before {
                Some((time_ns, before)) => {
                    // Times of changes follow one another, also where a minute that is kept is older, or the clock was set back. The
                    // answer sets the time of a series without a change, too.
                    snapshot.time_ns = snapshot.time_ns.max(time_ns);
                    if before.values.duration.count > values.duration.count {
                        // A worker that leads no more had kept it. The answer must not set the acknowledged values back.
                        *value = before.encode();
                    }
                    let values = values.since(&before.values);
                    if values.duration.count > 0 {
                        series.push(ExportedSeries { key, start_ns: time_ns, values });
                    }
                }
                None => {
                    let start_ns = if start_ns == 0 { epoch_start_ns } else { start_ns };
                    series.push(ExportedSeries { key, start_ns, values });
                }
            }
        }
        let export = MetricsExport {
            resource: &self.config.resource,
            instance: &self.instance,
            direction: self.config.direction,
            start_ns: epoch_start_ns,
            time_ns: snapshot.time_ns,
            bounds_seconds: &self.config.bounds_seconds,
            interval_ns: snapshot.coarse_span_ns(),
            series_in_use: self.shared.len(host, &mut self.pending),
            fleet: &self.fleet,
            destination,
            deliveries: &deliveries,
            redaction: redaction.as_ref(),
            temporality,
            series: &series,
        };
        let request = ExportRequest {
            body: Rc::new(compress(export.encode(), compression)),
            compression,
            events: 0,
            bodies: 0,
            was_sent: false,
            sequence: sequence::next(host, self.shared.store(), Signal::Metrics, destination),
            closed_ns: now_ns,
        };
        (request, finished)
    }
}

fn sender<'a>(config: &'a ExportConfig, instance: &'a str, shared: &'a SharedSeries) -> Sender<'a> {
    Sender { config, instance, store: shared.store(), epoch: shared.epoch() }
}

/// The deliveries to all destinations, where there is more than one of them or of their forms: a single one is described by the
/// metrics of the gateway itself.
fn deliveries<'a>(destinations: &'a [Destination], fleet: &FleetStats) -> Vec<Delivery<'a>> {
    if destinations.len() < 2 && destinations.iter().all(|to| to.requests.len() < 2) {
        return Vec::new();
    }
    let of = destinations.iter().zip(fleet.stats.deliveries);
    of.map(|(to, stats)| Delivery {
        name: &to.name,
        signals: to.requests.iter().map(|(form, _)| form.signal().name()).collect(),
        stats,
    })
    .collect()
}
