//! Spans of applications at several replicas: all show what any of them took in.

use crate::spans::{TRACE, export, names, send, span, spans_of};
use crate::support::clickhouse::{run, wait_until};
use crate::support::otlp::{NOON, export_logs, made, record, text};
use crate::support::{Service, database_at, noise};
use gatelens_ingest::Limits;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use std::time::{Duration, Instant};

const EVER: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const PATIENCE: Duration = Duration::from_secs(60);

fn named(id: u8, name: &str) -> Span {
    span(id, 0, name, 2, (id.into(), 100))
}

#[test]
fn all_replicas_show_the_spans_of_a_trace() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [mut one, other] = [(); 2].map(|()| Service::on_store(store.clone()));
    let file = Service::on_files();
    let mut call = named(1, "GET /orders");
    call.attributes = vec![text("db.system.name", "postgresql"), text("url.full", "http://x/?card=4111")];
    let first = export("orders-api", vec![call.clone(), named(2, "café \"quoted\" \\")]);
    // The same request of the sender again, and spans of it with another one.
    let again = export("orders-api", vec![call, named(4, "late")]);
    let of_other = export("stock", vec![named(3, "stock")]);
    for (service, sent) in [(&one, &first), (&other, &of_other), (&other, &first), (&one, &again)] {
        send(service, sent);
        send(&file, sent);
    }
    let expected = spans_of(&file, TRACE);
    assert_eq!(names(&expected), ["GET /orders", "café \"quoted\" \\", "stock", "late"]);
    assert_eq!(spans_of(&one, TRACE), expected);
    assert_eq!(spans_of(&other, TRACE), expected);
    run(&store, "OPTIMIZE TABLE spans FINAL");
    assert_eq!(run(&store, "SELECT count(), sum(spans) FROM spans"), "3\t5");
    assert!(!run(&store, "SELECT * FROM spans").contains("4111"));
    assert_eq!(spans_of(&one, &TRACE.replace("0f", "10")), json!({"left_out": 0, "rows": []}));
    // Nothing of it is in the directory of a replica.
    one.restart(|_| ());
    assert_eq!(spans_of(&one, TRACE), expected);
    assert_eq!(spans_of(&Service::on_store(store), TRACE), expected);
}

#[test]
fn a_trace_has_its_bound_at_all_replicas() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let replicas = [(); 2].map(|()| Service::on_store(store.clone()));
    let many = |from: u16, to: u16| {
        let spans = (from..to).map(|n| {
            let id = [vec![1; 6], (n + 1).to_be_bytes().to_vec()].concat();
            Span { span_id: id, ..span(1, 0, "many", 1, (0, 1)) }
        });
        export("many", spans.collect())
    };
    for (place, (from, to)) in [(0, 600), (600, 1_200), (0, 600), (1_200, 1_800)].into_iter().enumerate() {
        send(&replicas[place % 2], &many(from, to));
    }
    for replica in &replicas {
        let answer = spans_of(replica, TRACE);
        assert_eq!((names(&answer).len(), &answer["left_out"]), (1_000, &json!(800)));
    }
    send(&replicas[0], &many(2_000, 4_500));
    let answer = spans_of(&replicas[1], TRACE);
    assert_eq!((names(&answer).len(), &answer["left_out"]), (1_000, &json!(3_300)));
    // One request with too many.
    let store = database_at(server.url());
    let service = Service::on_store(store);
    send(&service, &many(0, 2_500));
    let answer = spans_of(&service, TRACE);
    assert_eq!((names(&answer).len(), &answer["left_out"]), (1_000, &json!(1_500)));
}

