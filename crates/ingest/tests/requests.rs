//! The request log: stored once, shown newest first, page by page.

use crate::support::Service;
use crate::support::otlp::{MINUTE, Made, NOON, SECOND, attribute, export_logs, log, made, record, text};
use gatelens_ingest::Limits;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};

const LOGS: &str = "/v1/logs";
const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// All request ids in the order of the pages, which hold `limit` each.
fn pages(service: &Service, query: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let answer = service.json(&format!("/api/v1/requests?{DAY}&limit={limit}&cursor={next}{query}"));
        let rows = answer["rows"].as_array().unwrap();
        assert!(rows.len() <= limit);
        found.extend(rows.iter().map(|row| row["request_id"].as_str().unwrap().to_owned()));
        match &answer["next"] {
            Value::Null => return found,
            cursor => next = cursor.as_str().unwrap().to_owned(),
        }
    }
}

/// The ids of requests at these times, newest first.
fn ids(times: impl IntoIterator<Item = u64>) -> Vec<String> {
    let mut times: Vec<u64> = times.into_iter().collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.into_iter().map(|time| format!("id-{time}")).collect()
}

/// Three workers, whose batches overlap: times of all requests.
fn send_overlapping(service: &Service) -> Vec<u64> {
    let mut times = Vec::new();
    for worker in 0..3u64 {
        for batch in 0..4u64 {
            let requests: Vec<(u64, Made)> = (0..10u64)
                .map(|i| (NOON + batch * MINUTE + i * 7 * SECOND + worker, made("/orders", 200, 0.1)))
                .collect();
            times.extend(requests.iter().map(|(time, _)| *time));
            service.send(LOGS, Some(("edge-1", worker + 1, batch + 1)), &log(&requests)).accepted();
        }
    }
    times
}

#[test]
fn a_request_is_shown_as_it_was_sent() {
    let service = Service::start();
    let slow = Made { consumer: "globex", method: "POST", route: "/pay", status: 503, seconds: 0.25 };
    service.send(LOGS, Some(("edge-7", 1, 1)), &log(&[(NOON + 1, slow)])).accepted();
    let row = service.json(&format!("/api/v1/requests?{DAY}"))["rows"][0].clone();
    let expected = json!({
        "time": "2026-06-20T12:00:00.000000001Z", "consumer": "globex", "consumer_name": null,
        "consumer_group": null, "consumer_trusted": false, "method": "POST",
        "method_original": null, "route": "/pay", "route_source": null, "scheme": null, "host": null, "port": null, "path": "/pay", "query": null, "status": 503, "grpc_status": null, "duration_ms": 250.0,
        "upstream_ms": 125.0, "attempts": 3, "resend_count": 2, "upstream_cluster": null, "weight": 1.0, "protocol": null, "direction": "inbound", "version": null, "request_bytes": 100, "response_bytes": 1000, "client_address": "192.0.2.7",
        "client_port": 4711, "user_agent": "curl/8", "request_id": "id-1781956800000000001",
        "trace_id": "000102030405060708090a0b0c0d0e0f", "span_id": "0001020304050607", "response_flags": "UF",
        "code_details": null, "error_type": null, "reported_error": null, "reported_tags": null, "request_headers": null, "response_headers": null,
        "request_body": null, "request_body_omitted": null, "response_body": null, "response_body_omitted": null,
        "gateway": "edge-7", "service": "orders", "environment": "prod",
    });
    assert_eq!(row, expected);
}

#[test]
fn a_record_shows_its_weight_and_one_without_stands_for_itself() {
    let service = Service::start();
    let weights = [
        (Some(any_value::Value::DoubleValue(10.0)), 10.0),
        (Some(any_value::Value::DoubleValue(3.0303030303030303)), 3.0303030303030303),
        (Some(any_value::Value::IntValue(4)), 4.0),
        (None, 1.0),
        (Some(any_value::Value::DoubleValue(f64::NAN)), 1.0),
        (Some(any_value::Value::DoubleValue(0.5)), 1.0),
        (Some(any_value::Value::StringValue("7".to_owned())), 1.0),
    ];
    let records = (0u64..).zip(&weights).map(|(number, (weight, _))| {
        let mut record = record(NOON + number, &made("/", 200, 0.1));
        record.attributes.extend(weight.clone().map(|weight| attribute("gatelens.sample.weight", weight)));
        record
    });
    service.send(LOGS, Some(("edge-1", 1, 1)), &export_logs(records.collect())).accepted();
    let answer = service.json(&format!("/api/v1/requests?{DAY}"));
    let shown = answer["rows"].as_array().unwrap().iter().rev().map(|row| row["weight"].as_f64().unwrap());
    assert_eq!(shown.collect::<Vec<_>>(), weights.map(|(_, expected)| expected));
}

