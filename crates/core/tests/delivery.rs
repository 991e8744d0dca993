//! Export without a gateway around it: fates of events, bounds of memory, and the minutes of an outage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::config::{Compression, Direction, Temporality};
use gatelens_core::counters::Measurement;
use gatelens_core::export::{
    Answered, Closing, CounterExport, ExportConfig, ExportRequest, LogBatch, LogExport, MAX_HISTORY_BYTES,
    RootId, Sender, Snapshot,
};
use gatelens_core::host::{CalloutAnswer, CalloutId, DispatchError, PluginIdentity};
use gatelens_core::otlp::requests::{RecordForm, encode_draft};
use gatelens_core::outcome::{Method, Status};
use gatelens_core::plan::Plan;
use gatelens_core::request::event::Event;
use gatelens_core::request::route::RouteSource;
use gatelens_core::request::scheme::Scheme;
use gatelens_core::request::trace::SpanIds;
use gatelens_core::shared::SharedSeries;
use gatelens_core::stats::{DeliveryStats, WorkerStats};
use gatelens_model::fate::{DropReason, Fate};
use gatelens_redact::capture::CapturedBody;
use gatelens_testkit::fake::{FakeGateway, FakeHost};
use proptest::prelude::*;

const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const ME: RootId = RootId(1);

/// An export's surroundings.
struct Setup {
    host: FakeHost,
    shared: SharedSeries,
    config: Rc<ExportConfig>,
}

impl Setup {
    fn new() -> Self {
        let text = r#"{"version": 1, "ingest": {"cluster": "c", "compression": "none"}}"#;
        let host = FakeGateway::starting_at(START).worker(text);
        let plan = Plan::read(text, &PluginIdentity::default()).unwrap();
        let shared = SharedSeries::open(&host, plan.export.counters);
        Self { host, shared, config: plan.export }
    }

    fn sender(&self) -> Sender<'_> {
        Sender { config: &self.config, instance: "i", store: self.shared.store(), epoch: self.shared.epoch() }
    }

    /// Callouts that were dispatched since the last call.
    fn dispatched(&self) -> Vec<CalloutId> {
        self.host.take_sent().iter().map(|sent| sent.id).collect()
    }
}

/// Of the only destination.
fn delivery(log: &LogExport) -> DeliveryStats {
    let mut stats = WorkerStats::default();
    log.add_to(&mut stats);
    stats.deliveries[0]
}

fn answer(status: Option<u16>, body: &[u8]) -> CalloutAnswer {
    CalloutAnswer { status, body: body.to_vec(), ..CalloutAnswer::default() }
}

fn event(path: &str) -> Event<'_> {
    Event {
        weight: 1.0,
        start_ns: START,
        consumer: "acme",
        consumer_trusted: false,
        consumer_name: "",
        consumer_group: "",
        method: Method::new(b"GET"),
        method_original: "",
        direction: Direction::Inbound,
        scheme: Scheme::Http,
        server_address: "",
        server_port: None,
        protocol: None,
        upstream_cluster: "",
        route: "/",
        route_source: RouteSource::Inferred,
        path,
        query: "",
        status: Status(200),
        grpc_status: None,
        error: None,
        measurement: Measurement::default(),
        client_address: "",
        client_port: None,
        user_agent: "",
        request_id: "",
        response_flags: "",
        response_code_details: "",
        reported_error: "",
        reported_tags: "",
        trace: None,
        spans: None,
        request_headers: &[],
        response_headers: &[],
        request_body: None,
        response_body: None,
    }
}

/// A partial success that refuses one record.
const ONE_REJECTED: &[u8] = b"\x0a\x02\x08\x01";

