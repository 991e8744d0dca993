//! Issues that replicas share: merges in any order, and what each replica adds itself.

use super::super::fingerprint::{Failure, Kind};
use super::super::observe::{Example, HOUR, Occurrences, Seen, Share, Value};
use super::super::reason::Reason;
use super::super::state::Standing;
use super::{Decision, IssuesFile, Regresses};
use crate::retention::Retention;
use crate::store::{Deed, Selection};
use crate::told::journal::Past;
use crate::told::{Pace, Row};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashMap, VecDeque};

const NOW: i64 = 1_800_000_000_000_000_000;

fn opened(replica: &str) -> (tempfile::TempDir, IssuesFile) {
    let directory = tempfile::tempdir().unwrap();
    let mut file = IssuesFile::open(&directory.path().join("issues.db")).unwrap();
    file.begin_telling(replica, Past::Untold, NOW).unwrap();
    (directory, file)
}

/// Merges rows until none waits for its issue any more, or none ever will.
fn merge(file: &mut IssuesFile, rows: &[Row]) {
    let mut early = usize::MAX;
    loop {
        let done = file.take_told(rows, NOW).unwrap();
        if done.early == 0 || done.early == early {
            return;
        }
        early = done.early;
    }
}

/// What questions read.
fn contents(file: &IssuesFile) -> Vec<String> {
    let tables = [
        (
            "issues",
            "id, failure, kind, service, environment, first_seen, last_seen, first_version, last_version, requests, logged, \
             consumers, more_consumers, standing, acknowledged, regressed_at, resolved_at, known_versions, changed_at, changed_by",
        ),
        ("hours", "issue, hour, requests"),
        ("issue_values", "issue, dimension, value, requests, last_seen"),
        ("fields", "issue, field, kind, message, requests, last_seen"),
        ("examples", "issue, time, request_id, trace_id, consumer, gateway"),
    ];
    let mut all = Vec::new();
    for (table, columns) in tables {
        let select = format!("SELECT json_array({columns}) FROM {table} ORDER BY 1");
        let mut select = file.connection.prepare(&select).unwrap();
        let rows = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(rows.map(|row| format!("{table}: {}", row.unwrap())));
    }
    all
}

/// What a replica has to tell, as others read it.
fn tell(file: &mut IssuesFile, replica: &str) -> Vec<Row> {
    let untold = file.untold(Pace::Slowly).unwrap();
    file.settle_told(&untold.ids).unwrap();
    untold.rows.into_iter().map(|row| Row { replica: replica.to_owned(), ..row }).collect()
}