#[test]
fn pages_neither_repeat_nor_miss() {
    let mut service = Service::start();
    let times = send_overlapping(&service);
    for limit in [1, 7, 50, 1000] {
        assert_eq!(pages(&service, "", limit), ids(times.clone()), "by {limit}");
    }
    service.restart(|_| ());
    assert_eq!(pages(&service, "", 40), ids(times));
}

#[test]
fn a_query_that_looked_far_enough_hands_back_a_cursor() {
    let service = Service::with(Limits { scanned: 10, ..Limits::default() });
    let times = send_overlapping(&service);
    assert_eq!(pages(&service, "", 5), ids(times.clone()));
    assert_eq!(pages(&service, "", 1000), ids(times));
    assert_eq!(pages(&service, "&consumer=nobody", 5), ids([]));
}

#[test]
fn a_page_ends_before_it_is_too_large() {
    let limit = 20_000;
    let service = Service::with(Limits { page_bytes: limit, ..Limits::default() });
    // Of each worker, small ones and large ones, and one that is larger than any page.
    let mut times = Vec::new();
    for worker in 0..3u64 {
        let records = (0..40u64).map(|i| {
            let time = NOON + i * SECOND + worker;
            times.push(time);
            let mut record = record(time, &made("/", 200, 0.1));
            let bytes = if (worker, i) == (1, 20) { 3 * limit } else { (i % 5 * 1500) as usize };
            record.attributes.push(text("gatelens.response.body.content", &"x".repeat(bytes)));
            record
        });
        let records = records.collect();
        service.send(LOGS, Some(("edge-1", worker + 1, 1)), &export_logs(records)).accepted();
    }
    for limit in [1, 7, 1000] {
        assert_eq!(pages(&service, "", limit), ids(times.clone()), "by {limit}");
    }
    let mut next = String::new();
    let mut sizes = Vec::new();
    loop {
        let answer = service.get(&format!("/api/v1/requests?{DAY}&limit=1000&cursor={next}"));
        let rows: Value = serde_json::from_slice(&answer.body).unwrap();
        sizes.push((answer.body.len(), rows["rows"].as_array().unwrap().len()));
        match rows["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => break,
        }
    }
    let head = 300;
    let (larger, within): (Vec<_>, Vec<_>) = sizes.iter().partition(|(bytes, _)| *bytes > limit + head);
    assert_eq!(larger.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [1], "the one that fits on no page");
    assert!(within.len() > 5, "{sizes:?}");
}

#[test]
fn requests_of_the_same_moment_all_come() {
    let service = Service::start();
    for worker in 1..=3 {
        service
            .send(LOGS, Some(("edge-1", worker, 1)), &log(&vec![(NOON, made("/", 200, 0.1)); 5]))
            .accepted();
    }
    assert_eq!(pages(&service, "", 4), ids([NOON; 15]));
}

#[test]
fn a_page_of_many_tiny_batches_of_one_moment_reads_only_its_own() {
    // Before, all batches of the moment were read for each page, which the bound on reading does not allow.
    let service = Service::with(Limits { scanned: 200, ..Limits::default() });
    for sequence in 1..=100 {
        service.send(LOGS, Some(("edge-1", 1, sequence)), &log(&[(NOON, made("/", 200, 0.1))])).accepted();
    }
    for sort in ["time", "duration"] {
        let first = service.json(&format!("/api/v1/requests?{DAY}&limit=10&sort={sort}"));
        assert_eq!(first["rows"].as_array().unwrap().len(), 10, "{first}");
    }
    assert_eq!(pages(&service, "", 10), ids([NOON; 100]));
    assert_eq!(pages(&service, "&sort=duration", 10), ids([NOON; 100]));
}

