//! The lease of the leader: the time that an export covers, whichever worker exports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Ending, Plugin};
use gatelens_testkit::fake::{FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{counts, exports_of, numbers, streams};
use gatelens_testkit::worker::Worker;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};

const CONFIGURATION: &str = r#"{"version": 1, "ingest": {"cluster": "c", "compression": "none"}}"#;
const OTHER_COUNTERS: &str =
    r#"{"version": 1, "service": {"name": "other"}, "ingest": {"cluster": "c", "compression": "none"}}"#;
const START: u64 = 1_700_000_000_000_000_000;

/// Workers of one gateway, and their accepted exports.
struct Fleet {
    gateway: FakeGateway,
    workers: Vec<Option<Worker>>,
    accepted: Vec<Sent>,
    status: u16,
    requests: u64,
}

impl Fleet {
    fn of(workers: usize) -> Self {
        let gateway = FakeGateway::starting_at(START);
        let workers = (0..workers).map(|_| Some(Worker::start(&gateway, CONFIGURATION))).collect();
        Self { gateway, workers, accepted: Vec::new(), status: 200, requests: 0 }
    }

    fn worker(&self, index: usize) -> &Worker {
        self.workers[index].as_ref().unwrap()
    }

    /// One second: a request on each of these workers, then their ticks.
    fn second(&mut self, ticking: &[usize]) {
        for index in ticking {
            self.request(*index);
        }
        self.gateway.wait(Duration::from_secs(1));
        for index in ticking {
            self.tick(*index);
        }
    }

    fn request(&mut self, index: usize) {
        self.worker(index).finish(FakeStream::new("GET", "/a", 200));
        self.requests += 1;
    }

    fn tick(&mut self, index: usize) {
        let sent = self.worker(index).tick_answering(Some(self.status));
        self.answered(sent);
    }

    /// Ends the root context of a worker, which gets no other one.
    fn stop(&mut self, index: usize) {
        let sent = self.workers[index].take().unwrap().stop(Some(self.status));
        self.answered(sent);
    }

    /// Replaces the root context of a worker by one with other counters: the old ones become orphans.
    fn replace(&mut self, index: usize) {
        let status = Some(self.status);
        let sent = self.workers[index].as_mut().unwrap().replace(OTHER_COUNTERS, status);
        self.answered(sent);
    }

    fn answered(&mut self, sent: Vec<Sent>) {
        if self.status == 200 {
            self.accepted.extend(sent);
        }
    }