/// A row that some replica may tell, of few keys and values, so that they meet.
fn told() -> impl Strategy<Value = Row> {
    let issue = select(vec!["1", "2"]);
    let replica = select(vec!["r1", "r2", "r3"]);
    let text = select(vec!["", "x", "y"]);
    (0usize..9, issue, (1i64..6, 1i64..6), 0i64..4, text, replica).prop_map(
        |(kind, issue, (time, other), number, text, replica)| {
            let (kind, rest, value) = match kind {
                0..=2 => (
                    "issue",
                    vec![],
                    json!({"failure": issue, "kind": "error", "service": "s", "direction": "inbound", "method": "GET",
                           "route": "/a", "status": 500, "grpc_status": null, "error_type": "", "class": "", "message": "",
                           "changed": time, "requests": other as f64, "logged": other, "first_seen": time.min(other),
                           "last_seen": time.max(other), "first_version": text, "last_version": text, "more_consumers": number / 3}),
                ),
                3 => {
                    let dimension = ["consumer", "version", "tag", "none"][number as usize];
                    (
                        "issue_values",
                        vec![json!(dimension), json!(text)],
                        json!({"changed": time, "requests": other as f64, "last_seen": time}),
                    )
                }
                4 => (
                    "issue_fields",
                    vec![json!(text), json!("k")],
                    json!({"changed": time, "message": text, "requests": other as f64, "last_seen": time}),
                ),
                5 => {
                    let hour = 24 * number + time;
                    let hours = BTreeMap::from([(hour.to_string(), other as f64), ("7".to_owned(), 1.0)]);
                    ("issue_hours", vec![json!(number)], json!({"hours": json!(hours).to_string()}))
                }
                6 => {
                    let examples: Vec<_> = (time..=time + 3 * number)
                        .map(|time| json!([time, format!("r{other}"), text, "acme", "edge-1"]))
                        .collect();
                    ("issue_examples", vec![], json!({"examples": json!(examples).to_string()}))
                }
                _ => {
                    let standing = ["open", "resolved", "resolved", "ignored"][number as usize];
                    let is_resolved = standing == "resolved";
                    let known = (is_resolved && text == "x").then_some("[\"y\"]");
                    (
                        "issue_decisions",
                        vec![],
                        json!({"changed_at": time, "changed_by": "", "standing": standing, "known_versions": known,
                               "resolved_at": is_resolved.then_some(time),
                               "regressed_at": (is_resolved && other > 3).then_some(other)}),
                    )
                }
            };
            let mut name = vec![json!(issue), json!("prod")];
            name.extend(rest);
            Row {
                kind: kind.to_owned(),
                name: Json::from(name).to_string(),
                value: value.to_string(),
                replica: replica.to_owned(),
            }
        },
    )
}

/// Failed requests of one issue at some times, all of one consumer and version.
fn seen(times: &[i64], (consumer, version): (&str, &str), fields: &[&str]) -> Seen {
    let failure = Failure {
        kind: Kind::Error,
        service: "s".into(),
        environment: "prod".into(),
        direction: "inbound".into(),
        method: "GET".into(),
        route: "/a".into(),
        status: 500,
        grpc_status: None,
        error_type: "".into(),
    };
    let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    let share = || {
        let mut share = Share::default();
        times.iter().for_each(|time| share.add(1.0, *time));
        share
    };
    let mut by_hour = BTreeMap::new();
    times.iter().for_each(|time| *by_hour.entry(time.div_euclid(HOUR)).or_default() += 1.0);
    let values = [(Value::Consumer, consumer), (Value::Version, version), (Value::Gateway, "edge-1")];
    let example = |time: &i64| Example {
        time: *time,
        request_id: format!("{consumer}-{time}"),
        trace_id: String::new(),
        consumer: consumer.into(),
        gateway: "edge-1".into(),
    };
    let occurrences = Occurrences {
        reason: Reason::default(),
        by_hour,
        first: (first, version.into()),
        last: (last, version.into()),
        requests: times.len() as f64,
        logged: times.len() as u64,
        values: values.map(|(dimension, value)| ((dimension, value.into()), share())).into(),
        fields: fields
            .iter()
            .map(|field| (((*field).to_owned(), "required".to_owned()), ("missing".to_owned(), share())))
            .collect(),
        examples: times.iter().map(example).collect::<VecDeque<_>>(),
        failure: failure.clone(),
    };
    Seen { issues: HashMap::from([(failure.id(), occurrences)]), left_out: 0 }
}

fn id(file: &IssuesFile) -> String {
    file.connection.query_row("SELECT id FROM issues", [], |row| row.get(0)).unwrap()
}

fn decide(file: &mut IssuesFile, standing: Standing, regresses: Regresses, at: i64) {
    let id = id(file);
    assert!(file.decide(&id, &Decision { standing, regresses, at, by: "ada" }).unwrap());
}

fn standing(file: &IssuesFile) -> (String, Option<i64>) {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    file.connection.query_row("SELECT standing, regressed_at FROM issues", [], read).unwrap()
}