#[test]
fn the_slowest_come_first_when_sorted_by_duration() {
    let mut service = Service::start();
    let mut expected = Vec::new();
    for worker in 0..3u64 {
        for batch in 0..4u64 {
            let requests: Vec<(u64, Made)> = (0..10u64)
                .map(|i| {
                    let number = (worker * 40 + batch * 10 + i) * 37 % 120;
                    let time = NOON + batch * MINUTE + i * 7 * SECOND + worker;
                    expected.push((number, format!("id-{time}")));
                    (time, made("/orders", 200, number as f64 / 1000.0))
                })
                .collect();
            service.send(LOGS, Some(("edge-1", worker + 1, batch + 1)), &log(&requests)).accepted();
        }
    }
    expected.sort_by(|a, b| b.cmp(a));
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    for limit in [1, 7, 1000] {
        assert_eq!(pages(&service, "&sort=duration", limit), expected, "by {limit}");
    }
    // A file of an earlier version does not know how long its requests took.
    service.restart(|data| {
        for file in std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()) {
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("requests-"))
                && file.extension().is_some_and(|kind| kind == "db")
            {
                let unknown = "UPDATE chunks SET longest = 9223372036854775807 WHERE id % 2 = 0";
                rusqlite::Connection::open(file).unwrap().execute(unknown, []).unwrap();
            }
        }
    });
    assert_eq!(pages(&service, "&sort=duration", 7), expected);
    assert_eq!(pages(&service, "&sort=duration&min_duration_ms=100", 7), expected[..20]);
    let cursor = service.json(&format!("/api/v1/requests?{DAY}&limit=1&sort=duration"))["next"].clone();
    let other = service.get(&format!("/api/v1/requests?{DAY}&cursor={}", cursor.as_str().unwrap()));
    assert_eq!(other.status, 400, "a cursor of another order: {}", other.text());
}

#[test]
fn requests_are_found_by_their_own_values() {
    let service = Service::start();
    let records = [("/v1/users/7", 0.05), ("/v1/orders", 0.2), ("/v2/users/7", 1.5)];
    let records = (0u64..).zip(records).map(|(number, (path, seconds))| {
        let mut record = record(NOON + number, &made("/x", 200, seconds));
        let changed = ["url.path", "client.address", "user_agent.original"];
        record.attributes.retain(|attribute| !changed.contains(&attribute.key.as_str()));
        record.attributes.extend([
            text("url.path", path),
            text("client.address", if number == 0 { "192.0.2.1" } else { "2001:db8::1" }),
            text("user_agent.original", if number == 2 { "Mozilla/5.0 (X11, Linux)" } else { "curl/8.5" }),
        ]);
        record.trace_id = vec![number as u8 + 1; 16];
        record
    });
    service.send(LOGS, Some(("edge-1", 1, 1)), &export_logs(records.collect())).accepted();
    let (first, second) = ("01".repeat(16), "02".repeat(16));
    for (query, expected) in [
        ("path=/v1/orders".to_owned(), vec![1]),
        ("path=/v1/*".to_owned(), vec![0, 1]),
        ("path=*/users/*".to_owned(), vec![0, 2]),
        ("path=*/users/*&path=!/v2/*".to_owned(), vec![0]),
        ("path=/v1".to_owned(), vec![]),
        ("client_address=192.0.2.1".to_owned(), vec![0]),
        ("client_address=!192.0.2.1".to_owned(), vec![1, 2]),
        ("user_agent=curl/8.5".to_owned(), vec![0, 1]),
        (r"user_agent=Mozilla/5.0 (X11\,*".to_owned(), vec![2]),
        ("min_duration_ms=200".to_owned(), vec![1, 2]),
        ("max_duration_ms=200".to_owned(), vec![0, 1]),
        ("min_duration_ms=50.5&max_duration_ms=1499.9".to_owned(), vec![1]),
        ("min_upstream_ms=100".to_owned(), vec![1, 2]),
        (format!("trace_id={first},{second}"), vec![0, 1]),
        (format!("trace_id=!{first}"), vec![1, 2]),
        (format!("request_id=id-{},id-{}", NOON, NOON + 2), vec![0, 2]),
        (format!("request_id=!id-{NOON}"), vec![1, 2]),
    ] {
        let query = query.replace(' ', "%20").replace('\\', "%5C");
        let expected = ids(expected.into_iter().map(|number: u64| NOON + number));
        assert_eq!(pages(&service, &format!("&{query}"), 2), expected, "{query}");
    }
}

