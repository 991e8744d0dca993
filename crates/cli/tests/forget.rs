//! `gatelens forget`: what is selected goes, the sums of all others stay.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, MINUTE, Made, NOON, log, made, text};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;
use support::{EDGE, Sender, Service, gatelens};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const OTHER: Sender = Sender { instance: "edge-2", epoch: 0xbb };
const INVENTOR: Sender = Sender { instance: "inventor", epoch: 0xcc };

/// Requests by consumer and route, as counted and as logged.
type Sums = BTreeMap<(String, String), u64>;

fn key(row: &Value) -> (String, String) {
    (row["consumer"].as_str().unwrap().to_owned(), row["route"].as_str().unwrap().to_owned())
}

fn counted(service: &Service) -> Sums {
    let answer = service.json(&format!("/api/v1/summary?{DAY}&group_by=consumer,route"));
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| (key(row), row["requests"].as_u64().unwrap())).collect()
}

fn logged(service: &Service) -> Sums {
    let answer = service.json(&format!("/api/v1/requests?{DAY}&limit=1000"));
    let mut sums = Sums::new();
    answer["rows"].as_array().unwrap().iter().for_each(|row| *sums.entry(key(row)).or_default() += 1);
    sums
}

fn without(sums: &Sums, gone: impl Fn(&str, &str) -> bool) -> Sums {
    sums.clone().into_iter().filter(|((consumer, route), _)| !gone(consumer, route)).collect()
}

fn of(consumer: &'static str, route: &'static str) -> Made {
    Made { consumer, ..made(route, 200, 0.1) }
}

/// Counts and logs these requests.
fn send(service: &Service, sender: Sender, sequence: u64, all: &[Made]) {
    assert!(service.send("/v1/metrics", sender, sequence, &Frame::at(NOON + sequence * MINUTE).of(all)));
    let records: Vec<_> = all.iter().zip(NOON..).map(|(made, time)| (time, made.clone())).collect();
    assert!(service.send("/v1/logs", sender, sequence, &log(&records)));
}

/// Two gateways that share a series, and one that invented others.
fn fill(service: &Service) {
    send(service, EDGE, 1, &[of("acme", "/a"), of("acme", "/a"), of("globex", "/b")]);
    send(service, OTHER, 1, &[of("acme", "/a"), of("initech", "/c")]);
    send(service, INVENTOR, 1, &[of("acme", "/a"), of("x1", "/x"), of("x2", "/y"), of("x2", "/y")]);
}

fn forget(data: &Path, arguments: &[&str], status: i32) -> String {
    let data = data.to_str().unwrap();
    let output = gatelens(&[&["forget", "--data", data], arguments].concat()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    said
}

/// As if all gateways had been silent for ten minutes.
fn silence(data: &Path) {
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if name == "metrics.db" || (name.starts_with("requests-") && name.ends_with(".db")) {
            let file = rusqlite::Connection::open(path).unwrap();
            file.execute("UPDATE gateways SET last_seen = last_seen - 600000000000", []).unwrap();
        }
    }
}

#[test]
fn a_consumer_goes_from_a_service_at_work_and_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    fill(&service);
    let (counts, log) = (counted(&service), logged(&service));
    let said = forget(dir.path(), &["--consumer", "acme", "--dry-run"], 0);
    assert!(
        said.starts_with(
            "would remove: 4 requests counted in 1 series, 4 requests of the log, 0 gateways, 1 consumers"
        ),
        "{said}"
    );
    let said = forget(dir.path(), &["--consumer", "acme"], 2);
    assert!(said.contains("nothing was removed: add --yes"), "{said}");
    assert_eq!((counted(&service), logged(&service)), (counts.clone(), log.clone()));
    let said = forget(dir.path(), &["--consumer", "acme", "--yes", "--format", "json"], 0);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["requests_counted"], &said["requests_logged"]), (&4.into(), &4.into()));
    let gone = |consumer: &str, _: &str| consumer == "acme";
    assert_eq!((counted(&service), logged(&service)), (without(&counts, gone), without(&log, gone)));
    // The gateway still knows all that it has counted. Only what is new counts.
    send(&service, EDGE, 2, &[of("acme", "/a"), of("acme", "/a"), of("acme", "/a"), of("globex", "/b")]);
    let mut expected = without(&counts, gone);
    expected.insert(("acme".to_owned(), "/a".to_owned()), 1);
    assert_eq!(counted(&service), expected);
    service.stop();
}