/// Each tells the others what is new, until nobody has anything to tell.
fn exchange(files: &mut [(&str, &mut IssuesFile)]) {
    loop {
        let told: Vec<Vec<Row>> = files.iter_mut().map(|(replica, file)| tell(file, replica)).collect();
        if told.iter().all(Vec::is_empty) {
            return;
        }
        for (place, (_, file)) in files.iter_mut().enumerate() {
            let others = told.iter().enumerate().filter(|(other, _)| *other != place);
            merge(file, &others.flat_map(|(_, rows)| rows.clone()).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn merging_gives_the_same_in_any_order_and_however_often(
        rows in prop::collection::vec(told(), 1..60),
        (order, cut) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let (_one, mut one) = opened("me");
        merge(&mut one, &rows);
        let expected = contents(&one);
        merge(&mut one, &rows);
        prop_assert_eq!(contents(&one), expected.clone());
        prop_assert!(tell(&mut one, "me").is_empty());

        let mut shuffled = rows.clone();
        shuffled.rotate_left(order.index(rows.len()));
        shuffled.reverse();
        let (first, second) = shuffled.split_at(cut.index(rows.len()));
        let (_other, mut other) = opened("me");
        for part in [second, first, second, &shuffled] {
            merge(&mut other, part);
        }
        prop_assert_eq!(contents(&other), expected);
    }

    /// Batches at any of three replicas, which tell each other at any time: all have what one file has.
    #[test]
    fn replicas_have_what_one_file_has(
        batches in prop::collection::vec(
            (0usize..3, prop::collection::vec(1i64..100, 1..8), select(vec!["acme", "globex"]),
             select(vec!["1.0", "1.1"]), any::<bool>()),
            1..12,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut alone = IssuesFile::open(&directory.path().join("issues.db")).unwrap();
        let (_one, mut one) = opened("one");
        let (_two, mut two) = opened("two");
        let (_three, mut three) = opened("three");
        for (place, times, consumer, version, exchanges) in &batches {
            let mut times: Vec<_> = times.iter().map(|time| time * HOUR / 7).collect();
            times.sort_unstable();
            // One version at a time, because a file takes the one that came last.
            times.iter_mut().for_each(|time| *time += i64::from(*version == "1.1"));
            times.dedup();
            let seen = seen(&times, (consumer, version), &["name", consumer]);
            alone.add(&seen, None, NOW).unwrap();
            let mut files = [("one", &mut one), ("two", &mut two), ("three", &mut three)];
            files[*place].1.add(&seen, None, NOW).unwrap();
            if *exchanges {
                exchange(&mut files);
            }
        }
        exchange(&mut [("one", &mut one), ("two", &mut two), ("three", &mut three)]);
        let expected = contents(&alone);
        for file in [&one, &two, &three] {
            prop_assert_eq!(contents(file), expected.clone());
        }
    }
}

#[test]
fn a_resolved_issue_regresses_by_what_any_replica_has_seen() {
    let (_one, mut one) = opened("one");
    let (_two, mut two) = opened("two");
    one.add(&seen(&[10], ("acme", "1.0"), &[]), None, NOW).unwrap();
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    // The other one sees it before it knows of the decision.
    decide(&mut one, Standing::Resolved, Regresses::WhenSeen, 20);
    two.add(&seen(&[15, 30], ("acme", "1.0"), &[]), None, NOW).unwrap();
    assert_eq!(standing(&one).0, "resolved");
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    for file in [&one, &two] {
        assert_eq!(standing(file), ("open".to_owned(), Some(30)));
    }
    // A later decision holds, at whichever replica it was made, whatever the clocks show.
    decide(&mut two, Standing::Resolved, Regresses::InAnotherVersion, 19);
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    for file in [&one, &two] {
        assert_eq!(standing(file), ("resolved".to_owned(), None));
    }
    one.add(&seen(&[40], ("acme", "1.0"), &[]), None, NOW).unwrap();
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    assert_eq!(standing(&two).0, "resolved");
    two.add(&seen(&[50], ("acme", "1.1"), &[]), None, NOW).unwrap();
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    for file in [&one, &two] {
        assert_eq!(standing(file), ("open".to_owned(), Some(50)));
    }
    assert_eq!(contents(&one), contents(&two));
}

#[test]
fn what_a_file_had_before_it_had_a_server_is_told_once_and_a_copy_of_it_tells_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("issues.db");
    let mut file = IssuesFile::open(&path).unwrap();
    file.add(&seen(&[10, HOUR * 30], ("acme", "1.0"), &["name"]), None, NOW).unwrap();
    decide(&mut file, Standing::Ignored, Regresses::WhenSeen, 5);
    let expected = contents(&file);
    // The server knows the replica by what an earlier version has told.
    assert!(file.begin_telling("one", Past::Told, NOW).unwrap());
    let rows = tell(&mut file, "one");
    let (_other, mut other) = opened("other");
    merge(&mut other, &rows);
    assert_eq!(contents(&other), expected);
    // Without a server for a while.
    drop(file);
    let mut file = IssuesFile::open(&path).unwrap();
    file.add(&seen(&[20], ("acme", "1.0"), &["name"]), None, NOW).unwrap();
    drop(file);
    let mut file = IssuesFile::open(&path).unwrap();
    assert!(!file.begin_telling("one", Past::Told, NOW).unwrap());
    let rows = tell(&mut file, "one");
    merge(&mut other, &rows);
    assert_eq!(contents(&other), contents(&file));
    // Another replica begins with a copy of the file.
    file.begin_telling("copy", Past::Untold, NOW).unwrap();
    let own: Vec<Row> = tell(&mut file, "copy");
    assert!(own.iter().all(|row| ["issue_decisions", "issue_examples"].contains(&&*row.kind)), "{own:?}");
    assert!(!own.is_empty());
    merge(&mut other, &own);
    assert_eq!(contents(&other), contents(&file));
}

#[test]
fn what_goes_takes_the_parts_of_all_with_it() {
    let (_one, mut one) = opened("one");
    let (_two, mut two) = opened("two");
    let old = 10 * HOUR;
    one.add(&seen(&[old], ("acme", "1.0"), &["name"]), None, NOW).unwrap();
    two.add(&seen(&[old + 1, 5_000 * HOUR], ("globex", "1.0"), &[]), None, NOW).unwrap();
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    let selection = Selection { consumer: Some("acme".to_owned()), ..Selection::default() };
    for file in [&mut one, &mut two] {
        assert_eq!(file.forget(&selection, Deed::Remove).unwrap().in_part.len(), 1);
    }
    assert!(!contents(&one).concat().contains("acme"));
    exchange(&mut [("one", &mut one), ("two", &mut two)]);
    assert!(!contents(&one).concat().contains("acme") && !contents(&two).concat().contains("acme"));
    assert_eq!(contents(&one), contents(&two));
    one.prune(&Retention::default(), NOW).unwrap();
    let left = |file: &IssuesFile, table: &str| -> i64 {
        file.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((left(&one, "hours"), left(&one, "hour_parts")), (1, 1));
    let everything = Selection { environment: Some("prod".to_owned()), ..Selection::default() };
    assert_eq!(one.forget(&everything, Deed::Remove).unwrap().whole.len(), 1);
    for table in ["issues", "issue_parts", "hour_parts", "value_parts", "field_parts", "own_examples"] {
        assert_eq!(left(&one, table), 0, "{table}");
    }
}

#[test]
fn a_file_that_no_server_knows_has_no_parts() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = IssuesFile::open(&directory.path().join("issues.db")).unwrap();
    file.add(&seen(&[10], ("acme", "1.0"), &[]), None, NOW).unwrap();
    assert!(!file.connection.table_exists(None, "issue_parts").unwrap());
    assert!(!file.connection.table_exists(None, "untold").unwrap());
}