#[test]
fn a_repeated_batch_is_stored_once() {
    let mut service = Service::start();
    let batch = log(&[(NOON, made("/", 200, 0.1)), (NOON + 5, made("/", 200, 0.1))]);
    for _ in 0..3 {
        service.send(LOGS, Some(("edge-1", 1, 1)), &batch).accepted();
        // The file that a batch came to yesterday still knows it today.
        service.restart(|data| {
            let file = |days| {
                let day = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
                data.join(format!("requests-{}.db", day.saturating_sub(jiff::Span::new().days(days))))
            };
            if !file(1).exists() {
                std::fs::rename(file(0), file(1)).unwrap();
            }
        });
        assert_eq!(pages(&service, "", 10), ids([NOON, NOON + 5]));
    }
    service.send(LOGS, Some(("edge-1", 1, 3)), &batch).accepted();
    let row = service.json("/api/v1/gateways")["rows"][0].clone();
    assert_eq!((&row["gaps"]["logs"], &row["version"]), (&json!(1), &json!("0.1.0")));
}

#[test]
fn filters_match() {
    let service = Service::start();
    let all: Vec<(u64, Made)> = [
        ("acme", "GET", "/a", 200),
        ("acme", "POST", "/b", 404),
        ("globex", "GET", "/a", 503),
        ("acme", "GET", "/b", 0),
        ("globex", "GET", "/c", 500),
    ]
    .into_iter()
    .zip(0..)
    .map(|((consumer, method, route, status), i)| {
        (NOON + i * MINUTE, Made { consumer, method, route, status, seconds: 0.1 })
    })
    .collect();
    for (request, sequence) in all.iter().zip(1..) {
        service.send(LOGS, Some(("edge-1", 1, sequence)), &log(std::slice::from_ref(request))).accepted();
    }
    for (query, expected) in [
        ("consumer=acme", vec![0, 1, 3]),
        ("consumer=acme&consumer=globex", vec![0, 1, 2, 3, 4]),
        ("consumer=acme&method=GET", vec![0, 3]),
        ("route=/a", vec![0, 2]),
        ("route=%2Fa", vec![0, 2]),
        ("status=404", vec![1]),
        ("status=5xx", vec![2, 4]),
        ("status=5xx&status=0", vec![2, 3, 4]),
        ("errors=true", vec![2, 3, 4]),
        ("errors=false", vec![0, 1]),
        ("service=orders", vec![0, 1, 2, 3, 4]),
        ("service=other", vec![]),
        ("environment=prod&status=200", vec![0]),
        ("gateway=edge-2,edge-1&status=200", vec![0]),
        ("gateway=edge-2", vec![]),
        ("gateway=!edge-1", vec![]),
    ] {
        let expected = ids(expected.into_iter().map(|i: u64| NOON + i * MINUTE));
        assert_eq!(pages(&service, &format!("&{query}"), 3), expected, "{query}");
    }
    let range = "from=2026-06-20T12:01:00Z&to=2026-06-20T12:03:00Z";
    let rows = service.json(&format!("/api/v1/requests?{range}"))["rows"].as_array().unwrap().len();
    assert_eq!(rows, 2, "from is inclusive, to is not");
}

#[test]
fn records_that_are_no_requests_are_rejected_in_the_answer() {
    let service = Service::start();
    let records =
        vec![LogRecord { time_unix_nano: NOON, ..Default::default() }, record(NOON, &made("/", 200, 0.1))];
    let answer = service.send(LOGS, None, &export_logs(records));
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("http.request.method"), "{}", answer.text());
    assert_eq!(pages(&service, "", 10), ids([NOON]));
}
