use super::journal::{self, Past};
use super::{Fields, Pace, Row, kinds};
use crate::sequence::Received;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000_000_000_000;

fn row(kind: &str, name: Value, value: Value, replica: &str) -> Row {
    Row {
        kind: kind.to_owned(),
        name: name.to_string(),
        value: value.to_string(),
        replica: replica.to_owned(),
    }
}

/// A file of counters whose changes are noted.
fn opened() -> (tempfile::TempDir, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let mut file = crate::store::open_metrics(directory.path()).unwrap();
    journal::begin(&mut file, kinds::COUNTERS, Past::Untold).unwrap();
    (directory, file)
}

/// Merges rows until none waits for its gateway any more, or none ever will.
fn merge(file: &mut Connection, rows: &[Row]) {
    let mut early = usize::MAX;
    loop {
        let done = journal::merge(file, kinds::COUNTERS, rows, NOW, |_, _| Ok(())).unwrap();
        if done.early == 0 || done.early == early {
            return;
        }
        early = done.early;
    }
}

/// Everything that was merged, without the numbers that are of one file alone.
fn contents(file: &Connection) -> Vec<String> {
    let gateway =
        "(SELECT json_array(g.instance, g.epoch, g.environment) FROM gateways g WHERE g.id = t.gateway_id)";
    let tables = [
        (
            "gateways t",
            "t.instance, t.epoch, t.service, t.version, t.config_hash, t.series, t.first_seen, t.last_seen"
                .to_owned(),
        ),
        ("reports t", format!("{gateway}, t.time, t.captured, t.busy_seconds, t.direction")),
        ("redaction t", format!("{gateway}, t.what, t.time, t.content")),
        ("coarse_intervals t", format!("{gateway}, t.since, t.until")),
        ("tags t", format!("{gateway}, t.name, t.value")),
        ("tags_changed t", format!("{gateway}, t.at")),
        ("sequences t", "t.instance, t.epoch, t.environment, t.signal, hex(t.received)".to_owned()),
        ("consumers t", "t.id, t.name, t.grp, t.labelled_at, t.first_seen, t.last_seen".to_owned()),
        ("directory t", "t.id, t.name, t.grp, t.note, t.changed_at, t.changed_by".to_owned()),
        ("directory_removed t", "t.id, t.at".to_owned()),
        ("audit t", "t.time, t.actor, t.detail".to_owned()),
        ("uptime t", "t.kind, t.hour, t.name, t.seen, t.bad".to_owned()),
        ("probe_results t", "t.name, t.time, t.status, t.duration_ms, t.error".to_owned()),
        ("accepted_elsewhere t", "t.instance, t.day, t.replica, t.records".to_owned()),
        ("patterns t", "t.service, t.content, t.requests".to_owned()),
        (
            "shapes_elsewhere t",
            "t.service, t.route, t.replica, t.version, t.bodies, t.last_seen, t.fields".to_owned(),
        ),
        ("drift t", "t.time, t.kind, t.route, t.field, t.before, t.after, t.release".to_owned()),
        ("pattern_places t", "t.service, t.place, t.learned_at, t.requests".to_owned()),
        (
            "releases r JOIN release_gateways t ON t.release_id = r.id",
            format!("r.id, r.value, r.previous, r.first_seen, t.since, {gateway}"),
        ),
    ];
    let mut all = Vec::new();
    for (table, columns) in tables {
        let mut select =
            file.prepare(&format!("SELECT json_array({columns}) FROM {table} ORDER BY 1")).unwrap();
        let rows = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(rows.map(|row| format!("{table}: {}", row.unwrap())));
    }
    all
}

