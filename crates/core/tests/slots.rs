//! How series get slots and give them back: exact in sum, whatever happens meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gatelens_core::counters::{NameKind, Series};
use gatelens_testkit::fake::{FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{Attributes, counts, numbers, streams};
use gatelens_testkit::worker::Worker;
use proptest::prelude::*;

const START: u64 = 1_700_000_000_000_000_000;
const DURATION: &str = "http.server.request.duration";

fn configuration(routes: &str, counters: &str) -> String {
    format!(
        r#"{{"version": 1, "ingest": {{"cluster": "c", "compression": "none"}}, "routes": {{{routes}}}, "counters": {{{counters}}}}}"#
    )
}

fn get(path: &str) -> FakeStream {
    FakeStream::new("GET", path, 200)
}

fn by(consumer: &str, path: &str) -> FakeStream {
    get(path).header("x-consumer-id", consumer)
}

fn route_is<'a>(wanted: &'a str) -> impl Fn(Series<'_>) -> bool + 'a {
    move |series| matches!(series, Series::Exact(dimensions) if NameKind::Route.of(&dimensions) == Some(wanted))
}

/// Ticks all workers, a second apart, until the leader has exported all that was merged.
fn settle(gateway: &FakeGateway, workers: &[Worker], sent: &mut Vec<Sent>) {
    for _ in 0..4 {
        gateway.wait(Duration::from_secs(1));
        sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
    }
}

/// Requests by the value of an attribute; those without it under `-`.
fn by_attribute(counts: &BTreeMap<Attributes, u64>, name: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (series, count) in counts {
        *sums.entry(series.get(name).cloned().unwrap_or_else(|| "-".to_owned())).or_default() += count;
    }
    sums
}

#[test]
fn configured_templates_keep_their_rows_after_a_flood_of_other_paths() {
    let templates: Vec<String> = (0..50).map(|n| format!("/api/r{n}/{{id}}")).collect();
    let text = configuration(
        &format!(r#""templates": {templates:?}"#),
        r#""max_series": 400, "max_routes": 100, "max_consumers": 30"#,
    );
    let gateway = FakeGateway::starting_at(START);
    let workers = [Worker::start(&gateway, &text), Worker::start(&gateway, &text)];
    let mut sent = Vec::new();
    for n in 0..5_000 {
        for _ in 0..2 {
            workers[n % 2].finish(by(&format!("attacker-{n}"), &format!("/scan-{n}/wp-login")));
        }
        if n % 500 == 0 {
            settle(&gateway, &workers, &mut sent);
        }
    }
    settle(&gateway, &workers, &mut sent);
    let before = counts(&sent);
    assert_eq!(before.values().sum::<u64>(), 10_000);
    for round in 0..3 {
        for n in 0..50 {
            let (worker, path) = (&workers[n % 2], format!("/api/r{n}/{round}"));
            worker.finish(by(&format!("customer-{n}"), &path));
            worker.finish(FakeStream::new("POST", &path, 201));
            worker.finish(FakeStream::new("GET", &path, 404));
        }
        settle(&gateway, &workers, &mut sent);
    }
    let counted = counts(&sent);
    assert_eq!(counted.values().sum::<u64>(), 10_000 + 450);
    let by_route = by_attribute(&counted, "http.route");
    for n in 0..50 {
        assert_eq!(by_route.get(&format!("/api/r{n}/{{id}}")), Some(&9), "{n}: {by_route:?}");
    }
    let statuses = by_attribute(&counted, "http.response.status_code");
    assert_eq!((statuses["201"], statuses["404"]), (150, 150));
    assert!(numbers(&sent)["gatelens.series"] <= 400.0);
}

#[test]
fn templates_for_several_methods_of_a_path_share_a_slot() {
    let text = configuration(
        r#""templates": ["GET /a", "PUT /a", "POST /a", "DELETE /a"]"#,
        r#""max_routes": 3, "max_consumers": 30"#,
    );
    let gateway = FakeGateway::starting_at(START);
    let workers = [Worker::start(&gateway, &text)];
    let mut sent = Vec::new();
    for path in ["/b", "/c", "/b", "/c", "/a"] {
        workers[0].finish(get(path));
        settle(&gateway, &workers, &mut sent);
    }
    let by_route = by_attribute(&counts(&sent), "http.route");
    for path in ["/a", "/b", "/c"] {
        assert!(by_route.get(path).is_some_and(|requests| *requests > 0), "{path}: {by_route:?}");
    }
}

#[test]
fn names_that_come_once_take_no_slots_from_names_that_come_again() {
    let text = configuration(r#""infer": true"#, r#""max_routes": 10, "max_consumers": 10"#);
    let gateway = FakeGateway::starting_at(START);
    let workers = [Worker::start(&gateway, &text), Worker::start(&gateway, &text)];
    let mut sent = Vec::new();
    let words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];
    for (n, word) in words.iter().cycle().take(800).enumerate() {
        workers[n % 2].finish(by(&format!("scanner-{n}"), &format!("/scan/{}", words_of(n))));
        if n > 100 {
            workers[n % 2].finish(by(word, &format!("/{word}")));
        }
        if n % 40 == 0 {
            settle(&gateway, &workers, &mut sent);
        }
    }
    settle(&gateway, &workers, &mut sent);
    let counted = counts(&sent);
    assert_eq!(counted.values().sum::<u64>(), 800 + 699);
    // Six scanners came first. Of the eight names with traffic, four find a slot at once.
    for name in ["http.route", "gatelens.consumer.id"] {
        let names = by_attribute(&counted, name);
        let frequent = names.keys().filter(|name| words.contains(&name.trim_start_matches('/'))).count();
        assert!(frequent >= 4, "{names:?}");
    }
}

/// Different words for different numbers, which no shape of an identifier matches.
fn words_of(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 20) as u8);
    format!("x{}{}{}", letter(n), letter(n / 20), letter(n / 400))
}

