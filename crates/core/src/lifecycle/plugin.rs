//! Life of a root context.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::registry::{Registry, WorkerHandle};
use super::waiting::WaitingEvent;
use crate::counters::Series;
use crate::export::RootId;
use crate::host::{CalloutId, Host, LogLevel};
use crate::plan::Plan;
use crate::request::consumer::ResponseNames;
use crate::request::{Context, FinishedRequest, Foresight, Selection, access_log, decide};
use crate::scrape::Scraper;
use gatelens_model::OmissionReason;
use gatelens_redact::Hits;
use gatelens_redact::capture::{Bodies, Capture, SLICE_BYTES};

/// One request in this number is timed.
const SAMPLE: u32 = 64;

/// Time between two ticks while events wait for their bodies: long enough that a slice takes a part of it.
const SLICE_PERIOD: Duration = Duration::from_millis(2);

/// A root context.
#[derive(Debug)]
pub struct Plugin {
    registry: Rc<Registry>,
    /// Identifies this root context in the process. Responses arrive at the root context that sent the request.
    me: RootId,
    active: Option<Rc<Active>>,
    /// In place of `active` where the plugin is the endpoint that is scraped.
    scraper: Option<Rc<Scraper>>,
    ending: bool,
}

/// An active configuration: the data that the streams of a root context need.
#[derive(Debug)]
pub struct Active {
    pub(super) plan: Plan,
    pub(super) worker: Rc<WorkerHandle>,
    /// Of this configuration's rules, since the last tick.
    pub(super) hits: RefCell<Hits>,
    /// The period of the root context's ticks.
    period: Duration,
    pace: Cell<Pace>,
}

/// How often the root context of a configuration ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// As often as its regular work needs.
    Regular,
    /// Often, for the events that wait for their bodies.
    Short,
    /// Not any more.
    Ended,
}

/// For example a `google.protobuf.Struct`, which Envoy passes as binary.
const NOT_JSON: &str = "this is not a JSON object; in Envoy's YAML the configuration is a text, of the type \
    type.googleapis.com/google.protobuf.StringValue";

/// The host's task when a root context ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is in flight.
    Now,
    /// Keep the context until [`Plugin::answered`] returns [`Ending::Now`].
    WhenAnswered,
}

impl Plugin {
    /// A root context without a configuration.
    pub fn new(registry: Rc<Registry>) -> Self {
        registry.add_root();
        Self { registry, me: RootId(0), active: None, scraper: None, ending: false }
    }

    /// Reads the configuration. False, and a line in the gateway's log, if it is refused.
    pub fn configure(&mut self, host: &impl Host) -> bool {
        let raw = host.plugin_configuration();
        let parsed = match std::str::from_utf8(&raw) {
            Ok(text) if !text.trim_start().starts_with('{') && !text.is_empty() => Err(NOT_JSON.to_owned()),
            Ok(text) => Plan::read(text, &host.plugin_identity()).map_err(|error| error.to_string()),
            Err(_) => Err(NOT_JSON.to_owned()),
        };
        let plan = match parsed {
            Ok(plan) => plan,
            Err(error) => {
                host.log(LogLevel::Error, &format!("configuration refused: {error}"));
                return false;
            }
        };
        if self.me == RootId(0) {
            self.me = RootId(host.random());
        }
        let period = plan.tick_period(host.random());
        if plan.debug {
            let hash = &plan.export.resource.config_hash;
            host.log(
                LogLevel::Info,
                &format!("configuration {hash} in force, a tick every {} ms", period.as_millis()),
            );
        }
        host.set_tick_period(period);
        self.scraper = Scraper::new(&plan).map(Rc::new);
        if self.scraper.is_some() {
            self.replace(None);
            return true;
        }
        let worker = self.registry.attach(host, &plan);
        host.prepare_info(plan.request.info_needs());
        let active =
            Active { plan, worker, hits: RefCell::default(), period, pace: Cell::new(Pace::Regular) };
        self.replace(Some(Rc::new(active)));
        true
    }

    fn replace(&mut self, active: Option<Rc<Active>>) {
        if let Some(before) = std::mem::replace(&mut self.active, active) {
            before.pace.set(Pace::Ended);
            before.worker.detach();
        }
    }

    /// The endpoint that this root context is, if it is one: its streams are answered, and not counted.
    pub fn scraper(&self) -> Option<Rc<Scraper>> {
        self.scraper.clone()
    }

    /// The data that a stream of this root context needs; `None` before a configuration is in force.
    pub fn active(&self) -> Option<Rc<Active>> {
        self.active.clone()
    }

