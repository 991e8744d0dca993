use super::super::metrics::Metrics;
use super::super::narrow::Without;
use super::super::reduce::Kind as Removable;
use super::super::{Admission, Bad, DataDir, Deed, Pruned, Selection, verify_file};
use crate::limits::Limits;
use crate::model::{
    Gateway, Identity, MetricBatch, MetricPart, Point, Redaction, Rejections, SeriesKey, Standing, Tally,
    Temporality,
};
use crate::model::{Timing, Values};
use crate::query::{Files, Kind, Question};
use crate::retention::Retention;
use gatelens_model::sketch::Sketch;
use gatelens_model::value;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// 2026-06-20, noon.
const NOON: i64 = 1_781_956_800_000_000_000;
const MINUTE: i64 = 60_000_000_000;
const HALF_HOUR: i64 = 30 * MINUTE;
const DAY: i64 = 48 * HALF_HOUR;
const KEPT_HALF_HOURS: i64 = 8;
const GATEWAYS: usize = 2;
const SERIES: usize = 4;

/// The counters of a gateway since its start, by series.
type Counters = [u64; SERIES];

#[derive(Debug, Clone)]
enum Step {
    /// Requests of a gateway in a series.
    Traffic(usize, usize, u64),
    /// A gateway reports all that it has counted.
    Report(usize),
    /// Half hours pass.
    Wait(i64),
    /// Changes that wait go into the rows of their minutes.
    AddUp,
    /// Half hours that are over are packed.
    Pack,
    Prune,
    /// What a gateway has counted is forgotten, while it is at work or when it has been silent.
    Forget(usize, bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..GATEWAYS, 0..SERIES, 1u64..5).prop_map(|(gateway, series, count)| Step::Traffic(gateway, series, count)),
        4 => (0..GATEWAYS).prop_map(Step::Report),
        2 => (1i64..=KEPT_HALF_HOURS + 2).prop_map(Step::Wait),
        2 => Just(Step::AddUp),
        2 => Just(Step::Pack),
        2 => Just(Step::Prune),
        1 => (0..GATEWAYS, any::<bool>()).prop_map(|(gateway, silent)| Step::Forget(gateway, silent)),
        1 => Just(Step::Restart),
    ]
}

/// Room for all series, and no more.
fn admission() -> Arc<Admission> {
    Arc::new(Admission::new(&Limits { series: SERIES, ..Limits::default() }))
}

fn route(series: usize) -> String {
    format!("/{series}")
}

fn consumer(series: usize) -> &'static str {
    ["acme", "globex"][series % 2]
}

fn point(series: usize, count: u64, time: i64) -> Point {
    let mut sketch = Sketch::default();
    (0..count).for_each(|request| sketch.insert(1_000_000 * (request + 1)));
    let key = SeriesKey {
        service: "orders".into(),
        environment: "prod".into(),
        version: "".into(),
        direction: value::INBOUND.into(),
        consumer: consumer(series).into(),
        method: "GET".into(),
        route: route(series).into(),
        route_source: "".into(),
        host: "".into(),
        upstream_cluster: "".into(),
        status: 200,
        grpc_status: None,
        error_type: "".into(),
        overflow: false,
    };
    let values = Values {
        duration: Timing { count, sketch },
        request_bytes: Tally { count, sum: count * 100 },
        ..Values::default()
    };
    Point { series: key, stream: series as i64, start: 0, time, temporality: Temporality::Cumulative, values }
}

