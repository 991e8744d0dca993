//! Counts by gateway, and the pages of lists.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, log, made, text};
use gatelens_ingest::Limits;
use serde_json::{Value, json};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn rows(answer: &Value, key: &str, columns: &[&str]) -> Value {
    let rows = answer[key].as_array().unwrap();
    Value::from_iter(
        rows.iter().map(|row| Value::from_iter(columns.iter().map(|column| row[column].clone()))),
    )
}

/// Cumulative counts of three gateways: of one route all of them count, one counts a route of its own.
fn served() -> Service {
    let service = Service::start();
    let mut sequence = 0;
    let mut send = |instance: &'static str, time: u64, all: &[Made]| {
        sequence += 1;
        service.send("/v1/metrics", Some((instance, 1, sequence)), &Frame::at(time).of(all)).accepted();
    };
    let (a, b) = (made("/a", 200, 0.1), made("/b", 503, 0.4));
    send("edge-1", NOON, &[a.clone(), a.clone(), a.clone()]);
    send("edge-2", NOON, &[a.clone(), a.clone()]);
    send("edge-2", NOON + 2 * MINUTE, &[a.clone(), a.clone(), a.clone(), b.clone()]);
    send("edge-3", NOON + 31 * MINUTE, &[a]);
    service
}

#[test]
fn counts_are_grouped_and_filtered_by_gateway() {
    let mut service = served();
    for _ in 0..2 {
        let summary = |query: &str, columns: &[&str]| {
            rows(&service.json(&format!("/api/v1/summary?{DAY}&{query}")), "rows", columns)
        };
        assert_eq!(summary("", &["requests", "errors"]), json!([[8, 1]]));
        let by_gateway = json!([["edge-2", 4, 1], ["edge-1", 3, 0], ["edge-3", 1, 0]]);
        assert_eq!(summary("group_by=gateway", &["gateway", "requests", "errors"]), by_gateway);
        assert_eq!(summary("gateway=edge-2", &["requests"]), json!([[4]]));
        assert_eq!(summary("gateway=!edge-2", &["requests"]), json!([[4]]));
        assert_eq!(summary("gateway=edge-1,edge-3", &["requests"]), json!([[4]]));
        assert_eq!(summary("gateway=nobody", &["requests"]), json!([[0]]));
        let by_both =
            summary("group_by=gateway,route&gateway=edge-2", &["gateway", "route", "requests", "p50_ms"]);
        assert_eq!(by_both, json!([["edge-2", "/a", 3, 99.571384], ["edge-2", "/b", 1, 398.285538]]));
        assert_eq!(
            summary("group_by=route&gateway=edge-2,edge-3", &["route", "requests"]),
            json!([["/a", 4], ["/b", 1]])
        );
        let points = service.json(&format!("/api/v1/timeseries?{DAY}&group_by=gateway&step=60"));
        assert_eq!(
            rows(&points, "points", &["time", "gateway", "requests"]),
            json!([
                ["2026-06-20T11:59:00Z", "edge-1", 3],
                ["2026-06-20T11:59:00Z", "edge-2", 2],
                ["2026-06-20T12:01:00Z", "edge-2", 2],
                ["2026-06-20T12:30:00Z", "edge-3", 1]
            ])
        );
        let points = service.json(&format!("/api/v1/timeseries?{DAY}&gateway=edge-2&step=1800"));
        let requests = rows(&points, "points", &["requests"]);
        assert_eq!(
            requests.as_array().unwrap().iter().filter(|row| **row != json!([0])).count(),
            2,
            "{requests}"
        );
        assert!(points.get("gateways_since").is_none(), "{points}");
        service.restart(|_| ());
    }
}

#[test]
fn the_gateways_of_all_rows_add_up_to_the_sums() {
    let mut service = served();
    // A service that stops adds up all changes.
    service.restart(|_| ());
    let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
    for (sums, parts) in [("minutes", "gateway_minutes"), ("half_hours", "gateway_half_hours")] {
        let wrong = format!(
            "SELECT count(*) FROM {sums} s WHERE instance = -1 AND (requests, request_bytes, response_bytes, attempts) IS NOT
               (SELECT sum(requests), sum(request_bytes), sum(response_bytes), sum(attempts) FROM {parts} p
                WHERE p.minute = s.minute AND p.series_id = s.series_id)"
        );
        assert_eq!(file.query_row(&wrong, [], |row| row.get::<_, i64>(0)), Ok(0), "{sums}");
        let several = format!("SELECT count(*) FROM {sums} WHERE instance = -1");
        assert_eq!(file.query_row(&several, [], |row| row.get::<_, i64>(0)), Ok(1), "{sums}");
        // A row that one gateway counted has no other beside it.
        let parts = format!("SELECT count(*) FROM {parts}");
        assert_eq!(file.query_row(&parts, [], |row| row.get::<_, i64>(0)), Ok(2));
    }
}