    /// The regular work of this root context's worker, and of workers that no root context uses any more.
    pub fn tick(&self, host: &impl Host) {
        if self.ending {
            return;
        }
        if let Some(active) = &self.active {
            active.worker.work_on_waiting(host, active.plan.export.limits.redaction_percent);
            active.keep_pace(host);
        }
        let now_ns = host.now();
        if let Some(active) = &self.active {
            if active.pace.get() == Pace::Short && !active.worker.is_due(now_ns) {
                return;
            }
            active.pass_on_hits();
            active.worker.tick(host, self.me, now_ns);
            if active.plan.debug {
                active.worker.with(|worker| host.log(LogLevel::Debug, &format!("{:?}", worker.stats())));
            }
        }
        for orphan in self.registry.orphans() {
            orphan.give_up_waiting(now_ns);
            orphan.tick(host, self.me, now_ns);
            // Streams that began under an earlier configuration still end in its worker.
            if !orphan.is_used() {
                orphan.with(|worker| worker.begin_final_export(host, self.me, now_ns));
            }
        }
        self.registry.forget_done();
        if let Some(active) = &self.active {
            active.worker.with(|worker| worker.was_busy(host.now().saturating_sub(now_ns)));
        }
    }

    /// Takes the answer to a callout. [`Ending::Now`] when the context was kept for answers and needs none any more.
    pub fn answered(&self, host: &impl Host, id: CalloutId) -> Ending {
        let (answer, now_ns) = (host.callout_answer(), host.now());
        for handle in self.registry.all() {
            // A context that ends leaves further requests to those that stay, if there are any.
            let sends = !self.ending || !handle.has_roots();
            handle.with(|worker| {
                worker.answered(host, id, &answer, now_ns);
                if sends {
                    worker.send(host, self.me, now_ns);
                }
            });
        }
        self.ending()
    }

    /// The host ends this root context: a configuration update, or the end of the process.
    pub fn done(&mut self, host: &impl Host) -> Ending {
        // Envoy arms an old context's timer again after an update unless it is stopped here.
        host.set_tick_period(Duration::ZERO);
        self.ending = true;
        let now_ns = host.now();
        if let Some(active) = &self.active {
            active.pace.set(Pace::Ended);
            active.worker.detach();
            if !active.worker.has_roots() {
                active.worker.give_up_waiting(now_ns);
            }
            active.pass_on_hits();
            if active.worker.has_roots() {
                active.worker.with(|worker| worker.merge(host));
            } else {
                active.worker.with(|worker| worker.drain(host, self.me, now_ns));
            }
        }
        self.ending()
    }

    /// The host is about to forget this root context.
    pub fn gone(&mut self, host: &impl Host) {
        let all = self.registry.all();
        for handle in &all {
            handle.with(|worker| worker.requeue(self.me));
        }
        // Without a root context the Wasm VM ends, too. One that waits for answers still serves the workers.
        if self.registry.forget_root() == 0 {
            for handle in &all {
                handle.with(|worker| worker.abandon(host));
            }
        }
    }

    /// Gives up the series that match: see [`crate::shared::SharedSeries::retire`].
    pub fn retire(&self, host: &impl Host, is_retired: impl Fn(Series<'_>) -> bool) {
        if let Some(active) = &self.active {
            active.worker.with(|worker| worker.retire(host, is_retired));
        }
    }

    fn ending(&self) -> Ending {
        let waits =
            |handle: &Rc<WorkerHandle>| handle.with(|worker| worker.is_waiting(self.me)).unwrap_or(false);
        if self.ending && !self.registry.all().iter().any(waits) { Ending::Now } else { Ending::WhenAnswered }
    }

    /// A request ended, and this root context is an access logger.
    pub fn log(&self, host: &impl Host) {
        let Some(active) = &self.active else { return };
        let began_ns = active.begin_ns(host);
        let request =
            FinishedRequest::read(host, &active.plan.request).with_report(host, &active.plan.request);
        // Envoy runs a stream's filters before its access loggers, so the fingerprint is that of this very request if
        // the filter has counted it.
        let counted = active.worker.counted_by_filter.take();
        if counted.is_none() || counted != request.fingerprint() {
            active.record(host, &request, Bodies::default(), began_ns);
        }
    }
}

impl Active {
    /// The capture rules for bodies.
    pub(crate) fn capture(&self) -> &Capture {
        &self.plan.request.capture
    }

    /// The requests that are counted and logged.
    pub(crate) fn selection(&self) -> &Selection {
        &self.plan.request.selection
    }

    /// Bytes of bodies that may be held beyond those that are held now.
    pub(crate) fn room_for_bodies(&self) -> usize {
        self.worker.usage().room_for_bodies(self.plan.export.limits.queue_bytes as usize)
    }

    /// A filter holds `now` bytes of bodies instead of `before`.
    pub(crate) fn hold(&self, before: usize, now: usize) {
        self.worker.usage().hold(before, now);
    }

    /// The response headers that the application writes for the filter, in lower case.
    pub(crate) fn response_names(&self) -> &[Box<str>] {
        &self.plan.request.response_headers
    }

    /// A request ended that a filter of this root context saw, with these bodies, after it removed these response headers.
    pub(crate) fn log_from_filter(
        self: &Rc<Self>,
        host: &impl Host,
        bodies: Bodies,
        response_names: ResponseNames,
    ) {
        let began_ns = self.begin_ns(host);
        let request = FinishedRequest::read(host, &self.plan.request).with_response_names(response_names);
        self.worker.counted_by_filter.set(request.fingerprint());
        self.record(host, &request, bodies, began_ns);
    }

