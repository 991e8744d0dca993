//! `gatelens store`: a directory goes to a ClickHouse once, however often it is copied.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, NOON, log, made};
use gatelens_testkit::wait::eventually;
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use serde_json::Value;
use std::process::{Output, Stdio};
use std::time::Duration;
use support::{EDGE, Service, gatelens};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn run(command: &mut std::process::Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_directory_is_copied_once_however_often_the_copy_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let path = data.to_str().unwrap().to_owned();
    let copy = |store: &str| gatelens(&["store", "copy", "--data", &path, "--store", store]);
    let nobody = "clickhouse+http://127.0.0.1:9/g";
    let (status, _, said) = run(&mut copy(nobody));
    assert!(status == Some(1) && said.contains("has no data of gatelens"), "{said}");
    let (status, _, said) = run(&mut copy("clickhouse+http://ann:secret@db/g"));
    assert!(status == Some(2) && said.contains("password"), "{said}");

    let service = Service::start(&data);
    for sequence in 1..=3u64 {
        let all = vec![made("/a", 200, 0.1); sequence as usize];
        assert!(service.send("/v1/metrics", EDGE, sequence, &Frame::at(NOON).of(&all)));
        assert!(service.send("/v1/logs", EDGE, sequence, &log(&[(NOON + sequence, made("/a", 200, 0.1))])));
    }
    let (status, _, said) = run(&mut copy(nobody));
    assert!(status == Some(1) && said.contains(&format!("(process {})", service.id())), "{said}");
    service.stop();
    let (status, _, said) = run(&mut copy(nobody));
    assert!(
        status == Some(1) && said.contains("cannot use the store clickhouse+http://default@127.0.0.1:9/g"),
        "{said}"
    );

    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = format!("clickhouse+{}/g", server.url());
    for table in ["minutes", "requests"] {
        let target = ClickHouseTarget::containing(&format!("INSERT INTO {table}"), 1);
        server.fault(ClickHouseFault::DelayAnswer(Duration::from_secs(600)), &target).unwrap();
        let mut command = copy(&store);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut copying = command.spawn().unwrap();
        let rows = || {
            let mut answer = ureq::post(server.url()).send(format!("SELECT count() FROM g.{table}")).ok()?;
            answer.body_mut().read_to_string().ok()?.trim().parse::<u64>().ok()
        };
        // The rows are there, and their answer is not.
        eventually("the copy to have inserted", || Ok(rows().filter(|rows| *rows > 0))).unwrap();
        copying.kill().unwrap();
        copying.wait().unwrap();
        server.clear_faults().unwrap();
    }
    for _ in 0..2 {
        let (status, printed, said) = run(copy(&store).args(["--format", "json"]));
        assert_eq!(status, Some(0), "{said}");
        let sums: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(
            (&sums["series"], &sums["streams"], &sums["requests"]),
            (&1.into(), &1.into(), &3.into()),
            "{sums}"
        );
        assert!(said.contains("gatelens: copying requests-"), "{said}");
    }
    let (status, printed, _) = run(&mut copy(&store));
    assert!(
        status == Some(0) && printed.starts_with("copied: 1 series, the states of 1 streams"),
        "{printed}"
    );

    let mut replica = gatelens(&["serve", "--listen", "127.0.0.1:0", "--store", &store, "--data"]);
    replica.arg(dir.path().join("replica"));
    let replica = Service::start_with(replica).unwrap();
    let requests = || replica.json(&format!("/api/v1/summary?{DAY}"))["rows"][0]["requests"].clone();
    assert_eq!((requests(), replica.request_ids(DAY).len()), (3.into(), 3));
    replica.stop();
}

#[test]
fn statements_are_printed_for_each_layout() {
    let check = |arguments: &[&str], words: &[&str]| {
        let (status, printed, said) = run(gatelens(&["store", "schema"]).args(arguments));
        assert_eq!(status, Some(0), "{said}");
        words.iter().for_each(|word| assert!(printed.contains(word), "{arguments:?} should print {word:?}"));
    };
    check(
        &[],
        &[
            "CREATE DATABASE IF NOT EXISTS gatelens;",
            "gatelens.minutes (",
            "ENGINE = ReplacingMergeTree(version)",
        ],
    );
    check(
        &["--cluster", "main"],
        &["ON CLUSTER 'main' (", "ReplicatedReplacingMergeTree('/clickhouse/tables/"],
    );
    check(
        &["--cluster", "main", "--sharded", "--database", "g"],
        &["Distributed('main', 'g', 'states_local', stream)"],
    );
    for wrong in [&["--sharded"][..], &["--database", "a;b"]] {
        assert_eq!(run(gatelens(&["store", "schema"]).args(wrong)).0, Some(2), "{wrong:?}");
    }
}
