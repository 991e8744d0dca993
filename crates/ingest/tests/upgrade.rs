//! Files of every schema version since the first: the service brings them up to date and gives the same answers.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, NOON, made};
use gatelens_ingest::Retention;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
/// The day of the request log that the fixtures are of, by the time of their receipt.
const LOG: &str = "requests-2026-11-20.db";
/// The fixtures have fixed times, and a test must not end with them.
const FOREVER: Retention = Retention {
    minutes: CENTURY,
    half_hours: CENTURY,
    requests: CENTURY,
    batches: CENTURY,
    gateways: CENTURY,
    max_disk: None,
    audit: CENTURY,
    scrub: CENTURY,
};
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// The versions that have fixtures.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=25;

/// The SQL of the fixtures of a kind, by the first version that has these tables.
fn fixtures(kind: &str) -> BTreeMap<u32, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let version = |path: &PathBuf| -> Option<u32> {
        let name = path.file_name()?.to_str()?.strip_prefix(kind)?.strip_prefix("-v")?;
        name.strip_suffix(".sql")?.parse().ok()
    };
    paths.filter_map(|path| Some((version(&path)?, fs::read_to_string(&path).unwrap()))).collect()
}

/// A service on files of a version.
fn upgraded(version: u32) -> Service {
    let mut service = Service::start();
    service.keep(FOREVER);
    service.restart(|data| {
        for (kind, name) in [("metrics", "metrics.db"), ("requests", LOG)] {
            let all = fixtures(kind);
            // The log of the first versions has the tables of version 4.
            let (_, sql) = all.range(..=version).next_back().or(all.iter().next()).unwrap();
            let path = data.join(name);
            let _ = fs::remove_file(&path);
            let file = Connection::open(path).unwrap();
            file.execute_batch(sql).unwrap();
            file.pragma_update(None, "user_version", version).unwrap();
        }
    });
    service
}

fn requests(service: &Service) -> Value {
    service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0]["requests"].clone()
}

#[test]
fn files_of_every_version_are_brought_up_to_date_with_all_that_they_hold() {
    let mut rows_before: Option<Value> = None;
    for version in VERSIONS {
        let mut service = upgraded(version);
        // The second start finds files of the present version.
        for start in ["first", "second"] {
            let at = format!("version {version}, {start} start");
            holds_its_data(&service, version, &at);
            let mut rows = service.json(&format!("/api/v1/requests?{DAY}"))["rows"].clone();
            assert_eq!(rows.as_array().unwrap().len(), 2, "{at}");
            for row in rows.as_array_mut().unwrap() {
                // It is in the table of consumers and not in the log.
                let name = row.as_object_mut().unwrap().remove("consumer_name");
                let group = row.as_object_mut().unwrap().remove("consumer_group");
                let expected = ["Acme Inc", "gold"].map(|text| (version >= 9).then(|| json!(text)));
                assert_eq!(
                    [name, group].map(|found| found.filter(|value| !value.is_null())),
                    expected,
                    "{at}"
                );
            }
            assert_eq!(*rows_before.get_or_insert_with(|| rows.clone()), rows, "{at}");
            service.restart(|_| ());
        }
        goes_on(&service, version);
    }
}

