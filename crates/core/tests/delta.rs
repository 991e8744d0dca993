//! Counters as changes: together they are the counts, over lost answers, refusals, elections and ends of workers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::{CalloutAnswer, PluginIdentity, SharedData, Version};
use gatelens_core::lifecycle::Plugin;
use gatelens_core::plan::Plan;
use gatelens_core::shared::FORMAT;
use gatelens_testkit::fake::{FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{Exported, attributes, metrics, numbers, points};
use gatelens_testkit::worker::Worker;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;

const START: u64 = 1_700_000_000_000_000_000;
const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

const ONE: &str =
    r#"{"version": 1, "ingest": {"cluster": "a", "temporality": "delta", "requests_as": "none"}}"#;

/// A destination with changes: what it has taken, by sequence number, and what one that recognises no repeats has.
#[derive(Default)]
struct Receiver {
    taken: BTreeMap<u64, Sent>,
    /// Requests that arrived, repeats included.
    arrived: usize,
}

impl Receiver {
    fn take(&mut self, sent: &Sent) {
        let sequence = sent.header("x-gatelens-sequence").parse().unwrap();
        self.arrived += 1;
        if let Some(before) = self.taken.insert(sequence, sent.clone()) {
            assert_eq!(before.body, sent.body, "a repeat has the same bytes");
        }
    }

    fn has(&self, sent: &Sent) -> bool {
        self.taken.contains_key(&sent.header("x-gatelens-sequence").parse().unwrap())
    }

    /// The sums of all changes, by route: requests by duration, requests by bound, bytes of responses, attempts. Their times do not
    /// overlap.
    fn sums(&self) -> BTreeMap<String, [u64; 4]> {
        let mut sums: BTreeMap<String, [u64; 4]> = BTreeMap::new();
        let mut until: BTreeMap<(String, String), u64> = BTreeMap::new();
        for export in self.taken.values() {
            let scopes =
                metrics(export).resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            for metric in scopes.flat_map(|scope| scope.metrics) {
                let mut add = |list: &[_], place: usize, value: u64, start: u64, time: u64| {
                    let route = attributes(list).remove("http.route").unwrap_or_default();
                    assert!(start <= time, "{} {route}: {start} to {time}", metric.name);
                    let before = until.insert((metric.name.clone(), route.clone()), time);
                    assert!(
                        before.is_none_or(|before| before <= start),
                        "{}: {before:?} {start}",
                        metric.name
                    );
                    sums.entry(route).or_default()[place] += value;
                };
                match &metric.data {
                    Some(Data::ExponentialHistogram(data)) => {
                        assert_eq!(data.aggregation_temporality, DELTA, "{}", metric.name);
                        if metric.name == "http.server.request.duration" {
                            for point in &data.data_points {
                                let buckets: u64 =
                                    point.positive.iter().flat_map(|buckets| &buckets.bucket_counts).sum();
                                assert_eq!(buckets + point.zero_count, point.count);
                                let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                                add(&point.attributes, 0, point.count, start, time);
                            }
                        }
                    }
                    Some(Data::Histogram(data)) => {
                        assert_eq!(data.aggregation_temporality, DELTA, "{}", metric.name);
                        for point in &data.data_points {
                            let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                            match metric.name.as_str() {
                                "gatelens.request.duration" => {
                                    let all = point.bucket_counts.iter().sum();
                                    add(&point.attributes, 1, all, start, time);
                                }
                                "http.server.response.body.size" => {
                                    add(&point.attributes, 2, point.sum.unwrap() as u64, start, time);
                                }
                                _ => {}
                            }
                        }
                    }
                    Some(Data::Sum(sum)) => {
                        let of_series = metric.name == "gatelens.upstream.attempts";
                        let expected = if of_series { DELTA } else { CUMULATIVE };
                        assert_eq!(sum.aggregation_temporality, expected, "{}", metric.name);
                    }
                    _ => {}
                }
            }
        }
        sums
    }
}

fn finish(worker: &Worker, route: &str) {
    use gatelens_testkit::fake::Attribute;
    worker.finish(
        FakeStream::new("GET", route, 200)
            .int(Attribute::RequestDuration, 40_000_000)
            .int(Attribute::ResponseSize, 7)
            .int(Attribute::Attempts, 1),
    );
}

/// The fate of a request on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// It arrives, and so does its answer.
    Whole,
    /// It arrives, and its answer is lost.
    AnswerLost,
    /// It does not arrive.
    Lost,
    /// It arrives and is refused: nothing of it is taken.
    Refused,
}