#[test]
fn an_answer_by_gateway_begins_where_gateways_are_known_and_says_so() {
    let mut service = served();
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        // As the migration leaves a file whose last half hour of before ended at 12:30.
        let mark = "INSERT INTO retention_marks VALUES ('instances', ?)";
        file.execute(mark, [(NOON / MINUTE + 30) as i64]).unwrap();
    });
    let whole = service.json(&format!("/api/v1/summary?{DAY}"));
    assert_eq!((&whole["rows"][0]["requests"], whole.get("gateways_since")), (&json!(8), None));
    let since = json!("2026-06-20T12:30:00Z");
    let summary = service.json(&format!("/api/v1/summary?{DAY}&group_by=gateway"));
    assert_eq!((&summary["from"], &summary["gateways_since"]), (&since, &since));
    assert_eq!(rows(&summary, "rows", &["gateway", "requests"]), json!([["edge-3", 1]]));
    let points = service.json(&format!("/api/v1/timeseries?{DAY}&gateway=edge-3&step=3600"));
    assert_eq!((&points["from"], &points["gateways_since"]), (&json!("2026-06-20T13:00:00Z"), &since));
    assert_eq!(points["points"].as_array().unwrap().len(), 11);
    let before = "from=2026-06-20T00:00:00Z&to=2026-06-20T12:00:00Z&gateway=edge-1";
    let none = service.json(&format!("/api/v1/summary?{before}"));
    assert_eq!((&none["rows"][0]["requests"], &none["gateways_since"]), (&json!(0), &since));
}

/// All rows of a list, page by page, by one column; no page has more rows than asked for.
fn pages(service: &Service, question: &str, limit: usize, column: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = service.json(&format!("/api/v1/{question}limit={limit}&cursor={cursor}"));
        let rows = answer["rows"].as_array().unwrap();
        assert!(!rows.is_empty() && rows.len() <= limit, "{answer}");
        found.extend(rows.iter().map(|row| row[column].as_str().unwrap().to_owned()));
        match answer["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return found,
        }
    }
}

#[test]
fn every_list_has_pages_that_neither_repeat_nor_miss() {
    const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
    let mut service = Service::with(Limits { groups: 3, ..Limits::default() });
    for (number, name) in (1..).zip(NAMES) {
        // With each consumer more requests, so that the last has the most.
        let all: Vec<Made> =
            NAMES[..number].iter().map(|consumer| Made { consumer, ..made("/a", 200, 0.1) }).collect();
        let frame = Frame { resource: vec![text("service.namespace", name)], ..Frame::at(NOON) };
        service.send("/v1/metrics", Some((name, 1, 1)), &frame.of(&all)).accepted();
        service.send("/v1/logs", Some((name, 1, 1)), &log(&[(NOON, made("/a", 200, 0.1))])).accepted();
    }
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        for name in NAMES {
            let row = (name, "prod", "inbound", r#"{"places":{"/repos":["search"]}}"#, 1, 500);
            file.execute("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?)", row).unwrap();
        }
    });
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    for limit in [1, 3] {
        let ordered = pages(&service, &format!("summary?{DAY}&group_by=consumer&"), limit, "consumer");
        assert_eq!(ordered, NAMES, "by {limit}: most requests first");
        let gateways = pages(&service, &format!("summary?{DAY}&group_by=gateway&"), limit, "gateway");
        assert_eq!(gateways, NAMES.iter().rev().copied().collect::<Vec<_>>(), "by {limit}");
    }
    for limit in [1, 3, 7, 100] {
        assert_eq!(sorted(pages(&service, "consumers?", limit, "id")), NAMES, "by {limit}");
        assert_eq!(sorted(pages(&service, "gateways?", limit, "instance")), NAMES, "by {limit}");
        assert_eq!(pages(&service, "patterns?", limit, "service"), NAMES, "by {limit}");
    }
    assert_eq!(pages(&service, "gateways?gateway=b,c&service=orders&", 1, "instance").len(), 2);
    let small = service.json("/api/v1/gateways");
    assert!(small.get("next").is_none(), "{small}");
    // Where one answer holds all groups, their sums are those of the pages.
    let answer = service.json(&format!("/api/v1/summary?{DAY}&group_by=consumer&limit=2"));
    assert_eq!(rows(&answer, "rows", &["requests", "p50_ms"]), json!([[7, 99.571384], [6, 99.571384]]));
    for (question, field) in [
        ("summary?limit=4", "limit"),
        ("summary?cursor=zz", "cursor"),
        ("gateways?limit=0", "limit"),
        ("gateways?cursor=00", "cursor"),
        ("consumers?cursor=00", "cursor"),
        ("patterns?cursor=x", "cursor"),
        ("patterns?limit=1001", "limit"),
    ] {
        let answer = service.get(&format!("/api/v1/{question}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &json!(field)), "{question}: {body}");
    }
}

#[test]
fn consumers_are_of_a_direction() {
    let service = Service::start();
    let by = |consumer| Made { consumer, ..made("/a", 200, 0.1) };
    service
        .send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&[by("acme"), by("both")]))
        .accepted();
    let mut outbound = Frame::at(NOON).of(&[by("job"), by("both")]);
    let attributes = &mut outbound.resource_metrics[0].resource.as_mut().unwrap().attributes;
    attributes.retain(|attribute| attribute.key != "gatelens.direction");
    attributes.push(text("gatelens.direction", "outbound"));
    service.send("/v1/metrics", Some(("edge-2", 1, 1)), &outbound).accepted();
    let list = |query: &str| {
        rows(&service.json(&format!("/api/v1/consumers?{query}")), "rows", &["id", "direction"])
    };
    assert_eq!(list(""), json!([["acme", "inbound"], ["both", "inbound"]]));
    assert_eq!(list("direction=outbound"), json!([["both", "outbound"], ["job", "outbound"]]));
    assert_eq!(list("direction=inbound,outbound&consumer=both").as_array().unwrap().len(), 2);
}