struct Store {
    dir: tempfile::TempDir,
    metrics: Metrics,
    sequence: u64,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Self::open(&dir);
        Self { dir, metrics, sequence: 0 }
    }

    fn open(dir: &tempfile::TempDir) -> Metrics {
        Metrics::open(Arc::new(DataDir::new(dir.path().to_owned())), admission(), Arc::default()).unwrap()
    }

    fn report(&mut self, gateway: usize, counters: &Counters, time: i64) {
        self.sequence += 1;
        let instance = format!("edge-{gateway}");
        let points = counters.iter().enumerate().filter(|(_, count)| **count > 0);
        let part = MetricPart {
            gateway: Gateway {
                instance: instance.clone(),
                epoch: "e".into(),
                service: "orders".into(),
                environment: "prod".into(),
                direction: value::INBOUND.into(),
                ..Gateway::default()
            },
            points: points.map(|(series, count)| point(series, *count, time)).collect(),
            report: None,
            redaction: Redaction::default(),
        };
        let identity =
            Identity { instance, epoch: "e".to_owned(), environment: "".into(), sequence: self.sequence };
        self.metrics
            .store(
                &MetricBatch {
                    identity: Some(identity),
                    standing: Standing::default(),
                    parts: vec![part],
                    rejected: Rejections::default(),
                },
                time,
            )
            .unwrap();
    }

    fn prune(&mut self, now: i64) {
        let half_hours = Duration::from_nanos((KEPT_HALF_HOURS * HALF_HOUR) as u64);
        let retention = Retention { minutes: half_hours, half_hours, ..Retention::default() };
        while self.metrics.prune(&retention, None, now).unwrap() == Pruned::More {}
    }

    /// Forgets the counts of a gateway at this time.
    fn forget(&mut self, gateway: usize, now: i64) {
        let selection = Selection { instance: Some(format!("edge-{gateway}")), ..Selection::default() };
        self.metrics.forget(&selection, Deed::Remove, now).unwrap();
    }

    fn requests(&self) -> BTreeMap<String, u64> {
        self.requests_by("route", |row| row["route"].as_str().unwrap().to_owned())
    }

    fn requests_by_gateway(&self) -> BTreeMap<String, u64> {
        self.requests_by("route,gateway", |row| {
            format!("{} {}", row["route"].as_str().unwrap(), row["gateway"].as_str().unwrap())
        })
    }

    fn requests_by_consumer(&self) -> BTreeMap<String, u64> {
        self.requests_by("consumer", |row| row["consumer"].as_str().unwrap().to_owned())
    }

    fn requests_in_all(&self) -> u64 {
        self.requests_by("", |_| String::new()).into_values().sum()
    }

    fn requests_by(&self, by: &str, name: impl Fn(&serde_json::Value) -> String) -> BTreeMap<String, u64> {
        let query = format!("from=0&to={}&group_by={by}", 2 * NOON / 1_000_000_000);
        let answer = self.answer(Kind::Summary, &query);
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.map(|row| (name(row), row["requests"].as_u64().unwrap())).collect()
    }

    /// The requests in the minutes of a half hour since 1970, by route and gateway.
    fn requests_in_minutes(&self, half_hour: i64) -> BTreeMap<String, u64> {
        let from = half_hour * HALF_HOUR / 1_000_000_000;
        let query = format!("from={from}&to={}&step=60&group_by=route,gateway", from + 1_800);
        let answer = self.answer(Kind::Timeseries, &query);
        let mut sums = BTreeMap::new();
        for point in answer["points"].as_array().unwrap() {
            let [route, gateway] = ["route", "gateway"].map(|key| point[key].as_str().unwrap());
            *sums.entry(format!("{route} {gateway}")).or_default() += point["requests"].as_u64().unwrap();
        }
        sums
    }

    fn answer(&self, kind: Kind, query: &str) -> serde_json::Value {
        let files = Files::new(Arc::new(DataDir::new(self.dir.path().to_owned())), Limits::default());
        let question = Question::parse(kind, Some(query), &Limits::default(), NOON).unwrap();
        serde_json::to_value(question.answer(&files).unwrap()).unwrap()
    }

    fn series(&self) -> usize {
        let file = rusqlite::Connection::open(self.dir.path().join("metrics.db")).unwrap();
        file.query_row("SELECT count(*) FROM series", [], |row| row.get::<_, i64>(0)).unwrap() as usize
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However traffic, silence, pruning and restarts follow each other: each request counts once, in the half hour of
    /// the report that brought it, until that expires; and a series stays no longer than its counts.
    #[test]
    fn a_removed_series_loses_and_doubles_no_count(steps in prop::collection::vec(step(), 1..60)) {
        let mut store = Store::new();
        let mut counters = [Counters::default(); GATEWAYS];
        let mut reported = [Counters::default(); GATEWAYS];
        let mut seen = [0; GATEWAYS];
        // By series, half hour and gateway, what is in the store.
        let mut expected: BTreeMap<(usize, i64, usize), u64> = BTreeMap::new();
        let mut now = NOON + MINUTE;
        for step in steps.into_iter().chain([Step::Report(0), Step::Report(1), Step::Prune]) {
            let is_looked_into = matches!(step, Step::Pack | Step::Prune | Step::Forget(..));
            match step {
                Step::Traffic(gateway, series, count) => counters[gateway][series] += count,
                Step::Report(gateway) => {
                    store.report(gateway, &counters[gateway], now);
                    for series in 0..SERIES {
                        let news = counters[gateway][series] - reported[gateway][series];
                        if news > 0 {
                            *expected.entry((series, now / HALF_HOUR, gateway)).or_default() += news;
                        }
                    }
                    reported[gateway] = counters[gateway];
                    seen[gateway] = now;
                }
                Step::AddUp => store.metrics.add_up_due(now + HALF_HOUR).unwrap(),
                Step::Pack => while store.metrics.pack().unwrap() {},
                Step::Wait(half_hours) => now += half_hours * HALF_HOUR,
                Step::Prune => {
                    store.prune(now);
                    // Ages count from the latest counts.
                    if let Some(newest) = expected.keys().map(|(_, half_hour, _)| *half_hour).max() {
                        expected.retain(|(_, half_hour, _), _| *half_hour >= newest - KEPT_HALF_HOURS);
                        let counted = expected.keys().map(|(series, ..)| *series);
                        let counted = counted.collect::<std::collections::BTreeSet<_>>().len();
                        // The one with the highest id may have no counts.
                        prop_assert!((counted..=counted + 1).contains(&store.series()), "{counted} {}", store.series());
                    }
                }
                Step::Forget(gateway, silent) => {
                    store.forget(gateway, if silent { now + 10 * MINUTE } else { now });
                    expected.retain(|(_, _, by), _| *by != gateway);
                    // With its states, the service forgets what it has counted already.
                    if silent || seen[gateway] < now {
                        reported[gateway] = Counters::default();
                    }
                }
                Step::Restart => store.metrics = Store::open(&store.dir),
            }
            let mut sums = BTreeMap::new();
            let (mut by_gateway, mut by_consumer) = (BTreeMap::new(), BTreeMap::new());
            for ((series, _, gateway), count) in &expected {
                *sums.entry(route(*series)).or_default() += count;
                *by_consumer.entry(consumer(*series).to_owned()).or_default() += count;
                *by_gateway.entry(format!("{} edge-{gateway}", route(*series))).or_default() += count;
            }
            let in_all = sums.values().sum::<u64>();
            prop_assert_eq!(store.requests(), sums);
            prop_assert_eq!(store.requests_by_gateway(), by_gateway);
            if !is_looked_into {
                continue;
            }
            prop_assert_eq!(store.requests_in_all(), in_all);
            prop_assert_eq!(store.requests_by_consumer(), by_consumer);
            let half_hours: std::collections::BTreeSet<_> = expected.keys().map(|(_, half_hour, _)| *half_hour).collect();
            for half_hour in half_hours {
                let of_it = expected.iter().filter(|((_, of, _), _)| *of == half_hour);
                let of_it = of_it.map(|((series, _, gateway), count)| (format!("{} edge-{gateway}", route(*series)), *count));
                prop_assert_eq!(store.requests_in_minutes(half_hour), of_it.collect::<BTreeMap<_, _>>());
            }
        }
    }
}