    /// Intervals that were stated, in seconds.
    fn intervals(&self) -> Vec<i64> {
        exports_of(&self.accepted, "gatelens.interval")
            .into_iter()
            .map(|data| match data {
                Data::Gauge(gauge) => match gauge.data_points[0].value.unwrap() {
                    number_data_point::Value::AsInt(seconds) => seconds,
                    number_data_point::Value::AsDouble(seconds) => panic!("{seconds}"),
                },
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Requests that the accepted values of the one series add up to, in the epoch with the most.
    fn counted(&self) -> u64 {
        let streams = streams(&self.accepted, "http.server.request.duration");
        streams.into_values().map(|point| point.count).max().unwrap_or(0)
    }
}

#[test]
fn a_worker_that_regains_the_lease_does_not_claim_the_time_of_another() {
    let mut fleet = Fleet::of(2);
    (0..30).for_each(|_| fleet.second(&[0]));
    // The first worker is held up for some seconds, so the second is elected and leads for twelve minutes.
    (0..10).for_each(|_| fleet.second(&[1]));
    (0..720).for_each(|_| fleet.second(&[0, 1]));
    // Then the second one is held up.
    (0..30).for_each(|_| fleet.second(&[0]));
    assert_eq!(fleet.intervals(), [0i64; 0]);
    assert_eq!(fleet.counted(), fleet.requests);
}

#[test]
fn the_final_export_of_a_worker_does_not_claim_the_time_of_another() {
    for stops in [true, false] {
        let mut fleet = Fleet::of(2);
        (0..30).for_each(|_| fleet.second(&[0]));
        (0..10).for_each(|_| fleet.second(&[1]));
        (0..720).for_each(|_| fleet.second(&[0, 1]));
        fleet.request(0);
        if stops {
            fleet.stop(0);
            (0..30).for_each(|_| fleet.second(&[1]));
        } else {
            fleet.replace(0);
            let counted = fleet.requests;
            // The new counters have an epoch of their own, with other requests.
            (0..30).for_each(|_| fleet.second(&[0, 1]));
            fleet.requests = counted + 30;
        }
        assert_eq!(fleet.intervals(), [0i64; 0], "stops: {stops}");
        assert_eq!(fleet.counted(), fleet.requests, "stops: {stops}");
    }
}

#[test]
fn an_hour_in_which_the_lease_changes_often_has_no_coarse_interval() {
    let mut fleet = Fleet::of(2);
    let mut elections = 0;
    let mut held_up = 0;
    for second in 0..3_600u32 {
        // Each worker in turn is held up for five to eleven seconds, which is longer than a lease.
        let cycle = second % 23;
        if cycle < 5 + second / 23 % 7 {
            fleet.second(&[1 - held_up]);
        } else {
            fleet.second(&[0, 1]);
        }
        if cycle == 22 {
            held_up = 1 - held_up;
            elections += 1;
        }
    }
    assert!(elections > 150);
    assert_eq!(fleet.intervals(), [0i64; 0]);
    (0..10).for_each(|_| fleet.second(&[0, 1]));
    fleet.tick(1 - held_up);
    fleet.tick(held_up);
    assert_eq!(fleet.counted(), fleet.requests);
}

#[test]
fn an_idle_outage_with_another_leader_at_its_end_claims_nothing() {
    let mut fleet = Fleet::of(2);
    (0..30).for_each(|_| fleet.second(&[0]));
    fleet.status = 503;
    // Nothing is counted while the ingest is away, so every count has a known minute.
    for _ in 0..600 {
        fleet.gateway.wait(Duration::from_secs(1));
        fleet.tick(0);
    }
    fleet.status = 200;
    (0..60).for_each(|_| fleet.second(&[1]));
    assert_eq!(fleet.intervals(), [0i64; 0]);
    assert_eq!(fleet.counted(), fleet.requests);
}

#[test]
fn an_outage_that_ends_under_another_leader_is_stated() {
    let mut fleet = Fleet::of(2);
    (0..30).for_each(|_| fleet.second(&[0]));
    fleet.status = 503;
    (0..600).for_each(|_| fleet.second(&[0]));
    // The leader is lost with the minutes that it kept.
    fleet.workers[0] = None;
    fleet.status = 200;
    (0..60).for_each(|_| fleet.second(&[1]));
    let intervals = fleet.intervals();
    assert!(matches!(&intervals[..], [600..=660]), "{intervals:?}");
    assert_eq!(fleet.counted(), fleet.requests);
}

/// Envoy gives each listener a root context of its own, and all of them tick the one worker of their counters.
#[test]
fn root_contexts_of_one_worker_do_not_take_the_lease_from_each_other() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, CONFIGURATION);
    let mut second = Plugin::new(Rc::clone(&worker.registry));
    assert!(second.configure(&worker.host));
    let tick_both = || {
        gateway.wait(Duration::from_secs(1));
        let mut sent = worker.tick_answering(Some(200));
        second.tick(&worker.host);
        for request in worker.host.take_sent() {
            worker.host.answer_with(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
            let _ = second.answered(&worker.host, request.id);
            sent.push(request);
        }
        sent
    };
    (0..50).for_each(|n| worker.finish(FakeStream::new("GET", &format!("/r{n}/x"), 200)));
    assert_eq!(counts(&tick_both()).len(), 50);
    // From then on an export has the one series that changes, whichever root context ticks.
    for _ in 0..20 {
        worker.finish(FakeStream::new("GET", "/r7/x", 200));
        let exported = counts(&tick_both());
        assert_eq!(exported.len(), 1, "{exported:?}");
    }
    // A root context that ends leaves the lead to the worker that stays.
    let _ = second.done(&worker.host);
    second.gone(&worker.host);
    worker.finish(FakeStream::new("GET", "/r7/x", 200));
    assert_eq!(counts(&worker.deliver_after(Duration::from_secs(1))).len(), 1);
}

#[test]
fn changes_that_an_ending_worker_could_not_send_are_exported_by_the_leader() {
    let mut fleet = Fleet::of(2);
    (0..30).for_each(|_| fleet.second(&[0, 1]));
    fleet.request(1);
    fleet.status = 503;
    fleet.stop(1);
    fleet.status = 200;
    for _ in 0..60 {
        fleet.gateway.wait(Duration::from_secs(1));
        fleet.tick(0);
    }
    assert_eq!(fleet.counted(), fleet.requests);
}

#[test]
fn changes_refused_after_an_ending_worker_became_a_follower_are_exported() {
    let mut fleet = Fleet::of(2);
    (0..30).for_each(|_| fleet.second(&[0, 1]));
    fleet.worker(1).finish(FakeStream::new("GET", "/only", 200));
    let worker = fleet.workers[1].as_mut().unwrap();
    let mut new = Plugin::new(Rc::clone(&worker.registry));
    worker.host.set_configuration(OTHER_COUNTERS);
    assert!(new.configure(&worker.host));
    let mut old = std::mem::replace(&mut worker.plugin, new);
    let _ = old.done(&worker.host);
    let sent = worker.host.take_sent();
    fleet.gateway.wait(Duration::from_millis(500));
    let worker = fleet.worker(1);
    worker.plugin.tick(&worker.host);
    for request in &sent {
        worker.host.answer_with(CalloutAnswer { status: Some(500), ..CalloutAnswer::default() });
        let _ = old.answered(&worker.host, request.id);
    }
    old.gone(&worker.host);
    let mut all = Vec::new();
    for _ in 0..60 {
        fleet.gateway.wait(Duration::from_secs(1));
        all.extend([0, 1].into_iter().flat_map(|index| fleet.worker(index).tick_answering(Some(200))));
    }
    let exported = counts(&all);
    assert!(exported.keys().any(|series| series.get("http.route").is_some_and(|route| route == "/only")));
}

#[test]
fn minutes_of_refusals_are_stated() {
    let mut fleet = Fleet::of(1);
    (0..30).for_each(|_| fleet.second(&[0]));
    fleet.status = 401;
    (0..600).for_each(|_| fleet.second(&[0]));
    fleet.status = 200;
    (0..60).for_each(|_| fleet.second(&[0]));
    let intervals = fleet.intervals();
    assert!(matches!(&intervals[..], [590..=660]), "{intervals:?}");
    assert_eq!(fleet.counted(), fleet.requests);
}

/// Answers requests with 200 to the root context that sent them.
fn accept(worker: &Worker, root: &Plugin, sent: &[Sent]) -> Ending {
    let mut ending = Ending::WhenAnswered;
    for request in sent {
        worker.host.answer_with(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
        ending = root.answered(&worker.host, request.id);
    }
    ending
}

#[test]
fn two_root_contexts_that_end_with_answers_outstanding_lose_no_event() {
    let gateway = FakeGateway::starting_at(START);
    let leader = Worker::start(&gateway, CONFIGURATION);
    leader.deliver_after(Duration::from_secs(1));
    let mut one = Worker::start(&gateway, CONFIGURATION);
    let mut two = Plugin::new(Rc::clone(&one.registry));
    assert!(two.configure(&one.host));
    // A batch in flight from each root context.
    one.finish(FakeStream::new("GET", "/a", 200));
    gateway.wait(Duration::from_secs(3));
    one.plugin.tick(&one.host);
    let of_one = one.host.take_sent();
    one.finish(FakeStream::new("GET", "/a", 200));
    gateway.wait(Duration::from_secs(3));
    two.tick(&one.host);
    let of_two = one.host.take_sent();
    assert!(!of_one.is_empty() && !of_two.is_empty());
    assert_eq!(one.plugin.done(&one.host), Ending::WhenAnswered);
    assert_eq!(two.done(&one.host), Ending::WhenAnswered);
    let of_two = [of_two, one.host.take_sent()].concat();
    let ending = accept(&one, &one.plugin, &of_one);
    let more = one.host.take_sent();
    assert_eq!(if more.is_empty() { ending } else { accept(&one, &one.plugin, &more) }, Ending::Now);
    one.plugin.gone(&one.host);
    let ending = accept(&one, &two, &of_two);
    let more = one.host.take_sent();
    assert_eq!(if more.is_empty() { ending } else { accept(&one, &two, &more) }, Ending::Now);
    two.gone(&one.host);
    let reports =
        [leader.deliver_after(Duration::from_secs(20)), leader.deliver_after(Duration::from_secs(20))];
    let last = numbers(&reports.concat());
    assert_eq!((last["gatelens.events.captured"], last["sent"], last["lost"]), (2.0, 2.0, 0.0), "{last:?}");
}

/// Twenty listeners have twenty root contexts. After a pause of the process all of their timers are due at once.
#[test]
fn many_root_contexts_after_a_pause_take_no_worker_for_lost() {
    let gateway = FakeGateway::starting_at(START);
    let leader = Worker::start(&gateway, CONFIGURATION);
    let other = Worker::start(&gateway, CONFIGURATION);
    let roots: Vec<Plugin> = (0..19)
        .map(|_| {
            let mut root = Plugin::new(Rc::clone(&leader.registry));
            assert!(root.configure(&leader.host));
            root
        })
        .collect();
    for _ in 0..10 {
        leader.deliver_after(Duration::from_millis(500));
        other.tick_answering(Some(200));
    }
    gateway.wait(Duration::from_secs(60));
    leader.tick_answering(Some(200));
    roots.iter().for_each(|root| root.tick(&leader.host));
    leader.answer_all(Some(200));
    other.deliver_after(Duration::from_millis(1));
    assert_eq!(numbers(&leader.deliver_after(Duration::from_secs(11)))["gatelens.workers.lost"], 0.0);
}

#[test]
fn a_rollback_counts_no_failure_twice() {
    let gateway = FakeGateway::starting_at(START);
    let mut worker = Worker::start(&gateway, CONFIGURATION);
    worker.finish(FakeStream::new("GET", "/a", 200));
    gateway.wait(Duration::from_secs(1));
    worker.tick_answering(Some(400));
    (0..30).for_each(|_| drop(worker.deliver_after(Duration::from_secs(1))));
    let failures = |sent: &[Sent]| numbers(sent)["gatelens.export.failures"];
    let before = failures(&worker.deliver_after(Duration::from_secs(20)));
    assert!(before > 0.0);
    worker.replace(OTHER_COUNTERS, Some(200));
    // The old counters deregister; the answer to their final report is outstanding when they come back.
    worker.deliver_after(Duration::from_secs(1));
    gateway.wait(Duration::from_secs(1));
    worker.plugin.tick(&worker.host);
    worker.replace(CONFIGURATION, Some(200));
    (0..5).for_each(|_| drop(worker.deliver_after(Duration::from_secs(1))));
    assert_eq!(failures(&worker.deliver_after(Duration::from_secs(20))), before);
}

#[test]
fn a_raised_cap_ends_the_overflow_of_every_worker() {
    let small = r#"{"version": 1, "ingest": {"cluster": "c", "compression": "none"}, "counters": {"max_series": 20}}"#;
    let gateway = FakeGateway::starting_at(START);
    let first = Worker::start(&gateway, small);
    let mut second = Worker::start(&gateway, small);
    (0..20).for_each(|n| first.finish(FakeStream::new("GET", "/a", 200 + n)));
    first.deliver_after(Duration::from_secs(1));
    second.finish(FakeStream::new("GET", "/late", 200));
    second.deliver_after(Duration::from_secs(1));
    second.replace(CONFIGURATION, Some(200));
    second.finish(FakeStream::new("GET", "/late", 200));
    second.deliver_after(Duration::from_secs(1));
    let exported = counts(&first.deliver_after(Duration::from_secs(1)));
    assert!(
        exported.keys().any(|series| series.get("http.route").is_some_and(|route| route == "/late")),
        "{exported:?}"
    );
}