fn answer(worker: &Worker, receiver: &mut Receiver, mut way: impl FnMut() -> Way) {
    loop {
        let sent = worker.host.take_sent();
        if sent.is_empty() {
            return;
        }
        for request in sent {
            let way = match way() {
                // It recognises what it has.
                Way::Refused if receiver.has(&request) => Way::Whole,
                way => way,
            };
            if matches!(way, Way::Whole | Way::AnswerLost) {
                receiver.take(&request);
            }
            let status = match way {
                Way::Whole => Some(200),
                Way::Refused => Some(400),
                Way::AnswerLost | Way::Lost => None,
            };
            worker.host.answer_with(CalloutAnswer { status, ..CalloutAnswer::default() });
            let _ = worker.plugin.answered(&worker.host, request.id);
        }
    }
}

fn tick(worker: &Worker, receiver: &mut Receiver, way: Way) {
    worker.plugin.tick(&worker.host);
    answer(worker, receiver, || way);
}

#[test]
fn changes_are_the_counts_and_their_times_follow_one_another() {
    let worker = Worker::start(&FakeGateway::starting_at(START), ONE);
    let mut receiver = Receiver::default();
    for second in 0..50 {
        finish(&worker, "/a");
        if second % 7 == 0 {
            finish(&worker, "/b");
        }
        worker.gateway.wait(Duration::from_secs(1));
        tick(&worker, &mut receiver, Way::Whole);
    }
    worker.gateway.wait(Duration::from_secs(1));
    tick(&worker, &mut receiver, Way::Whole);
    let sums = receiver.sums();
    assert_eq!((sums["/a"], sums["/b"]), ([50, 50, 350, 0], [8, 8, 56, 0]));
    let sent: Vec<Sent> = receiver.taken.into_values().collect();
    assert!(
        numbers(&sent)["gatelens.workers"] == 1.0 && sent.iter().all(|sent| sent.path() == "/v1/metrics")
    );
}

#[test]
fn a_lost_answer_repeats_the_same_bytes_and_a_refusal_is_covered_later() {
    let worker = Worker::start(&FakeGateway::starting_at(START), ONE);
    let mut receiver = Receiver::default();
    let ways =
        [Way::Whole, Way::AnswerLost, Way::AnswerLost, Way::Lost, Way::Refused, Way::Refused, Way::Whole];
    let mut answers = ways.iter().cycle().copied();
    for _ in 0..200 {
        finish(&worker, "/a");
        worker.gateway.wait(Duration::from_secs(3));
        worker.plugin.tick(&worker.host);
        answer(&worker, &mut receiver, || answers.next().unwrap());
    }
    for _ in 0..30 {
        worker.gateway.wait(Duration::from_secs(30));
        tick(&worker, &mut receiver, Way::Whole);
    }
    assert_eq!(receiver.sums()["/a"], [200, 200, 1400, 0]);
    assert!(receiver.arrived > receiver.taken.len(), "something was repeated");
}