/// A row that some replica may tell, of few keys and values, so that they meet.
fn told() -> impl Strategy<Value = Row> {
    let instance = select(vec!["a", "b"]);
    let (time, number, text) = (1i64..6, 0i64..4, select(vec!["", "x", "y"]));
    let replica = select(vec!["r1", "r2", "r3"]);
    (0usize..18, instance, (time.clone(), time), number, text, replica).prop_map(
        |(kind, instance, (time, other), number, text, replica)| {
            let gateway = |rest: &[Value]| {
                let mut name = vec![json!(instance), json!("1"), json!("prod")];
                name.extend_from_slice(rest);
                Value::from(name)
            };
            let (kind, name, value) = match kind {
                0 | 1 => (
                    "gateways",
                    gateway(&[]),
                    json!({"service": "s", "version": text, "config_hash": null, "series": number,
                           "first_seen": time.min(other), "last_seen": time.max(other)}),
                ),
                2 => (
                    "reports",
                    gateway(&[]),
                    json!({"time": time, "captured": other, "busy_seconds": time as f64 / 3.0, "direction": "inbound"}),
                ),
                3 => ("redaction", gateway(&[json!("rules")]), json!({"time": time, "content": text})),
                4 => ("coarse_intervals", gateway(&[json!(time)]), json!({"since": other})),
                5 => (
                    "tags",
                    gateway(&[]),
                    json!({"changed_at": time, "tags": json!({"zone": text}).to_string()}),
                ),
                6 => {
                    let mut received = Received::default();
                    (time..=time + number).for_each(|sequence| received.insert(sequence as u64));
                    let received = data_encoding::HEXLOWER.encode(&received.encode());
                    ("sequences", gateway(&[json!(0)]), json!({"received": received}))
                }
                7 => {
                    // Names come with groups, and at the same time.
                    let labelled_at = if text.is_empty() { 0 } else { time };
                    (
                        "consumers",
                        json!(["s", "prod", "inbound", instance]),
                        json!({"name": text, "grp": text, "labelled_at": labelled_at, "first_seen": time, "last_seen": other}),
                    )
                }
                8 | 9 => {
                    let is_removed = number / 2;
                    let text = if is_removed > 0 { "" } else { text };
                    (
                        "directory",
                        json!([instance]),
                        json!({"changed_at": time, "is_removed": is_removed, "name": text, "grp": "", "note": "", "changed_by": ""}),
                    )
                }
                10 => (
                    "audit",
                    json!([time, number]),
                    json!({"actor": text, "role": "", "peer": "", "action": "change", "detail": "d"}),
                ),
                11 => (
                    "uptime",
                    json!(["gateway", other, "s", "prod", instance]),
                    json!({"seen": 1 << time, "bad": number}),
                ),
                12 => (
                    "probe_results",
                    json!([instance, time]),
                    json!({"status": number, "duration_ms": other as f64, "error": text}),
                ),
                13 => {
                    let seconds = [0, 1, 2, 10_000, 10_001, 10_002][time as usize] * 1_000_000_000;
                    let key = [json!("s"), json!("version"), json!(text), json!(null), json!(seconds)];
                    ("releases", gateway(&key), json!({"since": seconds + other}))
                }
                14 | 15 => {
                    // What a replica tells under a version is always the same.
                    let bodies = (time + replica.len() as i64) % 4;
                    let fields = json!({"f": time, "l": time, "s": 1, "o": 1, "n": 1, "k": []});
                    (
                        "shapes",
                        json!(["s", "prod", "inbound", "GET", format!("/{instance}"), "response", 2]),
                        json!({"version": time, "inferred": 0, "bodies": bodies, "first_seen": time, "last_seen": time,
                               "fields": if bodies > 0 { fields.to_string() } else { String::new() }}),
                    )
                }
                16 => (
                    "drift",
                    json!(["s", "prod", "inbound", "GET", "/a", "response", 2, "field_new", format!("/{instance}"), time]),
                    json!({"before": "", "after": text, "release": replica, "request_id": "", "trace_id": ""}),
                ),
                _ => ("accepted", gateway(&[json!(20_700 + time)]), json!({"records": other})),
            };
            row(kind, name, value, replica)
        },
    )
}