#[derive(Clone, Debug)]
enum Step {
    Push { path_bytes: usize },
    Close,
    Send,
    Answer { status: Option<u16>, partial: bool },
    Unreachable,
    Requeue,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![Just(Some(200)), Just(Some(503)), Just(Some(400)), Just(None)];
    prop_oneof![
        4 => (1usize..1_500).prop_map(|path_bytes| Step::Push { path_bytes }),
        2 => Just(Step::Close),
        3 => Just(Step::Send),
        3 => (status, any::<bool>()).prop_map(|(status, partial)| Step::Answer { status, partial }),
        1 => Just(Step::Unreachable),
        1 => Just(Step::Requeue),
        1 => (0u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Captured events are sent, dropped for a reason, or held: at any moment, whatever happens. Memory is bounded by
    /// the queue's limit and the requests in flight.
    #[test]
    fn every_event_has_one_fate_and_memory_is_bounded(steps in prop::collection::vec(step(), 0..200)) {
        let mut setup = Setup::new();
        let mut config = Rc::into_inner(setup.config).unwrap();
        config.limits.queue_bytes = 4_000;
        setup.config = Rc::new(config);
        let mut log = LogExport::new(&setup.config, "i");
        let (mut now_ns, mut captured, mut settled) = (START, 0u64, 0u64);
        let mut in_flight = VecDeque::new();
        for step in steps {
            match step {
                Step::Push { path_bytes } => {
                    let path = "x".repeat(path_bytes);
                    let _ = log.push(&event(&path), now_ns, &setup.config);
                    captured += 1;
                }
                Step::Close => {
                    log.close(&setup.host, now_ns, setup.sender(), Closing::All);
                }
                Step::Send => {
                    log.send(&setup.host, ME, now_ns, setup.sender());
                    in_flight.extend(setup.dispatched());
                }
                Step::Answer { status, partial } => {
                    if let Some(id) = in_flight.pop_front() {
                        let body = if partial { ONE_REJECTED } else { b"" };
                        // A response that arrives twice has no further effect.
                        (0..2).for_each(|_| log.answered(&setup.host, id, &answer(status, body), now_ns, &setup.config));
                    }
                }
                Step::Unreachable => {
                    setup.host.refuse(Some(DispatchError::Unavailable));
                    log.send(&setup.host, ME, now_ns, setup.sender());
                    setup.host.refuse(None);
                }
                Step::Requeue => {
                    log.requeue(ME);
                    in_flight.clear();
                }
                Step::Wait(seconds) => now_ns += seconds * SECOND,
            }
            let counts = delivery(&log).events;
            prop_assert_eq!(counts.captured, captured);
            let fates: u64 = counts.fates().map(|(_, events)| events).sum();
            prop_assert_eq!(fates + counts.held(), captured);
            prop_assert!(fates >= settled, "a fate is final");
            settled = fates;
            prop_assert_eq!(counts.of(Fate::Dropped(DropReason::Lost)), 0);
            prop_assert!(in_flight.len() <= 2);
            // A batch here has at most a few thousand bytes; two may be in flight beyond the limit.
            prop_assert!(delivery(&log).queue_bytes <= 4_000 + 2 * 400_000);
            if in_flight.is_empty() {
                prop_assert!(delivery(&log).queue_bytes <= 4_000);
            }
        }
        // Once the receiver accepts, nothing stays held, whatever happened before.
        for _ in 0..400 {
            log.close(&setup.host, now_ns, setup.sender(), Closing::All);
            log.requeue(ME);
            now_ns += 20 * SECOND;
            log.send(&setup.host, ME, now_ns, setup.sender());
            for id in setup.dispatched() {
                log.answered(&setup.host, id, &answer(Some(200), b""), now_ns, &setup.config);
            }
        }
        prop_assert!(log.is_idle());
        prop_assert_eq!((delivery(&log).events.held(), delivery(&log).queue_bytes), (0, 0));
    }
}

#[test]
fn a_batch_counts_the_bodies_that_its_records_have() {
    let setup = Setup::new();
    let body = CapturedBody { size: 1, content: Ok("a".to_owned()) };
    let spans = Some(SpanIds::new(None, || 7));
    for (form, bodies) in [(RecordForm::Log, 2), (RecordForm::Span, 2), (RecordForm::SpanBesideLog, 0)] {
        let mut batch = LogBatch::new(&setup.config.resource, "i", Compression::None);
        let whole = Event { spans, request_body: Some(&body), ..event("/") };
        batch.push(&whole, form, START);
        let draft = encode_draft(&Event { spans, ..event("/") }, form);
        batch.push_late(&draft, [None, Some(&body)], START);
        assert_eq!((batch.events(), batch.bodies()), (2, bodies), "{form:?}");
    }
}

fn request() -> ExportRequest {
    ExportRequest {
        body: Rc::default(),
        compression: Compression::None,
        events: 0,
        bodies: 0,
        was_sent: false,
        sequence: None,
        closed_ns: START,
    }
}

fn value(slot: u32) -> Option<Vec<u8>> {
    Some(vec![slot as u8; 1_000])
}

/// A leader whose export request has had no response since then.
fn stuck_since(setup: &Setup, start_ns: u64) -> (CounterExport, CalloutId) {
    let mut counters = CounterExport::new(start_ns, 0, Temporality::Cumulative);
    counters.on_elected(start_ns);
    counters.take([], start_ns);
    counters.push(request(), Vec::new());
    counters.send(&setup.host, ME, start_ns, setup.sender());
    let [id] = setup.dispatched()[..] else { panic!("one request") };
    (counters, id)
}

/// All snapshots that are sent once the receiver accepts; empty ones are heartbeats.
fn drain(setup: &Setup, counters: &mut CounterExport, now_ns: u64) -> Vec<Snapshot> {
    let mut snapshots = Vec::new();
    while let Some(snapshot) = counters.next(now_ns, value).filter(|snapshot| !snapshot.series.is_empty()) {
        snapshots.push(snapshot);
        counters.push(request(), Vec::new());
        counters.send(&setup.host, ME, now_ns, setup.sender());
        for id in setup.dispatched() {
            counters.answered(&setup.host, id, &answer(Some(200), b""), now_ns, &setup.config);
        }
    }
    snapshots
}

#[test]
fn each_minute_of_an_outage_is_kept_and_sent_in_order() {
    let setup = Setup::new();
    let (mut counters, stuck) = stuck_since(&setup, 30 * SECOND);
    for second in 31..200u64 {
        counters.take([(second / 60) as u32], second * SECOND);
        counters.keep_minute(second * SECOND, value);
    }
    assert_eq!(counters.acknowledged_ns(), 30 * SECOND);
    let now_ns = 200 * SECOND;
    counters.answered(&setup.host, stuck, &answer(Some(200), b""), now_ns, &setup.config);
    let kept: Vec<_> = drain(&setup, &mut counters, now_ns)
        .into_iter()
        .map(|snapshot| {
            assert_eq!(snapshot.coarse_span_ns(), None);
            (snapshot.time_ns / SECOND, snapshot.series.into_keys().collect::<Vec<_>>())
        })
        .collect();
    // The first second of a minute is read with the minute before: the tick comes after its end.
    assert_eq!(kept, [(60, vec![0, 1]), (120, vec![1, 2]), (180, vec![2, 3]), (200, vec![3])]);
    counters.take([], now_ns);
    assert_eq!(counters.acknowledged_ns(), now_ns);
}

#[test]
fn a_history_beyond_its_bound_becomes_coarser_and_loses_no_series() {
    let setup = Setup::new();
    let (mut counters, stuck) = stuck_since(&setup, MINUTE);
    for minute in 2..700u64 {
        counters.take((0..30).map(|n| n + (minute as u32 % 2) * 30), minute * MINUTE);
        counters.keep_minute(minute * MINUTE, value);
    }
    counters.answered(&setup.host, stuck, &answer(Some(200), b""), 700 * MINUTE, &setup.config);
    let snapshots = drain(&setup, &mut counters, 700 * MINUTE);
    let bytes: usize = snapshots.iter().flat_map(|s| s.series.values()).map(|value| value.len() + 64).sum();
    assert!(bytes <= MAX_HISTORY_BYTES, "{bytes}");
    let spans: Vec<u64> = snapshots.iter().map(|snapshot| snapshot.span_ns / MINUTE).collect();
    assert_eq!(spans.iter().sum::<u64>(), 698);
    assert!(spans.iter().all(|minutes| *minutes <= 16), "evenly: {spans:?}");
    assert!(snapshots.iter().any(|snapshot| snapshot.coarse_span_ns().is_some()));
    assert_eq!(snapshots.iter().flat_map(|s| s.series.keys()).collect::<BTreeSet<_>>().len(), 60);
}

#[test]
fn a_large_snapshot_goes_in_several_requests() {
    let setup = Setup::new();
    let (mut counters, stuck) = stuck_since(&setup, MINUTE);
    counters.take(0..1_200, 2 * MINUTE);
    counters.keep_minute(2 * MINUTE, value);
    counters.answered(&setup.host, stuck, &answer(Some(200), b""), 3 * MINUTE, &setup.config);
    let sizes: Vec<usize> =
        drain(&setup, &mut counters, 3 * MINUTE).iter().map(|snapshot| snapshot.series.len()).collect();
    assert_eq!(sizes, [500, 500, 200]);
}

#[test]
fn refused_series_are_sent_again_with_later_ones() {
    let setup = Setup::new();
    let mut counters = CounterExport::new(MINUTE, 0, Temporality::Cumulative);
    counters.on_elected(MINUTE);
    counters.take([3, 5], MINUTE);
    counters.next(MINUTE, value).unwrap();
    counters.push(request(), Vec::new());
    counters.send(&setup.host, ME, MINUTE, setup.sender());
    let [id] = setup.dispatched()[..] else { panic!("one request") };
    let answered = counters.answered(&setup.host, id, &answer(Some(400), b""), MINUTE, &setup.config);
    assert_eq!(answered, Some(Answered::Refused));
    counters.take([7], 2 * MINUTE);
    let next = counters.next(2 * MINUTE, value).unwrap();
    assert_eq!(next.series.into_keys().collect::<Vec<_>>(), [3, 5, 7]);
}

#[test]
fn changes_that_an_ending_worker_could_not_send_are_handed_back() {
    let mut counters = CounterExport::new(MINUTE, 0, Temporality::Cumulative);
    counters.on_ending(2 * MINUTE);
    counters.take([3, 5], 2 * MINUTE + SECOND);
    assert_eq!(counters.on_lease_lost(), [3, 5]);
    // A leader that loses its lease hands nothing back: its successor exports all series.
    counters.on_elected(3 * MINUTE);
    counters.take([3, 5], 3 * MINUTE);
    assert_eq!(counters.on_lease_lost(), [0u32; 0]);
    assert!(counters.is_idle());
}

#[test]
fn a_follower_sends_nothing_of_its_own() {
    let mut counters = CounterExport::new(MINUTE, 0, Temporality::Cumulative);
    assert_eq!(counters.next(MINUTE + 3_600 * SECOND, value), None);
    counters.on_elected(MINUTE);
    assert!(counters.next(MINUTE + 3_600 * SECOND, value).is_some(), "a heartbeat is due");
}

#[test]
fn the_wait_between_attempts_grows_and_is_respected() {
    let setup = Setup::new();
    let mut log = LogExport::new(&setup.config, "i");
    let _ = log.push(&event("/"), START, &setup.config);
    log.close(&setup.host, START, setup.sender(), Closing::All);
    let mut attempts = Vec::new();
    for tenth in 0..1_000u64 {
        let now_ns = START + tenth * SECOND / 10;
        log.send(&setup.host, ME, now_ns, setup.sender());
        for id in setup.dispatched() {
            attempts.push(tenth);
            log.answered(&setup.host, id, &answer(Some(503), b""), now_ns, &setup.config);
        }
    }
    let waits: Vec<u64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((5..=16).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(45).as_millis() as u64 / 100), "{waits:?}");
    assert!(attempts.len() < 20, "{attempts:?}");
}