#[test]
fn a_new_leader_repeats_what_a_lost_one_had_sent() {
    let gateway = FakeGateway::starting_at(START);
    let (lost, other) = (Worker::start(&gateway, ONE), Worker::start(&gateway, ONE));
    let mut receiver = Receiver::default();
    for worker in [&lost, &other] {
        finish(worker, "/a");
        worker.plugin.tick(&worker.host);
        answer(worker, &mut receiver, || Way::Whole);
    }
    finish(&lost, "/a");
    finish(&other, "/a");
    gateway.wait(Duration::from_secs(1));
    other.plugin.tick(&other.host);
    lost.plugin.tick(&lost.host);
    // The batch arrives, and then a trap takes the worker that would have had the answer.
    let sent = lost.host.take_sent();
    assert_eq!(sent.len(), 1);
    receiver.take(&sent[0]);
    std::mem::forget(lost);
    for _ in 0..40 {
        finish(&other, "/a");
        gateway.wait(Duration::from_secs(1));
        tick(&other, &mut receiver, Way::Whole);
    }
    gateway.wait(Duration::from_secs(1));
    tick(&other, &mut receiver, Way::Whole);
    assert_eq!(receiver.sums()["/a"][0], 44);
    assert_eq!(receiver.arrived, receiver.taken.len() + 1, "one batch was repeated");
}

#[test]
fn workers_that_end_lose_no_changes() {
    let gateway = FakeGateway::starting_at(START);
    let mut workers: Vec<Option<Worker>> = (0..3).map(|_| Some(Worker::start(&gateway, ONE))).collect();
    let mut receiver = Receiver::default();
    for round in 0..3 {
        for _ in 0..10 {
            for worker in workers.iter().flatten() {
                finish(worker, "/a");
            }
            gateway.wait(Duration::from_secs(1));
            workers.iter().flatten().for_each(|worker| tick(worker, &mut receiver, Way::Whole));
        }
        let ending = workers[round].take().unwrap();
        finish(&ending, "/a");
        let sent = ending.stop(Some(200));
        sent.iter().for_each(|sent| receiver.take(sent));
    }
    assert_eq!(receiver.sums()["/a"][0], 30 + 20 + 10 + 3);
    assert_eq!(receiver.arrived, receiver.taken.len());
}

#[test]
fn a_follower_that_ends_leaves_its_changes_to_the_leader_and_is_done() {
    let gateway = FakeGateway::starting_at(START);
    let (leader, follower) = (Worker::start(&gateway, ONE), Worker::start(&gateway, ONE));
    let mut receiver = Receiver::default();
    for worker in [&leader, &follower] {
        tick(worker, &mut receiver, Way::Whole);
        finish(worker, "/a");
    }
    // Ticks for a worker that no root context uses any more.
    let keeper = Plugin::new(Rc::clone(&follower.registry));
    let Worker { host, mut plugin, registry, .. } = follower;
    let _ = plugin.done(&host);
    assert!(!registry.is_delivered());
    gateway.wait(Duration::from_secs(1));
    keeper.tick(&host);
    assert!(registry.is_delivered() && host.take_sent().is_empty());
    tick(&leader, &mut receiver, Way::Whole);
    gateway.wait(Duration::from_secs(1));
    tick(&leader, &mut receiver, Way::Whole);
    assert_eq!(receiver.sums()["/a"][0], 2);
}

#[test]
fn a_request_that_cannot_begin_takes_no_report_of_redaction_with_it() {
    let configuration = r#"{"version": 1, "ingest": {"cluster": "a", "temporality": "delta", "requests_as": "none"},
        "redact": {"keys": ["voucher"]}}"#;
    let worker = Worker::start(&FakeGateway::starting_at(START), configuration);
    let counters = Plan::read(configuration, &PluginIdentity::default()).unwrap().export.counters;
    let row = format!("gatelens/{FORMAT}/{:016x}/delta/0", counters.0).into_bytes();
    // Nobody can read that.
    worker.host.shared_set(&row, b"\xff", Version::ABSENT).unwrap();
    finish(&worker, "/a");
    assert!(worker.deliver_after(Duration::from_secs(1)).is_empty());
    let (_, version) = worker.host.shared_get(&row).unwrap();
    worker.host.shared_set(&row, &[1, 0], version).unwrap();
    let sent = worker.deliver_after(Duration::from_secs(1));
    assert!(points(&sent, "gatelens.redaction.hits").contains_key("keys:voucher"), "{}", sent.len());
}