#[test]
fn an_inventor_goes_with_its_series_and_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    fill(&service);
    let (counts, log) = (counted(&service), logged(&service));
    // Those that have just reported stay, so that their counts do not come back.
    let said = forget(dir.path(), &["--instance", "inventor", "--dry-run"], 0);
    assert!(said.contains("1 gateways stay"), "{said}");
    service.stop();
    silence(dir.path());
    let said = forget(dir.path(), &["--instance", "inventor", "--yes"], 0);
    assert!(
        said.starts_with("removed: 4 requests counted in 2 series, 4 requests of the log, 1 gateways"),
        "{said}"
    );
    assert!(said.contains("1 series stay"), "{said}");
    let service = Service::start(dir.path());
    let invented = |consumer: &str, _: &str| consumer.starts_with('x');
    let shared = ("acme".to_owned(), "/a".to_owned());
    let mut kept = without(&counts, invented);
    *kept.get_mut(&shared).unwrap() -= 1;
    assert_eq!(counted(&service), kept);
    let mut expected = without(&log, invented);
    *expected.get_mut(&("acme".to_owned(), "/a".to_owned())).unwrap() -= 1;
    assert_eq!(logged(&service), expected);
    let gateways = service.json("/api/v1/gateways");
    let instances: Vec<_> =
        gateways["rows"].as_array().unwrap().iter().map(|row| row["instance"].clone()).collect();
    assert!(!instances.contains(&"inventor".into()) && instances.len() == 2, "{instances:?}");
    // The others count on from what they had.
    send(&service, EDGE, 2, &[of("acme", "/a"), of("acme", "/a"), of("globex", "/b"), of("globex", "/b")]);
    *kept.get_mut(&("globex".to_owned(), "/b".to_owned())).unwrap() += 1;
    assert_eq!(counted(&service), kept);
    service.stop();
}

/// Differences leave no state behind: only the counts of each minute name the gateway.
#[test]
fn an_instance_that_sends_differences_goes_and_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    let add = |service: &Service, sender: Sender, sequence: u64, all: &[Made]| {
        let frame =
            Frame { temporality: AggregationTemporality::Delta, ..Frame::at(NOON + sequence * MINUTE) };
        assert!(service.send("/v1/metrics", sender, sequence, &frame.of(all)));
    };
    add(&service, EDGE, 1, &[of("acme", "/a"), of("acme", "/a")]);
    add(&service, OTHER, 1, &[of("acme", "/a"), of("x1", "/x")]);
    // Both in one minute of one series.
    add(&service, EDGE, 2, &[of("acme", "/a"), of("globex", "/b")]);
    add(&service, OTHER, 2, &[of("acme", "/a"), of("acme", "/a")]);
    // A sender of cumulative counts shares the series, too.
    send(&service, INVENTOR, 2, &[of("acme", "/a")]);
    let counts = counted(&service);
    let shared = ("acme".to_owned(), "/a".to_owned());
    assert_eq!(counts[&shared], 7);
    let said = forget(dir.path(), &["--instance", "edge-2", "--dry-run"], 0);
    assert!(said.contains("4 requests counted in 1 series") && said.contains("1 gateways stay"), "{said}");
    assert_eq!(counted(&service), counts);
    service.stop();
    silence(dir.path());
    let said = forget(dir.path(), &["--instance", "edge-2", "--yes"], 0);
    assert!(said.starts_with("removed: 4 requests counted in 1 series"), "{said}");
    assert!(said.contains("1 series stay"), "{said}");
    let service = Service::start(dir.path());
    let mut kept = without(&counts, |consumer, _| consumer == "x1");
    *kept.get_mut(&shared).unwrap() -= 3;
    assert_eq!(counted(&service), kept);
    // A repeat of one that stays is known, and the one that went begins anew.
    add(&service, EDGE, 2, &[of("acme", "/a"), of("globex", "/b")]);
    add(&service, OTHER, 3, &[of("acme", "/a"), of("x1", "/x")]);
    *kept.get_mut(&shared).unwrap() += 1;
    kept.insert(("x1".to_owned(), "/x".to_owned()), 1);
    assert_eq!(counted(&service), kept);
    // By consumer, the differences of all gateways go.
    forget(dir.path(), &["--consumer", "acme", "--yes"], 0);
    assert_eq!(counted(&service), without(&kept, |consumer, _| consumer == "acme"));
    service.stop();
}