#[test]
fn a_retired_series_gives_its_slot_to_another_once_its_values_are_acknowledged() {
    let text = configuration("", r#""max_series": 4"#);
    let gateway = FakeGateway::starting_at(START);
    let workers = [Worker::start(&gateway, &text), Worker::start(&gateway, &text)];
    let mut sent = Vec::new();
    let all = |paths: &[&str], sent: &mut Vec<Sent>| {
        for path in paths {
            workers.iter().for_each(|worker| worker.finish(get(path)));
        }
        settle(&gateway, &workers, sent);
    };
    all(&["/a", "/b", "/c", "/d"], &mut sent);
    let keys = gateway.shared_keys();
    all(&["/e", "/a"], &mut sent);
    let routes = |sent: &[Sent]| by_attribute(&counts(sent), "http.route");
    assert_eq!(routes(&sent)["-"], 2, "no slot is free");

    workers[1].plugin.retire(&workers[1].host, route_is("/a"));
    // While the receiver accepts nothing, the slot stays taken.
    for _ in 0..5 {
        gateway.wait(Duration::from_secs(1));
        workers.iter().for_each(|worker| drop(worker.tick_answering(Some(503))));
    }
    all(&["/e"], &mut sent);
    gateway.wait(Duration::from_secs(60));
    settle(&gateway, &workers, &mut sent);
    all(&["/e", "/e"], &mut sent);
    let after = routes(&sent);
    assert_eq!((after["/a"], after["-"] + after["/e"]), (4, 8), "{after:?}");
    assert!(after["/e"] >= 4, "{after:?}");
    // The series that comes back begins anew when there is a slot again.
    workers[0].plugin.retire(&workers[0].host, route_is("/b"));
    settle(&gateway, &workers, &mut sent);
    all(&["/a", "/a"], &mut sent);
    let after = routes(&sent);
    assert_eq!(after.values().sum::<u64>(), 22, "{after:?}");
    let starts: BTreeSet<u64> = streams(&sent, DURATION)
        .into_keys()
        .filter(|(series, _)| series.get("http.route").is_some_and(|route| route == "/a"))
        .map(|(_, start)| start)
        .collect();
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert!(starts.contains(&START), "the first one is that of the epoch");
    // Two series of overflow and the row of the directory.
    assert!(gateway.shared_keys() <= keys + 3, "{} after {keys}", gateway.shared_keys());
    assert_eq!(numbers(&sent)["gatelens.series"], 4.0);
}

#[test]
fn a_series_that_comes_back_in_a_lower_slot_has_that_one_alone() {
    let text = configuration("", "");
    let gateway = FakeGateway::starting_at(START);
    let workers = [Worker::start(&gateway, &text), Worker::start(&gateway, &text)];
    let [leader, other] = &workers;
    let mut sent = Vec::new();
    leader.finish(get("/a"));
    settle(&gateway, &workers, &mut sent);
    leader.finish(get("/b"));
    settle(&gateway, &workers, &mut sent);
    // The other worker sees nothing of this until `/b` is where `/a` was.
    leader.plugin.retire(&leader.host, |_| true);
    (0..3).for_each(|_| sent.extend(leader.deliver_after(Duration::from_secs(1))));
    leader.finish(get("/b"));
    sent.extend(leader.deliver_after(Duration::from_secs(1)));
    other.finish(get("/b"));
    settle(&gateway, &workers, &mut sent);
    assert_eq!(
        by_attribute(&counts(&sent), "http.route"),
        BTreeMap::from([("/a".into(), 1), ("/b".into(), 3)])
    );
    // Since the start of the epoch, and since it came back.
    let is_b = |(series, _): &(Attributes, u64)| series.get("http.route").is_some_and(|route| route == "/b");
    assert_eq!(streams(&sent, DURATION).into_keys().filter(is_b).count(), 2);
}

#[test]
fn names_with_traffic_replace_those_without_where_all_slots_are_taken() {
    let text = configuration("", r#""max_routes": 10, "max_consumers": 10"#);
    let gateway = FakeGateway::starting_at(START);
    let workers = [Worker::start(&gateway, &text), Worker::start(&gateway, &text)];
    let mut sent = Vec::new();
    // A scanner that comes twice takes all slots before the customers come.
    for n in 0..40 {
        workers[n / 2 % 2].finish(by(&format!("scanner-{}", n / 2), &format!("/scan/{}", words_of(n / 2))));
    }
    settle(&gateway, &workers, &mut sent);
    let words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];
    let mut requests = 40;
    for _ in 0..100 {
        for (n, word) in words.iter().enumerate() {
            workers[n % 2].finish(by(word, &format!("/{word}")));
            requests += 1;
        }
        gateway.wait(Duration::from_secs(1));
        sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
    }
    settle(&gateway, &workers, &mut sent);
    let counted = counts(&sent);
    assert_eq!(counted.values().sum::<u64>(), requests);
    for word in words {
        let of_word = |series: &Attributes| {
            series.get("gatelens.consumer.id").is_some_and(|consumer| consumer == word)
                && series.get("http.route").is_some_and(|route| *route == format!("/{word}"))
        };
        let count: u64 = counted.iter().filter(|(series, _)| of_word(series)).map(|(_, count)| count).sum();
        assert!(count >= 10, "{word}: {counted:?}");
    }
    // Names with the same traffic do not take slots from each other.
    let lives = streams(&sent, DURATION).len();
    for n in 0..1_000 {
        let word = words[n % 8];
        workers[n % 2].finish(by(word, &format!("/{word}")));
        if n % 8 == 7 {
            gateway.wait(Duration::from_secs(1));
            sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
        }
    }
    settle(&gateway, &workers, &mut sent);
    assert_eq!(streams(&sent, DURATION).len(), lives);
}

#[test]
fn idle_names_give_their_slots_up_where_slots_are_scarce() {
    let check = |consumers: usize, idle_hours: u64, expected: usize| {
        let text = configuration("", r#""max_consumers": 20"#);
        let gateway = FakeGateway::starting_at(START);
        let worker = Worker::start(&gateway, &text);
        let mut sent = Vec::new();
        for n in 0..consumers {
            (0..3).for_each(|_| worker.finish(by(&format!("c{n}"), "/a")));
        }
        let mut requests = consumers as u64 * 3;
        sent.extend(worker.deliver_after(Duration::from_secs(1)));
        // Three of them stay.
        for _ in 0..idle_hours * 60 {
            (0..3).for_each(|n| worker.finish(by(&format!("c{n}"), "/a")));
            requests += 3;
            sent.extend(worker.deliver_after(Duration::from_secs(60)));
        }
        let in_use = |sent: &[Sent]| numbers(sent)["gatelens.series"] as usize;
        assert_eq!(in_use(&sent), expected, "{consumers} after {idle_hours} h");
        // One that comes back is counted on.
        worker.finish(by("c5", "/a"));
        (0..3).for_each(|_| sent.extend(worker.deliver_after(Duration::from_secs(1))));
        assert_eq!(counts(&sent).values().sum::<u64>(), requests + 1);
    };
    // One series more has the first requests of those that waited.
    check(20, 0, 21);
    check(20, 2, 17);
    check(18, 2, 17);
    check(17, 2, 18);
}

#[derive(Clone, Debug)]
enum Step {
    Request {
        worker: usize,
        route: u8,
        consumer: u8,
        status: u16,
    },
    Tick {
        worker: usize,
        status: u16,
    },
    Retire {
        worker: usize,
        route: u8,
    },
    /// A worker merges its counts, then its VM is lost, and another one takes its place.
    Lose {
        worker: usize,
    },
    /// A worker ends in good order, and another one takes its place.
    Stop {
        worker: usize,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..3, 0u8..8, 0u8..3, prop_oneof![Just(200u16), Just(404), Just(500)])
            .prop_map(|(worker, route, consumer, status)| Step::Request { worker, route, consumer, status }),
        5 => (0usize..3, prop_oneof![4 => Just(200u16), 1 => Just(503), 1 => Just(400)])
            .prop_map(|(worker, status)| Step::Tick { worker, status }),
        2 => (0usize..3, 0u8..8).prop_map(|(worker, route)| Step::Retire { worker, route }),
        1 => (0usize..3).prop_map(|worker| Step::Lose { worker }),
        1 => (0usize..3).prop_map(|worker| Step::Stop { worker }),
        2 => (0u64..6_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No count is lost and none is doubled, whatever the order of requests, ticks, outages, refusals, series that are
    /// given up and come back, lost workers and changes of the lease, when every n-th write to shared data meets another
    /// worker's.
    #[test]
    fn giving_slots_back_is_exact(
        steps in prop::collection::vec(step(), 1..200),
        conflicts in 2u32..7,
        cap in 3u32..30,
    ) {
        let gateway = FakeGateway::starting_at(START);
        let text = configuration("", &format!(r#""max_series": {cap}, "max_routes": 5"#));
        let start = || {
            let worker = Worker::start(&gateway, &text);
            worker.host.conflict_every(conflicts);
            worker
        };
        let mut workers: Vec<_> = (0..3).map(|_| start()).collect();
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        let mut sent = Vec::new();
        for step in steps {
            match step {
                Step::Request { worker, route, consumer, status } => {
                    let path = format!("/{}", words_of(route.into()));
                    let stream = FakeStream::new("GET", &path, status).header("x-consumer-id", format!("c{consumer}"));
                    workers[worker].finish(stream);
                    *model.entry(status.to_string()).or_default() += 1;
                }
                Step::Tick { worker, status } => {
                    let requests = workers[worker].tick_answering(Some(status));
                    if status == 200 { sent.extend(requests) }
                }
                Step::Retire { worker, route } => {
                    let path = format!("/{}", words_of(route.into()));
                    workers[worker].plugin.retire(&workers[worker].host, route_is(&path));
                }
                Step::Lose { worker } => {
                    // Its tick merges all that it has counted; the requests that it sends stay without an answer. With
                    // conflicts it may take several ticks.
                    for _ in 0..6 {
                        gateway.wait(Duration::from_secs(1));
                        workers[worker].plugin.tick(&workers[worker].host);
                    }
                    workers[worker] = start();
                }
                Step::Stop { worker } => {
                    for _ in 0..6 {
                        gateway.wait(Duration::from_secs(1));
                        sent.extend(workers[worker].tick_answering(Some(200)));
                    }
                    let old = std::mem::replace(&mut workers[worker], start());
                    sent.extend(old.stop(Some(200)));
                }
                Step::Wait(milliseconds) => gateway.wait(Duration::from_millis(milliseconds)),
            }
        }
        for _ in 0..80 {
            gateway.wait(Duration::from_secs(1));
            sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
        }
        let counted = by_attribute(&counts(&sent), "http.response.status_code");
        prop_assert_eq!(counted, model);
        let in_use = numbers(&sent)["gatelens.series"];
        prop_assert!(in_use <= f64::from(cap), "{}", in_use);
    }
}