#[test]
fn invented_series_make_room_for_real_ones() {
    let mut store = Store::new();
    store.report(0, &[1; SERIES], NOON);
    // All places are taken, and the real gateway's series finds none until the others have expired.
    let real = |store: &mut Store, time| {
        store.sequence += 1;
        let mut point = point(9, 7, time);
        point.series.consumer = "globex".into();
        let part = MetricPart {
            gateway: Gateway { instance: "real".to_owned(), epoch: "e".to_owned(), ..Gateway::default() },
            points: vec![point],
            report: None,
            redaction: Redaction::default(),
        };
        store
            .metrics
            .store(
                &MetricBatch {
                    identity: None,
                    standing: Standing::default(),
                    parts: vec![part],
                    rejected: Rejections::default(),
                },
                time,
            )
            .unwrap();
    };
    real(&mut store, NOON + MINUTE);
    assert_eq!(store.requests().get("/9"), None);
    let later = NOON + (KEPT_HALF_HOURS + 2) * HALF_HOUR;
    store.report(0, &[2, 1, 1, 1], later);
    store.prune(later);
    real(&mut store, later + MINUTE);
    assert_eq!(store.requests(), [("/0".to_owned(), 1), ("/9".to_owned(), 7)].into());
}

#[test]
fn the_oldest_counts_go_and_those_of_the_last_hour_stay() {
    let mut store = Store::new();
    for half_hour in 0..10 {
        let count = half_hour as u64 + 1;
        store.report(0, &[count, 1, 0, 0], NOON + half_hour * HALF_HOUR + MINUTE);
    }
    let size = |store: &Store| std::fs::metadata(store.dir.path().join("metrics.db")).unwrap().len();
    store.metrics.checkpoint().unwrap();
    let before = size(&store);
    assert_eq!(store.requests(), [("/0".to_owned(), 10), ("/1".to_owned(), 1)].into());
    for kind in [Removable::Minutes, Removable::HalfHours] {
        let mut last = i64::MIN;
        while let Some(reduced) = store.metrics.reduce(kind).unwrap() {
            assert!(reduced.until > last && reduced.removed > 0, "{reduced:?}");
            last = reduced.until;
        }
    }
    let left = store.requests()["/0"];
    assert!((2..=4).contains(&left), "{left}");
    assert!(size(&store) <= before);
    // The gateway counts on.
    store.report(0, &[15, 1, 0, 0], NOON + 10 * HALF_HOUR);
    assert_eq!(store.requests()["/0"], left + 5);
}

