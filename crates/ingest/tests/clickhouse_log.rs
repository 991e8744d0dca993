//! The request log on ClickHouse: replicas give the requests that files give, whatever happens on the way.

use crate::support::otlp::{
    MINUTE, Made, NOON, SECOND, attribute, export_logs, flag, int, list, log, made, record, text,
};
use crate::support::{Service, database_at};
use gatelens_ingest::Retention;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;

const LOGS: &str = "/v1/logs";
const DAYS: &str = "from=2026-06-19T00:00:00Z&to=2026-06-22T00:00:00Z";
const DAY: u64 = 24 * 60 * MINUTE;

/// Numbers that are the same for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A batch under its identity.
pub(crate) struct Batch {
    instance: &'static str,
    sequence: u64,
    body: Vec<u8>,
}

impl Batch {
    pub(crate) fn send(&self, to: &Service) -> u16 {
        to.send_bytes(LOGS, (self.instance, 1, self.sequence), &self.body).status
    }
}

/// Texts with all that could mean something to a statement or a pattern.
const PATHS: [&str; 12] = [
    "/orders/7",
    "/Orders/8/items",
    "/users/42",
    "/users/42/carts",
    "/it's/a\\path",
    "/100%/under_score",
    "/caf\u{e9}/*star",
    "/new\nline\ttab",
    "/files/3fa85f64-5717-4562-b3fc-2c963f66afa6/meta",
    "/files/3FA85F64-5717-4562-B3FC-2C963F66AFA6",
    "/\u{0}nul?",
    "",
];
const AGENTS: [&str; 5] = ["curl/8", "Mozilla/5.0 (X11; Linux)", "", "bot%", "b_t"];