fn learned() -> impl Strategy<Value = Row> {
    (select(vec!["/a", "/b", "/a/{}"]), 1i64..6, any::<bool>()).prop_map(|(place, time, is_place)| {
        if is_place {
            let name = json!(["s", "prod", "inbound", place]);
            return row("pattern_places", name, json!({"learned_at": time, "requests": time}), "r1");
        }
        let content = json!({"places": {place: ["search"]}}).to_string();
        let value = json!({"content": content, "learned_at": time, "requests": time});
        row("patterns", json!(["s", "prod", "inbound"]), value, "r1")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn merging_gives_the_same_in_any_order_and_however_often(
        rows in prop::collection::vec(prop_oneof![8 => told(), 1 => learned()], 1..60),
        (order, cut) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let (_one, mut one) = opened();
        merge(&mut one, &rows);
        let expected = contents(&one);
        merge(&mut one, &rows);
        prop_assert_eq!(contents(&one), expected.clone());

        // In another order, in two parts of which one comes twice.
        let mut shuffled = rows.clone();
        shuffled.rotate_left(order.index(rows.len()));
        shuffled.reverse();
        let (first, second) = shuffled.split_at(cut.index(rows.len()));
        let (_other, mut other) = opened();
        for part in [second, first, second, &shuffled] {
            merge(&mut other, part);
        }
        let found = contents(&other);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn only_own_changes_are_told_and_each_until_it_is_settled() {
    let (_directory, mut file) = opened();
    let told = |file: &Connection, pace| journal::untold(file, kinds::COUNTERS, pace).unwrap();
    let consumer = |at: i64| {
        row(
            "consumers",
            json!(["s", "prod", "inbound", "acme"]),
            json!({"name": "Acme", "grp": "", "labelled_at": at, "first_seen": at, "last_seen": at}),
            "r1",
        )
    };
    merge(&mut file, &[consumer(5)]);
    assert!(told(&file, Pace::Slowly).rows.is_empty());
    // A request a minute later is no news to tell at once.
    file.execute("UPDATE consumers SET last_seen = 7", []).unwrap();
    assert!(told(&file, Pace::Later).rows.is_empty());
    let found = told(&file, Pace::Slowly);
    let value = json!({"name": "Acme", "grp": "", "labelled_at": 5, "first_seen": 5, "last_seen": 7});
    assert_eq!(found.rows, [row("consumers", json!(["s", "prod", "inbound", "acme"]), value, "")]);
    // It changes again before it is settled.
    file.execute("UPDATE consumers SET last_seen = 8", []).unwrap();
    journal::settle(&mut file, &found.ids).unwrap();
    let again = told(&file, Pace::Slowly);
    assert_eq!(again.rows.len(), 1);
    journal::settle(&mut file, &again.ids).unwrap();
    assert!(told(&file, Pace::Slowly).rows.is_empty());
    file.execute("UPDATE consumers SET name = 'Acme Inc.'", []).unwrap();
    assert_eq!(told(&file, Pace::Soon).rows.len(), 1);
}

#[test]
fn a_change_is_later_than_what_it_changes_whatever_the_clocks_show() {
    let (_directory, mut file) = opened();
    let entry = |at: i64, is_removed: i64| {
        let name = if is_removed == 0 { "theirs" } else { "" };
        let value = json!({"changed_at": at, "is_removed": is_removed, "name": name, "grp": "", "note": "", "changed_by": ""});
        row("directory", json!(["acme"]), value, "r1")
    };
    let ours = |file: &Connection| -> i64 {
        let row = journal::untold(file, kinds::COUNTERS, Pace::Soon).unwrap().rows.remove(0);
        let kind = kinds::COUNTERS.iter().find(|kind| kind.name == "directory").unwrap();
        Fields::read(kind, &row, NOW).unwrap().integer("changed_at")
    };
    let theirs = NOW + 1_000;
    merge(&mut file, &[entry(theirs, 0)]);
    file.execute("UPDATE directory SET name = 'ours', changed_at = 5", []).unwrap();
    assert_eq!(ours(&file), theirs + 1);
    file.execute("DELETE FROM directory", []).unwrap();
    assert_eq!(ours(&file), theirs + 2);
    file.execute("INSERT INTO directory VALUES ('acme', 'ours', '', '', 5, '')", []).unwrap();
    assert_eq!(ours(&file), theirs + 3);
    // What was told before comes again and changes nothing.
    merge(&mut file, &[entry(theirs, 0), entry(theirs + 2, 1)]);
    assert_eq!(
        file.query_row("SELECT name FROM directory", [], |row| row.get::<_, String>(0)).unwrap(),
        "ours"
    );
    merge(&mut file, &[entry(theirs + 4, 1)]);
    assert_eq!(file.query_row("SELECT count(*) FROM directory", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn files_that_no_server_knows_have_no_triggers() {
    let (directory, file) = opened();
    drop(file);
    let file = crate::store::open_metrics(directory.path()).unwrap();
    file.execute("INSERT INTO directory VALUES ('acme', 'Acme', '', '', 5, '')", []).unwrap();
    assert!(journal::untold(&file, kinds::COUNTERS, Pace::Slowly).unwrap().rows.is_empty());
}

#[test]
fn a_shape_that_is_removed_goes_everywhere_and_does_not_come_back() {
    let (_one, mut file) = opened();
    let put = |file: &Connection, bodies: i64| {
        let fields = json!({"f": 1, "l": 1, "s": bodies, "o": bodies, "n": bodies, "k": []}).to_string();
        file.execute(
            "INSERT INTO shapes VALUES ('s', 'prod', 'inbound', 'GET', '/a', 'response', 2, 0, ?1, 1, 2, ?2)
             ON CONFLICT DO UPDATE SET bodies = ?1, fields = ?2",
            (bodies, fields),
        )
        .unwrap();
    };
    let tell = |file: &mut Connection| {
        let mut found = journal::untold(file, kinds::COUNTERS, Pace::Soon).unwrap();
        journal::settle(file, &found.ids).unwrap();
        assert_eq!(found.rows.len(), 1, "{found:?}");
        Row { replica: "r1".to_owned(), ..found.rows.remove(0) }
    };
    put(&file, 3);
    let first = tell(&mut file);
    put(&file, 7);
    let second = tell(&mut file);
    file.execute("DELETE FROM shapes", []).unwrap();
    let removed = tell(&mut file);
    put(&file, 1);
    let again = tell(&mut file);

    let (_other, mut other) = opened();
    let bodies = |other: &Connection| {
        other
            .query_row("SELECT coalesce(sum(bodies), 0) FROM shapes_elsewhere", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap()
    };
    for (rows, expected) in [
        (vec![&first], 3),
        (vec![&second, &first], 7),
        (vec![&removed], 0),
        (vec![&second], 0),
        (vec![&again, &removed, &first], 1),
    ] {
        let rows: Vec<_> = rows.into_iter().cloned().collect();
        merge(&mut other, &rows);
        assert_eq!(bodies(&other), expected);
    }
    // What another replica tells of the same shape stands beside it.
    merge(&mut other, &[Row { replica: "r2".to_owned(), ..second }]);
    assert_eq!(bodies(&other), 8);
}