#[test]
fn the_oldest_spans_go_when_the_room_is_full_and_the_log_stays() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let room = 400_000;
    let limits = Limits { spans_bytes: room, ..Limits::default() };
    let replicas = [(); 2].map(|()| Service::on_store_with(store.clone(), limits.clone()));
    let order = made("/orders", 200, 0.1);
    replicas[0].send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(vec![record(NOON, &order)])).accepted();
    let trace = |number: u8| [vec![9; 15], vec![number]].concat();
    for number in 1..=60_u8 {
        // 200 names that do not compress: some 40 KB.
        let spans = (1..=200).map(|id| Span {
            trace_id: trace(number),
            name: noise(u64::from(number) * 1_000 + u64::from(id), 200, b'a'..=b'z'),
            ..span(id, 0, "", 1, (0, 1))
        });
        send(&replicas[usize::from(number % 2)], &export("loud", spans.collect()));
    }
    let of = |number: u8| names(&spans_of(&replicas[0], &format!("{}{number:02x}", "09".repeat(15)))).len();
    assert_eq!((of(60), of(1)), (200, 0));
    let bytes = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'spans'";
    let bytes: u64 = run(&store, bytes).parse().unwrap();
    // Each replica may add an eighth between two looks, and the batch that it adds it with.
    assert!((room / 4..room * 3 / 2).contains(&bytes), "{bytes}");
    for replica in &replicas {
        assert_eq!(replica.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().len(), 1);
    }
    // Without room there are none, and no request is refused for it.
    let none =
        Service::on_store_with(database_at(server.url()), Limits { spans_bytes: 0, ..Limits::default() });
    send(&none, &export("a", vec![named(1, "a")]));
    assert_eq!(names(&spans_of(&none, TRACE)), [""; 0]);
}

#[test]
fn spans_go_with_their_environment_and_by_their_age() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, mut other] = [(); 2].map(|()| Service::on_store(store.clone()));
    send(&one, &export("a", vec![named(1, "a"), named(2, "b")]));
    send(&other, &export("a", vec![named(1, "a"), named(2, "b")]));
    let mut elsewhere = export("a", vec![named(3, "c")]);
    elsewhere.resource_spans[0].resource.as_mut().unwrap().attributes =
        vec![text("service.name", "a"), text("deployment.environment.name", "it's")];
    send(&one, &elsewhere);
    assert_eq!(names(&spans_of(&other, TRACE)), ["a", "b", "c"]);
    let forgotten = |environment: &str, deed| {
        let environment = Some(environment.to_owned());
        forget(one.data(), &Selection { environment, ..Selection::default() }, deed).unwrap().spans
    };
    assert_eq!((forgotten("prod", Deed::Count), forgotten("prod", Deed::Remove)), (2, 2));
    assert_eq!((forgotten("prod", Deed::Count), forgotten("it's", Deed::Count)), (0, 1));
    assert_eq!(names(&spans_of(&other, TRACE)), ["c"]);
    assert_eq!(forgotten("it's", Deed::Remove), 1);
    assert_eq!(names(&spans_of(&other, TRACE)), [""; 0]);
    // A stretch of long ago, and one with something of today.
    let old = |stretch: u32, days: u32| {
        let insert = "INSERT INTO spans (stretch, trace, environment, service, spans, received) VALUES";
        run(&store, &format!("{insert} ({stretch}, '{days}', 'prod', 'a', 1, now() - INTERVAL {days} DAY)"));
    };
    [(1, 30), (1, 16), (2, 16), (2, 14)].into_iter().for_each(|(stretch, days)| old(stretch, days));
    other.restart(|_| ());
    wait_until("old stretches go", || run(&store, "SELECT groupUniqArray(stretch) FROM spans") == "[2]");
}

#[test]
fn spans_that_the_server_does_not_take_cost_no_batch() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let service = Service::on_store(store.clone());
    let mut request = named(1, "GET /orders");
    request.attributes = vec![text("http.request.method", "GET"), text("http.route", "/orders")];
    let into_spans = ClickHouseTarget::containing("INTO spans", 1);
    server.fault(ClickHouseFault::Refuse(243, "NOT_ENOUGH_SPACE"), &into_spans).unwrap();
    send(&service, &export("a", vec![request]));
    assert_eq!(service.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().len(), 1);
    assert_eq!(names(&spans_of(&service, TRACE)), [""; 0]);
    // The answer does not come in time: the sender does not wait for it.
    let into_spans = ClickHouseTarget::containing("INTO spans", 1);
    server.fault(ClickHouseFault::Delay(Duration::from_secs(20)), &into_spans).unwrap();
    let begun = Instant::now();
    send(&service, &export("a", vec![named(2, "slow")]));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    server.clear_faults().unwrap();
    send(&service, &export("a", vec![named(3, "next")]));
    let deadline = Instant::now() + PATIENCE;
    while names(&spans_of(&service, TRACE)) != ["slow", "next"] {
        assert!(Instant::now() < deadline, "{}", spans_of(&service, TRACE));
        std::thread::sleep(Duration::from_millis(50));
    }
}
