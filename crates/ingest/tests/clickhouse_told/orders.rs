//! Orders to forget: given to one replica, carried out by all.

use crate::clickhouse_told::{LOOK, replica};
use crate::issues::{DAY, by, failed};
use crate::support::clickhouse::{count, run, wait_until};
use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, export_logs, made};
use crate::support::{Service, database_at};
use gatelens_ingest::ClickHouseConfig;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_testkit::ClickHouse;
use std::path::Path;

const PATHS: [&str; 4] = [
    "consumers",
    "directory",
    "audit",
    "summary?group_by=consumer&from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z",
];

/// Requests and a failure of a consumer at a replica.
fn requests(service: &Service, sequence: u64, consumer: &'static str) {
    let frame = Frame::at(NOON + sequence * MINUTE);
    let counted = vec![Made { consumer, ..made("/a", 200, 0.1) }; sequence as usize];
    service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &frame.of(&counted)).accepted();
    let failures =
        vec![by(consumer, failed(NOON + sequence * SECOND, "/a", 500, "")), failed(NOON, "/a", 500, "")];
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(failures)).accepted();
}

/// Whether a replica shows a text anywhere where consumers are named.
fn shows(service: &Service, text: &str) -> bool {
    let of_issues = service.json(&format!("/api/v1/issues?{DAY}"));
    let ids = of_issues["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("issues/{}", row["id"].as_str().unwrap()));
    let mut paths = PATHS.iter().map(|path| (*path).to_owned()).chain(ids);
    paths.any(|path| service.json(&format!("/api/v1/{path}")).to_string().contains(text))
}

/// The number of rows that replicas have told and that meet a condition.
fn told(store: &ClickHouseConfig, condition: &str) -> u64 {
    count(store, &format!("told WHERE {condition}"))
}

const NAMED: &str = "position(name, 'globex') > 0 OR position(value, 'globex') > 0";

#[test]
fn what_one_replica_forgets_all_forget() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, other, mut away] = [replica(&store), replica(&store), replica(&store)];
    for (number, service) in [&one, &other, &away].into_iter().enumerate() {
        requests(service, number as u64 + 1, "globex");
    }
    wait_until("all show it", || [&one, &other, &away].into_iter().all(|service| shows(service, "globex")));
    let selection = Selection { consumer: Some("globex".to_owned()), ..Selection::default() };
    // One of them is away meanwhile.
    away.restart(|_: &Path| {
        assert_eq!(forget(one.data(), &selection, Deed::Count).unwrap().consumers, 1);
        assert_eq!(told(&store, "kind = 'forget_order'"), 0, "counting orders nothing");
        assert_eq!(forget(one.data(), &selection, Deed::Remove).unwrap().consumers, 1);
        wait_until("the other one forgets", || !shows(&other, "globex"));
        assert_eq!(told(&store, "kind = 'forget_order'"), 1, "it waits for the one that is away");
    });
    wait_until("the one that was away forgets", || !shows(&away, "globex"));
    wait_until("the order goes", || told(&store, NAMED) == 0);
    wait_until("its traces go", || told(&store, "kind IN ('forget_order', 'forget_done')") == 0);
    // What comes later is news.
    std::thread::sleep(5 * LOOK);
    requests(&other, 4, "globex");
    requests(&one, 5, "initech");
    let new = replica(&store);
    for service in [&one, &other, &away, &new] {
        wait_until("what is new is shown", || shows(service, "globex") && shows(service, "initech"));
    }
}

#[test]
fn an_order_that_waits_for_a_replica_that_never_comes_goes_after_a_day() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let one = replica(&store);
    requests(&one, 1, "globex");
    let insert =
        |rows: &str| run(&store, &format!("INSERT INTO told (kind, name, replica, value, at) VALUES {rows}"));
    insert(
        r#"('replica', '["gone"]', 'gone', '{}', now64(3) - INTERVAL 1 HOUR),
           ('forget_order', '["1"]', '', '{"consumer": "globex"}', now64(3)),
           ('forget_order', '["2"]', '', '{"consumer": "initech"}', now64(3) - INTERVAL 25 HOUR),
           ('forget_order', '["3"]', '', '{"of a later version": 1', now64(3)),
           ('forget_order', '["4"]', '', '{"of a later version": 1', now64(3) - INTERVAL 25 HOUR)"#,
    );
    // Its counts went by the replica that got the order.
    let is_known = || one.json("/api/v1/consumers").to_string().contains("globex");
    wait_until("the orders are carried out", || !is_known());
    wait_until("the old ones go", || told(&store, "kind = 'forget_order'") == 2);
    assert_eq!(told(&store, NAMED), 1);
}