/// Counts in six half hours of which four are packed; in the first, a second gateway has counted late.
fn packed() -> Store {
    let mut store = Store::new();
    for half_hour in 0..6 {
        store.report(0, &[half_hour + 1, 0, 0, 0], NOON + half_hour as i64 * HALF_HOUR + MINUTE);
    }
    store.metrics.settle().unwrap();
    while store.metrics.pack().unwrap() {}
    store.report(1, &[2, 0, 0, 0], NOON + MINUTE);
    store
}

const FIRST: i64 = NOON / HALF_HOUR;

#[test]
fn late_counts_of_a_packed_minute_are_added_and_forgotten_apart() {
    let mut store = packed();
    let both = BTreeMap::from([("/0 edge-0".to_owned(), 1), ("/0 edge-1".to_owned(), 2)]);
    assert_eq!(store.requests_in_minutes(FIRST), both);
    store.metrics.settle().unwrap();
    assert_eq!(store.requests_in_minutes(FIRST), both);
    while store.metrics.pack().unwrap() {}
    assert_eq!(store.requests_in_minutes(FIRST), both);
    store.forget(0, NOON + 7 * HALF_HOUR);
    assert_eq!(store.requests_in_minutes(FIRST), [("/0 edge-1".to_owned(), 2)].into());
    assert_eq!(store.requests_in_minutes(FIRST + 1), BTreeMap::new());
    assert_eq!(store.requests(), [("/0".to_owned(), 2)].into());
}

#[test]
fn a_damaged_pack_is_set_aside_and_costs_its_minutes_only() {
    let mut store = packed();
    let path = store.dir.path().join("metrics.db");
    let damage = "UPDATE packed_minutes SET data = x'0102' WHERE half_hour = (SELECT min(half_hour) FROM packed_minutes)";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(damage, []), Ok(1));
    let found = |path: &std::path::Path| {
        let mut found = Vec::new();
        let mut take = |rows: Vec<Bad>| {
            found.extend(rows);
            Ok(())
        };
        verify_file(path, Arc::new(|_| true), &mut take).unwrap();
        found
    };
    let bad = found(&path);
    assert_eq!(bad.len(), 1, "{bad:?}");
    store.metrics.set_aside(&bad).unwrap();
    assert_eq!(found(&path), []);
    assert_eq!(store.requests_in_minutes(FIRST), [("/0 edge-1".to_owned(), 2)].into());
    assert_eq!(store.requests_in_minutes(FIRST + 1), [("/0 edge-0".to_owned(), 1)].into());
    assert_eq!(store.requests(), [("/0".to_owned(), 8)].into());
}