/// Epochs of which each file knows some: the latest sight of all files is what counts.
#[test]
fn pages_of_gateways_are_in_order_whichever_files_know_them() {
    const EPOCHS: i64 = 600;
    let mut service = Service::start();
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &log(&[(NOON, made("/a", 200, 0.1))])).accepted();
    let now = jiff::Timestamp::now();
    let base = now.as_nanosecond() as i64 - 3_600_000_000_000;
    // By file: which epochs it knows, and how many seconds after the start it has seen each last.
    let known: [fn(i64) -> Option<i64>; 3] = [
        |number| (number % 3 != 0).then_some(number * 7_919 % EPOCHS),
        |number| (number % 2 == 0).then_some(number * 104_729 % EPOCHS),
        |number| (number % 5 == 0).then_some(number * 31 % EPOCHS),
    ];
    let is_expired = |number: i64| number % 7 == 0;
    service.restart(|data| {
        let day = |ago: i64| {
            let at = now - jiff::SignedDuration::from_hours(24 * ago);
            data.join(format!("requests-{}.db", at.to_zoned(jiff::tz::TimeZone::UTC).date()))
        };
        // The day may have changed since the request came.
        let found = if day(0).exists() { day(0) } else { day(1) };
        for ago in 0..2 {
            if found != day(ago) {
                std::fs::copy(&found, day(ago)).unwrap();
            }
        }
        for (path, known) in [data.join("metrics.db"), day(0), day(1)].into_iter().zip(known) {
            let mut file = rusqlite::Connection::open(&path).unwrap();
            let change = file.transaction().unwrap();
            change.execute_batch("DELETE FROM gateways").unwrap();
            for (number, last) in (0..EPOCHS).filter_map(|number| Some((number, known(number)?))) {
                let row = rusqlite::params![
                    number + 1,
                    format!("edge-{}", number % 50),
                    format!("{number:016x}"),
                    base + number,
                    base + last * 1_000_000_000
                ];
                let insert =
                    "INSERT INTO gateways (id, instance, epoch, service, environment, first_seen, last_seen)
                              VALUES (?, ?, ?, 'orders', 'prod', ?, ?)";
                change.execute(insert, row).unwrap();
            }
            if path.ends_with("metrics.db") {
                let expired =
                    "INSERT INTO expired_gateways SELECT id, last_seen FROM gateways WHERE (id - 1) % 7 = 0";
                change.execute_batch(expired).unwrap();
            }
            change.commit().unwrap();
        }
    });
    let mut expected: Vec<(i64, String, String)> = (0..EPOCHS)
        .filter_map(|number| {
            let all = known.map(|known| known(number));
            let last = all.into_iter().flatten().max()?;
            let is_gone = is_expired(number) && all[0].is_some_and(|at| last <= at);
            (!is_gone).then(|| (-last, format!("edge-{}", number % 50), format!("{number:016x}")))
        })
        .collect();
    expected.sort();
    assert!(expected.len() > 400, "{}", expected.len());
    let expected: Vec<_> = expected.into_iter().map(|(.., epoch)| epoch).collect();
    for limit in [37, 200, 1_000] {
        assert_eq!(pages(&service, "gateways?", limit, "epoch"), expected, "by {limit}");
    }
    // A row is the same on any page.
    let whole = service.json("/api/v1/gateways?limit=1000")["rows"].as_array().unwrap().clone();
    let first = service.json("/api/v1/gateways?limit=200")["rows"].as_array().unwrap().clone();
    assert_eq!(whole[..200], first);
}