#[test]
fn an_export_without_a_change_does_not_set_the_time_of_a_series_back() {
    let gateway = FakeGateway::starting_at(START);
    let workers: Vec<Worker> = (0..2).map(|_| Worker::start(&gateway, ONE)).collect();
    let mut receiver = Receiver::default();
    gateway.wait(Duration::from_secs(34));
    tick(&workers[0], &mut receiver, Way::AnswerLost);
    finish(&workers[1], "/a");
    gateway.wait(Duration::from_secs(7));
    tick(&workers[1], &mut receiver, Way::Whole);
    gateway.wait(Duration::from_secs(4));
    finish(&workers[1], "/a");
    for _ in 0..10 {
        gateway.wait(Duration::from_secs(5));
        workers.iter().for_each(|worker| tick(worker, &mut receiver, Way::Whole));
    }
    assert_eq!(receiver.sums()["/a"][0], 2);
}

#[derive(Clone, Debug)]
enum Step {
    Request(usize),
    Tick(usize, Way),
    Wait(u64),
    Restart(usize, Way),
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![5 => Just(Way::Whole), 1 => Just(Way::AnswerLost), 1 => Just(Way::Lost), 1 => Just(Way::Refused)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3).prop_map(Step::Request),
        6 => ((0usize..3), way()).prop_map(|(worker, way)| Step::Tick(worker, way)),
        3 => (1u64..8).prop_map(Step::Wait),
        1 => ((0usize..3), way()).prop_map(|(worker, way)| Step::Restart(worker, way)),
    ]
}

/// The requests that changes taken once add up to, and those that there were.
fn counted(steps: Vec<Step>) -> (u64, u64) {
    let gateway = FakeGateway::starting_at(START);
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::start(&gateway, ONE)).collect();
    let (mut receiver, mut requests) = (Receiver::default(), 0u64);
    for step in steps {
        match step {
            Step::Request(worker) => {
                finish(&workers[worker], "/a");
                requests += 1;
            }
            Step::Tick(worker, way) => tick(&workers[worker], &mut receiver, way),
            Step::Wait(seconds) => gateway.wait(Duration::from_secs(seconds)),
            Step::Restart(place, way) => {
                let ending = std::mem::replace(&mut workers[place], Worker::start(&gateway, ONE));
                let Worker { host, mut plugin, .. } = ending;
                let _ = plugin.done(&host);
                let ended = Worker { gateway: gateway.clone(), host, plugin, registry: Default::default() };
                answer(&ended, &mut receiver, || way);
                let Worker { host, mut plugin, .. } = ended;
                plugin.gone(&host);
            }
        }
    }
    for _ in 0..60 {
        gateway.wait(Duration::from_secs(5));
        workers.iter().for_each(|worker| tick(worker, &mut receiver, Way::Whole));
    }
    (receiver.sums().get("/a").map_or(0, |sums| sums[0]), requests)
}

#[test]
fn a_minute_that_a_former_leader_kept_does_not_set_what_is_acknowledged_back() {
    let steps = vec![
        Step::Wait(33),
        Step::Tick(1, Way::Lost),
        Step::Wait(7),
        Step::Request(1),
        Step::Tick(1, Way::AnswerLost),
        Step::Request(2),
        Step::Wait(4),
        Step::Tick(2, Way::Whole),
        Step::Restart(1, Way::Whole),
    ];
    assert_eq!(counted(steps), (2, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// For a receiver that recognises repeats, whatever happens to requests, answers and workers.
    #[test]
    fn changes_that_are_taken_once_are_the_counts(steps in prop::collection::vec(step(), 0..120)) {
        let (counted, requests) = counted(steps);
        prop_assert_eq!(counted, requests);
    }
}