/// A request with each attribute or without it, in the nanosecond `number` of its minute, so that no two are of the same time.
fn request(chance: &mut Chance, number: u64) -> opentelemetry_proto::tonic::logs::v1::LogRecord {
    let time = NOON - DAY / 2 - MINUTE + chance.below(DAY / MINUTE) * MINUTE + number;
    let route = chance.of(&[
        "/orders/{id}",
        "/users/{number}",
        "/users/search",
        "__unmatched__",
        "named route",
        "/a",
    ]);
    let status = chance.of(&[200, 200, 201, 301, 404, 429, 499, 500, 503, 0]);
    // No two have the same duration.
    let mut record = record(time, &made(route, status, 0.0));
    let put = |attributes: &mut Vec<KeyValue>, new: KeyValue| {
        attributes.retain(|old| old.key != new.key);
        attributes.push(new);
    };
    let all = &mut record.attributes;
    put(all, int("gatelens.duration_ns", (chance.below(3_000) * 1_000_000 + number) as i64));
    put(
        all,
        text(
            "gatelens.consumer.id",
            chance.of(&["acme", "globex", "o'neil", "50%_off", "3fa85f64-5717-4562-b3fc-2c963f66afa6"]),
        ),
    );
    put(all, text("http.request.method", chance.of(&["GET", "POST", "DELETE"])));
    put(all, text("url.path", chance.of(&PATHS)));
    put(all, text("user_agent.original", chance.of(&AGENTS)));
    put(all, text("client.address", chance.of(&["192.0.2.7", "2001:db8::1", "198.51.100.9"])));
    for key in [
        "gatelens.duration_ns",
        "gatelens.upstream.duration_ns",
        "url.path",
        "user_agent.original",
        "client.address",
        "client.port",
        "gatelens.request_id",
        "http.request.body.size",
        "http.response.body.size",
        "http.request.resend_count",
        "gatelens.response_flags",
    ] {
        if chance.one_in(6) {
            all.retain(|attribute| attribute.key != key);
        }
    }
    let optional = [
        text("gatelens.route.source", chance.of(&["template", "route_name"])),
        text("url.scheme", "https"),
        text("url.query", chance.of(&["a=1", "", "q='; DROP TABLE requests; --"])),
        text("rpc.response.status_code", chance.of(&["OK", "UNAVAILABLE", "NOT_FOUND"])),
        text("error.type", chance.of(&["timeout", "503"])),
        text("server.address", chance.of(&["api.example.com", "shop.example.com"])),
        int("server.port", 8443),
        text("gatelens.upstream.cluster", chance.of(&["carts", "orders"])),
        flag("gatelens.consumer.trusted"),
        text("http.request.method_original", "PURGE"),
        text("network.protocol.version", chance.of(&["1.1", "2"])),
        text("gatelens.response_code_details", "via_upstream"),
        text("gatelens.reported.error", "Out Of Stock"),
        text("gatelens.reported.tags", "shop=7,plan=free"),
        list("http.request.header.x-tenant", &["Acme", "b\"ob"]),
        list("http.response.header.x-tenant", &["acme"]),
        list("http.response.header.server", &["envoy"]),
        text("gatelens.request.body.content", r#"{"name":"Zo\u00eb"}"#),
        text("gatelens.response.body.content", chance.of(&["out of STOCK", "", "plain"])),
        text("gatelens.response.body.omitted", "too_large"),
        int("gatelens.attempts", chance.below(4) as i64),
        attribute("gatelens.sample.weight", any_value::Value::DoubleValue(2.5)),
    ];
    for attribute in optional {
        if chance.one_in(4) {
            put(all, attribute);
        }
    }
    if chance.one_in(5) {
        record.trace_id = Vec::new();
        record.span_id = Vec::new();
    } else {
        record.trace_id = u128::from(number + 0xabc_def0).to_be_bytes().to_vec();
    }
    record
}

/// Batches of several senders, over several days.
pub(crate) fn traffic(chance: &mut Chance) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut number = 0;
    for (instance, service, environment, direction) in [
        ("edge-1", "orders", "prod", "inbound"),
        ("edge-2", "orders", "test", "inbound"),
        ("it's \\ 3", "o'rders", "prod", "inbound"),
        ("edge-4", "orders", "prod", "outbound"),
    ] {
        for sequence in 1..=8 {
            let records = (0..chance.below(20) + 1).map(|_| {
                number += 1;
                request(chance, number)
            });
            let mut batch = export_logs(records.collect());
            let resource = &mut batch.resource_logs[0].resource.as_mut().unwrap().attributes;
            for (key, value) in [
                ("service.instance.id", instance),
                ("service.name", service),
                ("deployment.environment.name", environment),
                ("gatelens.direction", direction),
                ("service.version", "v1"),
            ] {
                resource.retain(|attribute| attribute.key != key);
                resource.push(text(key, value));
            }
            batches.push(Batch { instance, sequence, body: batch.encode_to_vec() });
        }
    }
    batches
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Questions for requests by each parameter and each key of the search, with values that some have and values that none has.
pub(crate) fn questions() -> Vec<String> {
    let mut all = vec![String::new()];
    let parameters = [
        ("consumer", "acme"),
        ("consumer", "!acme"),
        ("consumer", "o'neil,50%_off"),
        ("group", "gold"),
        ("group", "!gold"),
        ("method", "get,post"),
        ("method", "!get"),
        ("route", "/orders/{id}"),
        ("route", "/users/{number},__unmatched__"),
        ("route", "!/users/search"),
        ("route", "named route"),
        ("route", "/a"),
        ("status", "200,5xx"),
        ("status", "!4xx"),
        ("status", "0"),
        ("grpc_status", "UNAVAILABLE"),
        ("grpc_status", "!0"),
        ("error_type", "timeout"),
        ("error_type", "!timeout"),
        ("host", "api.example.com"),
        ("upstream_cluster", "!carts"),
        ("service", "o'rders"),
        ("environment", "!prod"),
        ("version", "v1"),
        ("version", "!v1"),
        ("direction", "outbound"),
        ("direction", "inbound,outbound"),
        ("direction", "!inbound"),
        ("gateway", r"it's \\ 3"),
        ("gateway", "!edge-1"),
        ("errors", "true"),
        ("errors", "false"),
        ("request_id", "id-1,id-2"),
        ("request_id", "!id-1"),
        ("trace_id", "0000000000000000000000000abcdef5"),
        ("trace_id", "!0000000000000000000000000abcdef5"),
        ("path", "/orders/*"),
        ("path", "!/orders/*"),
        ("path", "*/carts"),
        ("path", "/it's/a\\\\path"),
        ("path", "/100%/under_score"),
        ("path", "/100%*_score"),
        ("path", "*line*"),
        ("path", "*"),
        ("path", "!*"),
        ("path", "/users/42*carts"),
        ("client_address", "2001:db8::1"),
        ("client_address", "!192.0.2.7"),
        ("user_agent", "*bot*,*(X11*"),
        ("user_agent", "b_t"),
        ("user_agent", "bot%"),
        ("user_agent", "!*5*"),
        ("min_duration_ms", "1500"),
        ("max_duration_ms", "700.5"),
        ("min_upstream_ms", "0"),
    ];
    all.extend(parameters.map(|pair| encoded(&[pair])));
    let searches = [
        "status:5xx -status:503",
        "status>=400 status<500",
        "-status:200",
        "grpc_status:UNAVAILABLE,5",
        "-grpc_status:0",
        "duration>500ms duration<2s",
        "-duration>1s",
        "upstream<1ms",
        "request_bytes=100",
        "-response_bytes>0",
        "errors:true",
        "-errors:true",
        "errors:false route:/users/*",
        "path:/orders/*",
        "path:ORDERS",
        "-path:orders",
        "path:*",
        "-path:*",
        "path=/orders/7",
        r#"path:"it's""#,
        r#"path:"%""#,
        r#"query:drop"#,
        "query:*",
        "-query:*",
        "query=a=1",
        "consumer:acme,o*",
        "-consumer:*e*",
        "group:gold",
        "-group:gold",
        "method:delete",
        "route:/users/7",
        "-route:/users/search",
        "route:*ear*",
        "error_type:t*t",
        "-error_type:*",
        "host:*.example.com",
        "upstream_cluster=carts",
        "service:o*",
        "environment:prod gateway:edge-*",
        "-gateway:edge-*",
        "direction:outbound",
        "direction:inbound",
        "version:v*",
        "request_id:id-*",
        "-request_id:id-*",
        "trace_id:0000000000000000000000000abcdef5",
        "trace_id:*abcdf*",
        "-trace_id:*",
        "client_address:192.*",
        "user_agent:MOZILLA",
        "user_agent:*",
        "header:acme",
        "header.x-tenant:acme",
        r#"header.x-tenant=b"ob"#,
        "-header.x-tenant:acme",
        "request_header:tenant",
        "response_header.server:envoy",
        "body:stock",
        "-body:stock",
        "response_body:*",
        "request_body:zo",
        "acme",
        "-acme",
        "abcdef",
        "GET",
        "-POST 42",
        "*ers*",
        "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "-3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "0000000000000000000000000abcdefa",
        "nothing-has-this",
    ];
    all.extend(searches.map(|search| encoded(&[("q", search), ("direction", "inbound,outbound")])));
    all.push(encoded(&[("q", "status:5xx orders"), ("consumer", "!globex"), ("min_duration_ms", "100")]));
    all
}

/// All rows of a question, page by page.
pub(crate) fn rows(service: &Service, question: &str, limit: u64) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = service.json(&format!("/api/v1/requests?{DAYS}&limit={limit}&{question}{next}"));
        found.extend(page["rows"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

pub(crate) fn assert_same(found: &[Value], expected: &[Value], what: &str) {
    let times = |rows: &[Value]| rows.iter().map(|row| row["time"].clone()).collect::<Vec<_>>();
    assert_eq!(times(found), times(expected), "{what}");
    assert_eq!(found, expected, "{what}");
}

#[test]
fn each_question_has_the_answer_of_the_files_and_repeats_change_none() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let files = Service::on_files();
    let store = database_at(server.url());
    let replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let mut chance = Chance(11);
    let batches = traffic(&mut chance);
    for batch in &batches {
        assert_eq!(batch.send(&files), 200);
        let first = chance.below(2) as usize;
        assert_eq!(batch.send(&replicas[first]), 200);
        if chance.one_in(3) {
            assert_eq!(batch.send(&files), 200);
            assert_eq!(batch.send(&replicas[1 - first]), 200);
        }
    }
    for (at, question) in questions().iter().enumerate() {
        let replica = &replicas[at % 2];
        let expected = rows(&files, question, 1000);
        assert_same(&rows(replica, question, 1000), &expected, question);
        let known = |rows: Vec<Value>| -> Vec<Value> {
            // Of requests without a duration, files give the one first that came last.
            rows.into_iter().filter(|row| !row["duration_ms"].is_null()).collect()
        };
        let by_duration = format!("{question}&sort=duration");
        let slowest = rows(&files, &by_duration, 1000);
        let check_slowest = |found: Vec<Value>| {
            assert_eq!(found.len(), slowest.len(), "{question}");
            assert_same(&known(found), &known(slowest.clone()), &by_duration);
        };
        check_slowest(rows(replica, &by_duration, 1000));
        if at % 12 == 0 {
            assert_same(&rows(replica, question, 7), &expected, &format!("{question} in pages"));
            check_slowest(rows(replica, &by_duration, 9));
            for format in ["csv", "ndjson"] {
                let of = |service: &Service| {
                    service.get(&format!("/api/v1/requests/export?{DAYS}&format={format}&{question}")).text()
                };
                assert_eq!(of(replica), of(&files), "{question} as {format}");
            }
        }
    }
    // The range of time is exact.
    for range in [
        "from=2026-06-20T03:00:00Z&to=2026-06-20T12:00:00.000000050Z",
        "from=2026-06-20T11:59:00Z&to=2026-06-20T12:01:00Z",
    ] {
        let of =
            |service: &Service| service.json(&format!("/api/v1/requests?{range}&limit=1000"))["rows"].clone();
        assert_eq!(of(&replicas[0]), of(&files), "{range}");
    }
    // A cursor of the other store is refused.
    let cursor = |service: &Service| {
        service.json(&format!("/api/v1/requests?{DAYS}&limit=1"))["next"].as_str().unwrap().to_owned()
    };
    let of_files = cursor(&files);
    let answer = replicas[0].get(&format!("/api/v1/requests?{DAYS}&cursor={of_files}"));
    assert_eq!(answer.status, 400, "{}", answer.text());
}

/// A hundred requests of two days, so that they become two parts of the table.
fn of_two_days(sequence: u64) -> ExportLogsServiceRequest {
    let all: Vec<_> = (0..100u64)
        .map(|number| (NOON + number % 2 * DAY + sequence * SECOND + number, made("/a", 200, 0.1)))
        .collect();
    log(&all)
}

/// The ids of all requests, which must be there once.
fn ids(service: &Service) -> BTreeSet<String> {
    let range = "from=2026-06-19T00:00:00Z&to=2026-06-25T00:00:00Z";
    let (mut ids, mut next) = (BTreeSet::new(), String::new());
    loop {
        let page = service.json(&format!("/api/v1/requests?{range}&limit=1000{next}"));
        for row in page["rows"].as_array().unwrap() {
            assert!(ids.insert(row["request_id"].as_str().unwrap().to_owned()), "twice: {row}");
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return ids,
        }
    }
}

#[test]
fn a_batch_counts_once_whatever_happens_to_its_insert() {
    let Some(mut server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let mut expected = 0;
    let faults = [
        (ClickHouseFault::Refuse(252, "TOO_MANY_PARTS"), 1),
        (ClickHouseFault::LoseAnswer, 1),
        (ClickHouseFault::LoseAnswer, 2),
        (ClickHouseFault::DieBefore, 1),
        (ClickHouseFault::DieDuring(Duration::from_millis(3)), 1),
        (ClickHouseFault::DieAfter, 1),
        (ClickHouseFault::Halve, 1),
    ];
    for (sequence, (fault, times)) in (1..).zip(faults) {
        let kills = format!("{fault:?}").starts_with("Die") || matches!(fault, ClickHouseFault::Halve);
        let is_refused = matches!(fault, ClickHouseFault::Refuse(..));
        let name = format!("{fault:?} {times} times");
        let target = ClickHouseTarget { kind: "INSERT", containing: "INTO requests".to_owned(), times };
        server.fault(fault, &target).unwrap();
        let body = of_two_days(sequence).encode_to_vec();
        let send = |replica: &Service| replica.send_bytes(LOGS, ("edge-1", 1, sequence), &body).status;
        let mut status = send(&replicas[0]);
        if kills || is_refused || times > 1 {
            assert_eq!(status, 503, "{name}");
        }
        if kills {
            server.wait_for_death().unwrap();
            server.restart().unwrap();
        }
        server.clear_faults().unwrap();
        if status != 200 {
            status = send(&replicas[1]);
        }
        assert_eq!(status, 200, "{name}");
        // And once more, to the one that never got an answer.
        assert_eq!(send(&replicas[0]), 200, "{name}");
        expected += 100;
        for replica in &replicas {
            assert_eq!(ids(replica).len(), expected, "{name}");
        }
    }
}

#[test]
fn batches_that_come_at_once_are_inserted_together() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let service = Service::on_store(database_at(server.url()));
    const SENDERS: u64 = 20;
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let service = &service;
            scope.spawn(move || {
                let all: Vec<_> =
                    (0..10).map(|number| (NOON + sender * SECOND + number, made("/a", 200, 0.1))).collect();
                service.send(LOGS, Some(("edge-1", sender + 1, 1)), &log(&all)).accepted();
            });
        }
    });
    assert_eq!(ids(&service).len() as u64, SENDERS * 10);
    let statements = server.statements().unwrap();
    let inserts = statements.iter().filter(|line| {
        line["statement"].as_str().is_some_and(|text| text.starts_with("INSERT INTO requests"))
    });
    let inserts = inserts.count() as u64;
    assert!((1..SENDERS).contains(&inserts), "{inserts} inserts");
}