fn holds_its_data(service: &Service, version: u32, at: &str) {
    let row = &service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0];
    assert_eq!((&row["requests"], &row["p50_ms"]), (&json!(3), &json!(99.571384)), "{at}");
    let series = service.json(&format!("/api/v1/timeseries?{DAY}&step=3600&group_by=route"));
    let point = &series["points"][0];
    let attempts = if version >= 8 { 4 } else { 0 };
    assert_eq!((&point["route"], &point["attempts"]), (&json!("/a"), &json!(attempts)), "{at}: {series}");
    let coarse = json!([{"from": "2026-06-20T11:50:00Z", "to": "2026-06-20T12:00:00Z"}]);
    assert_eq!(series["coarse"], if version >= 2 { coarse } else { json!([]) }, "{at}");

    let gateways = service.json("/api/v1/gateways");
    let row = &gateways["rows"][0];
    let since = |first: u32, value: Value| if version >= first { value } else { Value::Null };
    let expected = [
        ("instance", json!("edge-1")),
        ("environment", json!("prod")),
        ("service", json!("orders")),
        ("gaps", json!({"metrics": 0, "logs": 0})),
        ("captured", since(2, json!(3))),
        ("sent", since(2, json!(1))),
        ("stored", since(2, json!(2))),
        ("held", since(2, json!(0))),
        ("workers", since(2, json!(3))),
        ("workers_lost", since(2, json!(1))),
        ("tags", if version >= 2 { json!({"team": "checkout"}) } else { json!({}) }),
        ("uncounted", json!(0)),
        (
            "not_logged",
            if version >= 7 {
                json!({"excluded": 5, "sampled_out": 6})
            } else {
                json!({"excluded": 0, "sampled_out": 0})
            },
        ),
        ("excluded_from_counters", json!(if version >= 7 { 7 } else { 0 })),
    ];
    for (key, value) in expected {
        assert_eq!(row[key], value, "{at}: {key} in {row}");
    }
    let lost = json!({"queue_full": 0, "rejected": 0, "expired": 0, "lost": u32::from(version >= 2)});
    assert_eq!(row["dropped"], lost, "{at}");
    assert_eq!(row["redaction"]["rules"], since(4, json!([{"rule": "keys:a", "hits": 7}])), "{at}");

    let rows = |path: &str| service.json(path)["rows"].as_array().unwrap().clone();
    assert_eq!(rows("/api/v1/patterns").len(), usize::from(version >= 6), "{at}");
    let consumers = rows("/api/v1/consumers?service=orders");
    let names: Vec<_> = consumers.iter().map(|row| (&row["id"], &row["name"])).collect();
    let expected = [(json!("acme"), json!("Acme Inc"))];
    let expected: Vec<_> = expected.iter().filter(|_| version >= 9).map(|(id, name)| (id, name)).collect();
    assert_eq!(names, expected, "{at}");
    let by_gateway = rows(&format!("/api/v1/summary?{DAY}&group_by=gateway"));
    // The gateways of earlier counts are not known, so that the answer begins later.
    let gateways: Vec<_> = by_gateway.iter().map(|row| row["gateway"].as_str().unwrap()).collect();
    assert_eq!(gateways, ["edge-1"][..usize::from(version >= 12)], "{at}");
    let releases = rows("/api/v1/releases?kind=version");
    let values: Vec<_> = releases.iter().map(|row| row["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["1.4.0"][..usize::from(version >= 19)], "{at}");
    let directory = rows("/api/v1/directory");
    let notes: Vec<_> = directory.iter().map(|row| row["note"].as_str().unwrap()).collect();
    assert_eq!(notes, ["key account"][..usize::from(version >= 20)], "{at}");
    let changes = rows("/api/v1/drift?from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z&kind=route_new");
    let routes: Vec<_> = changes.iter().map(|row| row["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["/a"][..usize::from(version >= 22)], "{at}");
    let entries = rows("/api/v1/audit");
    let actors: Vec<_> = entries.iter().map(|row| row["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, ["ada"][..usize::from(version >= 14)], "{at}");
}

/// A gateway that was at work during the upgrade goes on where it was.
fn goes_on(service: &Service, version: u32) {
    let counts = |minute: u64, count: usize| {
        Frame { start: 0, ..Frame::at(NOON + minute * MINUTE) }.of(&vec![made("/a", 200, 0.1); count])
    };
    let send = |sequence, message| service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &message);
    // A batch whose answer was lost is not counted twice, and the state of its stream is known.
    send(1, counts(1, 9)).accepted();
    assert_eq!(requests(service), 3, "version {version}: a repeat");
    send(2, counts(2, 5)).accepted();
    assert_eq!(requests(service), 5, "version {version}: two more");
}