#[test]
fn an_environment_goes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    fill(&service);
    let (counts, log) = (counted(&service), logged(&service));
    let mut frame = Frame::at(NOON).of(&[of("tester", "/t"), of("acme", "/a")]);
    for resource in &mut frame.resource_metrics {
        let attributes = &mut resource.resource.as_mut().unwrap().attributes;
        attributes.retain(|attribute| attribute.key != "deployment.environment.name");
        attributes.push(text("deployment.environment.name", "staging"));
    }
    assert!(service.send("/v1/metrics", Sender { instance: "edge-9", epoch: 9 }, 1, &frame));
    assert_ne!(counted(&service), counts);
    let said = forget(dir.path(), &["--environment", "staging", "--yes"], 0);
    assert!(said.starts_with("removed: 2 requests counted in 2 series, 0 requests of the log"), "{said}");
    assert_eq!((counted(&service), logged(&service)), (counts, log));
    service.stop();
}

#[test]
fn nothing_selected_is_not_everything() {
    let dir = tempfile::tempdir().unwrap();
    assert!(forget(dir.path(), &["--yes", "--consumer", "a"], 1).contains("has no data of gatelens"));
    Service::start(dir.path()).stop();
    assert!(forget(dir.path(), &["--yes"], 1).contains("nothing is selected"));
}

#[test]
fn counters_for_prometheus_lose_the_name_of_a_consumer_and_keep_their_sums() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    // A set of labels without counts for a month is not shown.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let frame =
        Frame::at(now).of(&[of("acme", "/a"), of("acme", "/a"), of("globex", "/a"), of("globex", "/b")]);
    assert!(service.send("/v1/metrics", EDGE, 1, &frame));
    let requests = |service: &Service, query: &str| -> BTreeMap<String, String> {
        let url = format!("{}/metrics/traffic?{query}", service.url);
        let text = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
        let counts = text.lines().filter_map(|line| {
            let (labels, count) =
                line.strip_prefix("http_server_request_duration_seconds_count")?.rsplit_once(' ')?;
            Some((labels.to_owned(), count.to_owned()))
        });
        counts.collect()
    };
    let expect = |service: &Service, query: &str, expected: &[(&str, &str)]| {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(labels, count)| ((*labels).to_owned(), (*count).to_owned())).collect();
        assert_eq!(requests(service, query), expected, "{query}");
    };
    let routes = [("{http_route=\"/a\"}", "3"), ("{http_route=\"/b\"}", "1")];
    expect(&service, "labels=http_route", &routes);
    forget(dir.path(), &["--consumer", "acme", "--yes"], 0);
    expect(&service, "labels=http_route", &routes);
    expect(&service, "labels=gatelens_consumer_id", &[("{gatelens_consumer_id=\"globex\"}", "2")]);
    // It begins anew where it counts again.
    let more = Frame::at(now + 1).of(&[of("acme", "/a"), of("acme", "/a"), of("acme", "/a")]);
    assert!(service.send("/v1/metrics", EDGE, 2, &more));
    expect(&service, "labels=http_route", &[("{http_route=\"/a\"}", "4"), ("{http_route=\"/b\"}", "1")]);
    let both = [("{gatelens_consumer_id=\"acme\"}", "1"), ("{gatelens_consumer_id=\"globex\"}", "2")];
    expect(&service, "labels=gatelens_consumer_id", &both);
    service.stop();
    let file = rusqlite::Connection::open(dir.path().join("metrics.db")).unwrap();
    let named: i64 = file
        .query_row("SELECT count(*) FROM ended_series WHERE consumer = 'acme'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(named, 0);
    drop(file);

    // Of an environment, everything goes.
    silence(dir.path());
    forget(dir.path(), &["--environment", "prod", "--yes"], 0);
    let service = Service::start(dir.path());
    expect(&service, "labels=", &[]);
    service.stop();
}