#[test]
fn requests_at_one_replica_come_to_those_who_follow_at_another() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let send = |replica: &Service, sequence, route| {
        let batch = log(&[(NOON + sequence, made(route, 200, 0.1))]);
        replica.send(LOGS, Some(("edge-1", 1, sequence)), &batch).accepted();
    };
    let stream = ureq::get(format!("{}/api/v1/requests/stream", replicas[1].url)).call().unwrap();
    let mut lines = BufReader::new(stream.into_body().into_reader()).lines();
    while !lines.next().unwrap().unwrap().is_empty() {}
    send(&replicas[0], 2, "/there");
    send(&replicas[0], 2, "/there");
    send(&replicas[1], 3, "/here");
    send(&replicas[0], 3, "/here");
    let mut routes = Vec::new();
    while routes.len() < 2 {
        let line = lines.next().unwrap().unwrap();
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["skipped"], 0);
        let rows = data["rows"].as_array().unwrap();
        routes.extend(rows.iter().map(|row| row["route"].as_str().unwrap().to_owned()));
    }
    assert_eq!(routes, ["/there", "/here"]);
}

#[test]
fn old_days_and_forgotten_consumers_go_for_all_replicas() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let of_consumer = |consumer, at| (at, Made { consumer, ..made("/a", 200, 0.1) });
    let all = [
        of_consumer("acme", NOON - DAY),
        of_consumer("globex", NOON - DAY + 1),
        of_consumer("acme", NOON),
        of_consumer("globex", NOON + 1),
        of_consumer("globex", NOON + 2 * DAY),
    ];
    replicas[0].send(LOGS, Some(("edge-1", 1, 1)), &log(&all)).accepted();
    let selection = Selection { consumer: Some("acme".to_owned()), ..Selection::default() };
    for (deed, left) in [(Deed::Count, 5), (Deed::Remove, 3)] {
        let forgotten = forget(replicas[0].data(), &selection, deed).unwrap();
        assert_eq!((forgotten.requests_logged, ids(&replicas[1]).len()), (2, left), "{deed:?}");
    }
    // The newest request tells how late it is.
    let day = Duration::from_secs(24 * 3600);
    replicas[0].keep(Retention { requests: 2 * day, ..Retention::default() });
    let kept = BTreeSet::from([NOON + 1, NOON + 2 * DAY].map(|time| format!("id-{time}")));
    while ids(&replicas[1]) != kept {
        std::thread::sleep(Duration::from_millis(50));
    }
}