    /// A filter of this root context sees a request begin.
    pub(crate) fn begin(&self) {
        self.worker.usage().begin_stream();
    }

    /// That request is over, however it ended.
    pub(crate) fn end(&self) {
        self.worker.usage().end_stream();
    }

    /// Omits the bodies that would keep the worker from serving its traffic: those that are redacted at once while redaction has
    /// taken its share, and larger ones while too many wait.
    pub(crate) fn omit_beyond_share(&self, host: &impl Host, bodies: &mut Bodies) {
        let percent = self.plan.export.limits.redaction_percent;
        let may_redact = self.worker.usage().may_redact(percent, host.now());
        for passed in bodies.request.iter_mut().chain(&mut bodies.response) {
            let bytes = passed.capture.decoded_bytes();
            let fits = if bytes > self.at_once() { self.worker.may_wait(bytes) } else { may_redact };
            if !fits && passed.capture.held_bytes() > 0 {
                passed.capture.omit(OmissionReason::Overload);
            }
        }
    }

    /// Bytes of a body that is redacted when its request ends. Larger ones wait, except where redaction may take all the time.
    fn at_once(&self) -> usize {
        if self.plan.export.limits.redaction_percent >= 100 { usize::MAX } else { SLICE_BYTES }
    }

    /// Has the root context tick often while events wait for their bodies.
    fn keep_pace(&self, host: &impl Host) {
        let pace = if self.worker.has_waiting() { Pace::Short } else { Pace::Regular };
        let before = self.pace.get();
        if before != Pace::Ended && before != pace {
            self.pace.set(pace);
            host.set_tick_period(if pace == Pace::Short { SLICE_PERIOD } else { self.period });
        }
    }

    /// The time now. `None` where the request that ended has no event and its time is not taken: then nothing needs it.
    fn begin_ns(&self, host: &impl Host) -> Option<u64> {
        let may_have_event = self.selection().foresight() != Foresight::Always;
        (may_have_event || self.is_timed()).then(|| host.now())
    }

    /// Whether the time of the current request is taken. The clock is a host call, so one request in sixty-four stands for
    /// all.
    fn is_timed(&self) -> bool {
        self.worker.untimed.get().wrapping_add(1).is_multiple_of(SAMPLE)
    }

    fn record<H: Host>(
        self: &Rc<Self>,
        host: &H,
        request: &FinishedRequest<H>,
        bodies: Bodies,
        began_ns: Option<u64>,
    ) {
        let now_ns = began_ns.unwrap_or_default();
        let bytes_to_redact = if bodies.held_bytes() > 0 { bodies.decoded_bytes() } else { 0 };
        let learned = self.worker.learned();
        if let Some(facts) = request.facts(host, &self.plan.request, learned.as_deref()) {
            let decision = decide(&self.plan.request.selection, &facts, || host.random());
            let mut hits = self.hits.take();
            let context =
                Context { plan: &self.plan.request, hits: &mut hits, now_ns, at_once: self.at_once() };
            request.record(&facts, decision, bodies, context, |series, event, waiting| {
                if let Some(event) = event.filter(|_| self.plan.access_log) {
                    host.log(LogLevel::Info, &access_log::line(event));
                }
                let recorded = self.worker.with(|worker| {
                    worker.leave_out(decision);
                    series.into_iter().for_each(|series| worker.count(series, &facts.measurement));
                    match (event, &waiting) {
                        (Some(event), [None, None]) => worker.log(host, event, now_ns),
                        (Some(event), _) => return Some(worker.draft(host, event, now_ns)),
                        (None, _) => {}
                    }
                    None
                });
                match recorded {
                    None => self.worker.usage().leave_uncounted(),
                    Some(None) => {}
                    Some(Some(draft)) => {
                        self.worker.wait(WaitingEvent::new(Rc::clone(self), draft, waiting));
                        self.keep_pace(host);
                    }
                }
            });
            self.hits.replace(hits);
        }
        if let Some(began_ns) = began_ns.filter(|_| bytes_to_redact > 0) {
            let spent_ns = host.now().saturating_sub(began_ns);
            self.worker.usage().redacted(bytes_to_redact, spent_ns);
            self.worker.with(|worker| worker.was_busy(spent_ns));
            return;
        }
        if let Some(began_ns) = began_ns.filter(|_| self.is_timed()) {
            let busy_ns = host.now().saturating_sub(began_ns).saturating_mul(u64::from(SAMPLE));
            self.worker.with(|worker| worker.was_busy(busy_ns));
        }
        self.worker.untimed.set(self.worker.untimed.get().wrapping_add(1));
    }

    /// Hands the matches of rules over to the worker.
    fn pass_on_hits(&self) {
        let mut hits = self.hits.take();
        if !hits.is_empty() {
            self.worker.with(|worker| worker.add_hits(self.plan.request.redactor.rules(), &mut hits));
        }
        // Empty, unless the worker was in use.
        self.hits.replace(hits);
    }
}

/// The last stream of a replaced configuration may end long after it.
impl Drop for Active {
    fn drop(&mut self) {
        self.pass_on_hits();
    }
}