#[test]
fn room_made_by_half_hours_leaves_packed_minutes() {
    let mut store = packed();
    let one = |store: &Store, question: &str| {
        let file = rusqlite::Connection::open(store.dir.path().join("metrics.db")).unwrap();
        file.query_row(question, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let packed_rows = "SELECT coalesce(sum(entries), 0) FROM packed_minutes";
    let before = one(&store, packed_rows);
    let half_hours = one(&store, "SELECT count(*) FROM half_hours");
    let mut removed = 0;
    while let Some(reduced) = store.metrics.reduce(Removable::HalfHours).unwrap() {
        removed += reduced.removed as i64;
    }
    assert!(before > 0 && removed > 0, "{before} {removed}");
    assert_eq!(one(&store, packed_rows), before);
    assert_eq!(removed, half_hours - one(&store, "SELECT count(*) FROM half_hours"));
}

#[test]
fn a_damaged_total_is_set_aside_without_a_time() {
    let mut store = packed();
    store.metrics.settle().unwrap();
    let path = store.dir.path().join("metrics.db");
    let mut file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.execute("UPDATE totals SET data = x'0102'", []), Ok(1));
    let mut bad = Vec::new();
    let mut take = |rows: Vec<Bad>| {
        bad.extend(rows);
        Ok(())
    };
    verify_file(&path, Arc::new(|_| true), &mut take).unwrap();
    let damages = super::super::verify::set_aside(&mut file, &path, &bad).unwrap();
    let found: Vec<_> =
        damages.iter().map(|damage| (damage.table.as_deref(), damage.from, damage.to)).collect();
    assert_eq!(found, [(Some("totals"), None, None)]);
}

/// The rows that a question for these Unix minutes finds packed, and the stretches that are left to rows.
fn packed_sums(store: &Store, minutes: (i64, i64)) -> (u64, Vec<(i64, i64)>) {
    let file = rusqlite::Connection::open(store.dir.path().join("metrics.db")).unwrap();
    let mut requests = 0;
    let left = super::super::sums::each(&file, minutes, None, |row, _| {
        requests += row.counts[0];
        Ok::<_, super::super::StoreError>(())
    });
    (requests, left.unwrap())
}

#[test]
fn days_and_half_hours_that_are_over_are_packed_until_a_row_of_them_changes() {
    let mut store = Store::new();
    let day = NOON / DAY * DAY;
    for half_hour in 0..60 {
        store.report(0, &[half_hour + 1, 0, 0, 0], day + half_hour as i64 * HALF_HOUR + MINUTE);
    }
    store.metrics.settle().unwrap();
    while store.metrics.pack().unwrap() {}
    let minute = |half_hour: i64| day / MINUTE + 30 * half_hour;
    let path = store.dir.path().join("metrics.db");
    let change = |what: &str| {
        rusqlite::Connection::open(&path).unwrap().execute(what, []).unwrap();
    };
    assert_eq!(packed_sums(&store, (minute(0), minute(48))), (48, vec![]));
    assert_eq!(packed_sums(&store, (minute(1) - 5, minute(3))), (2, vec![(minute(1) - 5, minute(1))]));
    // Without the day there are its half hours.
    change("DELETE FROM summed WHERE width = 1440");
    assert_eq!(packed_sums(&store, (minute(0), minute(48))), (48, vec![]));
    // What is damaged is left to rows.
    change(&format!("UPDATE packed_sums SET data = x'00' WHERE start = {}", minute(1)));
    assert_eq!(packed_sums(&store, (minute(0), minute(48))), (47, vec![(minute(1), minute(2))]));
    let all = store.requests();
    // A late count changes a row of its half hour.
    store.report(1, &[5, 0, 0, 0], day + 2 * HALF_HOUR + MINUTE);
    store.metrics.settle().unwrap();
    let left = vec![(minute(1), minute(3))];
    assert_eq!(packed_sums(&store, (minute(0), minute(48))), (46, left));
    assert_eq!(store.requests()["/0"], all["/0"] + 5);
}

#[test]
fn narrow_parts_answer_as_all_rows_do() {
    let mut store = Store::new();
    let day = NOON / DAY * DAY;
    for half_hour in 0..60u64 {
        let counters = [3 * half_hour + 1, half_hour / 2, 2 * half_hour, half_hour / 7];
        store.report(0, &counters, day + half_hour as i64 * HALF_HOUR + MINUTE);
    }
    store.metrics.settle().unwrap();
    while store.metrics.pack().unwrap() {}
    let path = store.dir.path().join("metrics.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    let rows = |without| {
        let mut rows = 0;
        let day = (day / MINUTE, (day + DAY) / MINUTE);
        let left = super::super::sums::each(&file, day, without, |_, _| {
            rows += 1;
            Ok::<_, super::super::StoreError>(())
        });
        assert_eq!(left.unwrap(), []);
        rows
    };
    // A part that would be no smaller is not kept.
    let narrow =
        [None, Some(Without::ConsumerAndRoute), Some(Without::Consumer), Some(Without::Route)].map(rows);
    assert_eq!(narrow, [4, 1, 4, 2]);
    let of_packs = "SELECT count(*) FROM packed_sums WHERE width = 0";
    let of_packs: i64 = file.query_row(of_packs, [], |row| row.get(0)).unwrap();
    // Of each half hour that is over, one without consumers and routes at least.
    assert!(of_packs > 50, "{of_packs}");
    let answers = || -> Vec<serde_json::Value> {
        let (from, to) = (day / 1_000_000_000, (day + DAY + 2 * HALF_HOUR) / 1_000_000_000);
        let filters = ["", "consumer=acme", "route=/1", "status=200", "consumer=globex&route=/1"];
        let groups = [
            "group_by=consumer",
            "group_by=route",
            "group_by=consumer,route",
            "group_by=route&consumer=acme",
        ];
        let mut answers = Vec::new();
        for question in filters.iter().chain(&groups) {
            answers.push(store.answer(Kind::Summary, &format!("from={from}&to={to}&{question}")));
            for step in [60, 3_600] {
                let question = format!("from={}&to={to}&step={step}&{question}", from + 7_260);
                answers.push(store.answer(Kind::Timeseries, &question));
            }
        }
        for filter in filters {
            answers.push(store.answer(Kind::Latencies, &format!("from={from}&to={to}&{filter}")));
        }
        answers
    };
    let packed = answers();
    file.execute_batch("DELETE FROM packed_sums; DELETE FROM summed").unwrap();
    assert_eq!(packed, answers());
}

#[test]
fn damaged_packed_sums_are_made_anew() {
    let mut store = packed();
    let path = store.dir.path().join("metrics.db");
    let damage = "UPDATE packed_sums SET data = x'0102' WHERE id = (SELECT min(id) FROM packed_sums)";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(damage, []), Ok(1));
    let found = |path: &std::path::Path| {
        let mut found = Vec::new();
        let mut take = |rows: Vec<Bad>| {
            found.extend(rows);
            Ok(())
        };
        verify_file(path, Arc::new(|_| true), &mut take).unwrap();
        found
    };
    let before = store.requests();
    let bad = found(&path);
    assert_eq!(bad.len(), 1, "{bad:?}");
    store.metrics.set_aside(&bad).unwrap();
    assert_eq!(found(&path), []);
    assert_eq!(store.requests(), before);
    store.metrics = Store::open(&store.dir);
    while store.metrics.pack().unwrap() {}
    let (first, end) = (FIRST * 30, (FIRST + 1) * 30);
    assert_eq!(packed_sums(&store, (first, end)).1, []);
}
