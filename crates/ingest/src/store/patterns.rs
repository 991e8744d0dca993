//! Learned route patterns in the file of counters, and the routes under which they fold series.
//!
//! A series keeps the route under which it was counted. Where patterns give it another one, that is a second column,
//! which the read API shows: folding adds no counts up and removes none, so sums cannot change.

use super::StoreError;
use crate::model::{Scope, SeriesKey};
use crate::patterns::{Learned, folded};
use gatelens_routes::Patterns;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;

/// What was learned in a scope, and from how much.
#[derive(Debug)]
pub(crate) struct Lesson {
    pub(crate) scope: Scope,
    pub(crate) patterns: Patterns,
    /// Requests of the scope that were learned from so far.
    pub(crate) requests: u64,
}

/// The patterns of all scopes. Those that cannot be read are learned anew.
pub(crate) fn load(file: &Connection) -> Result<Vec<(Scope, Learned)>, StoreError> {
    let mut select = file
        .prepare("SELECT content, requests, service, environment, direction FROM patterns ORDER BY rowid")?;
    let mut rows = select.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let scope = Scope { service: row.get(2)?, environment: row.get(3)?, direction: row.get(4)? };
        all.extend(read(row, &scope)?.map(|learned| (scope, learned)));
    }
    Ok(all)
}

/// The patterns of one scope, where it has some that can be read.
pub(crate) fn load_of(file: &Connection, scope: &Scope) -> Result<Option<Learned>, StoreError> {
    let Scope { service, environment, direction } = scope;
    let mut select = file.prepare_cached(
        "SELECT content, requests FROM patterns WHERE service = ? AND environment = ? AND direction = ?",
    )?;
    let found = select.query_row([service, environment, direction], |row| read(row, scope));
    Ok(found.optional()?.flatten())
}

/// Patterns out of a row that begins with their content and the requests that they were learned from.
fn read(row: &Row<'_>, scope: &Scope) -> rusqlite::Result<Option<Learned>> {
    let content: String = row.get(0)?;
    match Patterns::read(&content) {
        Ok(patterns) => Ok(Some(Learned::new(patterns, row.get::<_, i64>(1)? as u64))),
        Err(error) => {
            tracing::warn!(?scope, %error, "learned routes cannot be read and are learned anew");
            Ok(None)
        }
    }
}

/// Stores the patterns of a scope. `now` is in Unix nanoseconds.
pub(super) fn put(file: &Connection, scope: &Scope, learned: &Learned, now: i64) -> Result<(), StoreError> {
    let Scope { service, environment, direction } = scope;
    file.prepare_cached(
        "INSERT INTO patterns VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET content = excluded.content, learned_at = excluded.learned_at,
           requests = excluded.requests",
    )?
    .execute(params![service, environment, direction, learned.text, now, learned.requests as i64])?;
    let mut place =
        file.prepare_cached("INSERT OR IGNORE INTO pattern_places VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (name, _) in learned.patterns.places() {
        place.execute(params![service, environment, direction, name, now, learned.requests as i64])?;
    }
    Ok(())
}

/// Notes the routes under which the series of a scope belong now.
pub(super) fn fold(
    file: &Connection,
    scope: &Scope,
    learned: &Learned,
    series: &HashMap<SeriesKey, i64>,
) -> Result<usize, StoreError> {
    let mut note = file.prepare_cached("UPDATE series SET folded = ?1 WHERE id = ?2 AND folded IS NOT ?1")?;
    let mut changed = 0;
    for (key, id) in series.iter().filter(|(key, _)| scope.holds(key)) {
        changed += note.execute(params![folded(key, &learned.patterns), id])?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Metrics;
    use super::super::{Admission, DataDir, METRICS_FILE, Stored};
    use super::*;
    use crate::limits::Limits;
    use crate::model::{
        Gateway, Identity, MetricBatch, MetricPart, Point, Redaction, Rejections, Standing, Tally,
        Temporality, Timing, Values,
    };
    use crate::patterns::KnownPatterns;
    use crate::query::{Files, Kind, Question};
    use gatelens_model::sketch::Sketch;
    use gatelens_model::value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// 2026-06-20, noon.
    const NOON: i64 = 1_781_956_800_000_000_000;
    const MINUTE: i64 = 60_000_000_000;

    fn scope() -> Scope {
        Scope { service: "orders".to_owned(), environment: "prod".to_owned(), ..Scope::default() }
    }

    /// A service's counters: what was stored, learned, and is shown.
    struct Counters {
        dir: tempfile::TempDir,
        store: Metrics,
        sequence: u64,
    }

    /// A series, by its route, the source of that, and its consumer.
    type Label = (String, &'static str, &'static str);

    impl Counters {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Self::open(&dir);
            Self { dir, store, sequence: 0 }
        }

        fn open(dir: &tempfile::TempDir) -> Metrics {
            let directory = Arc::new(DataDir::new(dir.path().to_owned()));
            Metrics::open(
                directory,
                Arc::new(Admission::new(&Limits::default())),
                Arc::new(KnownPatterns::default()),
            )
            .unwrap()
        }

        fn restart(&mut self) {
            self.store = Self::open(&self.dir);
        }

        /// The cumulative counts of a gateway at a minute.
        fn batch(&mut self, counts: &BTreeMap<Label, u64>, minute: i64) -> MetricBatch {
            self.sequence += 1;
            let gateway = Gateway {
                instance: "edge-1".to_owned(),
                epoch: "e".to_owned(),
                version: Some("0.1.0".to_owned()),
                service: "orders".into(),
                environment: "prod".into(),
                direction: value::INBOUND.to_owned(),
                ..Gateway::default()
            };
            let points = counts.iter().zip(0..).map(|((label, count), _)| point(label, *count, minute));
            let part = MetricPart {
                points: points.collect(),
                gateway,
                report: None,
                redaction: Redaction::default(),
            };
            let identity = Identity {
                instance: "edge-1".to_owned(),
                epoch: "e".to_owned(),
                environment: "".into(),
                sequence: self.sequence,
            };
            MetricBatch {
                identity: Some(identity),
                standing: Standing::default(),
                parts: vec![part],
                rejected: Rejections::default(),
            }
        }

        fn learn(&mut self, patterns: &str) {
            let patterns = Patterns::read(patterns).unwrap();
            self.store.learn(Lesson { scope: scope(), patterns, requests: 500 }, NOON).unwrap();
        }

        /// The answer to a question of the read API about the day.
        fn ask(&self, kind: Kind, query: &str) -> serde_json::Value {
            let files = Files::new(Arc::new(DataDir::new(self.dir.path().to_owned())), Limits::default());
            let question = Question::parse(kind, Some(query), &Limits::default(), NOON).unwrap();
            serde_json::to_value(question.answer(&files).unwrap()).unwrap()
        }

        /// Requests by the values of these dimensions.
        fn requests(&self, by: &[&str]) -> BTreeMap<Vec<String>, u64> {
            let query = format!("from=0&to={}&group_by={}", 2 * NOON / 1_000_000_000, by.join(","));
            let answer = self.ask(Kind::Summary, &query);
            let key = |row: &serde_json::Value| by.iter().map(|name| row[name].to_string()).collect();
            let rows = answer["rows"].as_array().unwrap().iter();
            rows.map(|row| (key(row), row["requests"].as_u64().unwrap())).collect()
        }
    }

    fn point((route, source, consumer): &Label, count: u64, minute: i64) -> Point {
        let mut sketch = Sketch::default();
        (0..count).for_each(|request| sketch.insert(1_000_000 * (request + 1)));
        let series = SeriesKey {
            service: "orders".into(),
            environment: "prod".into(),
            version: "".into(),
            direction: value::INBOUND.into(),
            consumer: (*consumer).into(),
            method: "GET".into(),
            route: route.as_str().into(),
            route_source: (*source).into(),
            host: "".into(),
            upstream_cluster: "".into(),
            status: 200,
            grpc_status: None,
            error_type: "".into(),
            overflow: false,
        };
        let stream = format!("{route} {source} {consumer}");
        let stream = stream.bytes().fold(7i64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let duration = Timing { count, sketch };
        let bytes = Tally { count, sum: count * 100 };
        let values = Values { duration, request_bytes: bytes, ..Values::default() };
        Point {
            series,
            stream,
            start: 0,
            time: NOON + minute * MINUTE,
            temporality: Temporality::Cumulative,
            values,
        }
    }

    const REPOSITORIES: &str = r#"{"places":{"/repos":["search"]}}"#;
    const ALL: [&str; 3] =
        ["{\"places\":{}}", REPOSITORIES, r#"{"places":{"/repos":["search"],"/repos/{}":[]}}"#];

    fn label(route: &str, source: &'static str, consumer: &'static str) -> Label {
        (route.to_owned(), source, consumer)
    }

    fn sums(of: &BTreeMap<Label, u64>, key: impl Fn(&Label) -> Vec<String>) -> BTreeMap<Vec<String>, u64> {
        let mut sums = BTreeMap::new();
        for (label, count) in of.iter().filter(|(_, count)| **count > 0) {
            *sums.entry(key(label)).or_default() += count;
        }
        sums
    }

    fn quoted(text: &str) -> String {
        format!("{text:?}")
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Requests of the label with this index.
        Traffic(prop::sample::Index, u64),
        /// The gateway reports its counts, and the report arrives.
        Report,
        /// The gateway reports, and the report arrives after the next one.
        ReportLate,
        /// The last report arrives again.
        Repeat,
        /// The next patterns are learned.
        Learn,
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<prop::sample::Index>(), 1u64..5).prop_map(|(label, count)| Step::Traffic(label, count)),
            2 => Just(Step::Report),
            1 => Just(Step::ReportLate),
            1 => Just(Step::Repeat),
            1 => Just(Step::Learn),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Whenever patterns are learned, and in whatever order reports arrive: each request counts once, under the
        /// route that the patterns give it, and a configured template of the same text keeps its own.
        #[test]
        fn folding_moves_requests_and_loses_none(steps in prop::collection::vec(step(), 1..40)) {
            let routes = ["/repos/a/x", "/repos/b/x", "/repos/b/y", "/repos/search/x", "/repos", "__unmatched__"];
            let labels: Vec<Label> = routes
                .iter()
                .flat_map(|route| {
                    let sources = ["", "template"].iter();
                    sources.flat_map(|source| ["acme", "globex"].map(|consumer| label(route, source, consumer)))
                })
                .collect();
            let mut counters = Counters::new();
            let mut counts: BTreeMap<Label, u64> = BTreeMap::new();
            let (mut late, mut last): (Option<MetricBatch>, Option<MetricBatch>) = (None, None);
            let mut patterns = ALL.iter();
            let mut learned = Patterns::default();
            for (step, minute) in steps.into_iter().chain([Step::Report]).zip(0..) {
                match step {
                    Step::Traffic(index, count) => {
                        *counts.entry(labels[index.index(labels.len())].clone()).or_default() += count;
                    }
                    Step::Report => {
                        let batch = counters.batch(&counts, minute);
                        counters.store.store(&batch, NOON).unwrap();
                        if let Some(late) = late.take() {
                            counters.store.store(&late, NOON).unwrap();
                        }
                        last = Some(batch);
                    }
                    Step::ReportLate => late = Some(counters.batch(&counts, minute)),
                    Step::Repeat => {
                        if let Some(batch) = &last {
                            prop_assert_eq!(counters.store.store(batch, NOON).unwrap(), Stored::Repeat);
                        }
                    }
                    Step::Learn => {
                        if let Some(next) = patterns.next() {
                            let before = counters.requests(&["consumer", "method", "status"]);
                            counters.learn(next);
                            learned = Patterns::read(next).unwrap();
                            prop_assert_eq!(counters.requests(&["consumer", "method", "status"]), before);
                        }
                    }
                    Step::Restart => counters.restart(),
                }
            }
            let consumers = sums(&counts, |(_, _, consumer)| vec![quoted(consumer)]);
            prop_assert_eq!(counters.requests(&["consumer"]), consumers);
            let shown = |(route, source, consumer): &Label| {
                let folded = Some(route).filter(|route| source.is_empty() && route.starts_with('/'));
                let folded = folded.and_then(|route| learned.fold(route)).unwrap_or_else(|| route.clone());
                vec![quoted(&folded), quoted(consumer)]
            };
            prop_assert_eq!(counters.requests(&["route", "consumer"]), sums(&counts, shown));
        }
    }

    /// What SQLite has written of a transaction when its process or machine ends: any part of the log.
    #[test]
    fn a_crash_at_any_point_of_a_fold_leaves_all_of_it_or_nothing() {
        const FRAME: usize = 24 + 4_096;
        let mut counters = Counters::new();
        let counts: BTreeMap<Label, u64> = (0..400)
            .map(|number| (label(&format!("/repos/r{number}"), "", "acme"), number % 3 + 1))
            .collect();
        let batch = counters.batch(&counts, 0);
        counters.store.store(&batch, NOON).unwrap();
        let path = counters.dir.path().join(METRICS_FILE);
        let wal = path.with_extension("db-wal");
        Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            .unwrap();
        let whole = counters.requests(&["consumer"]);
        let before = counters.requests(&["route"]);
        counters.learn(REPOSITORIES);
        let after = counters.requests(&["route"]);
        assert_eq!((before.len(), after.len()), (400, 1));
        let (file, log) = (std::fs::read(&path).unwrap(), std::fs::read(&wal).unwrap());
        assert!(log.len() > 6 * FRAME, "the fold is too small: {} bytes", log.len());

        let ends = (0..=log.len()).step_by(FRAME / 2).chain([log.len() - 1, log.len()]);
        for end in ends {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(METRICS_FILE), &file).unwrap();
            let rest = dir.path().join(wal.file_name().unwrap());
            std::fs::write(rest, &log[..end]).unwrap();
            let store = Counters::open(&dir);
            let mut crashed = Counters { dir, store, sequence: counters.sequence };
            let expected = if end == log.len() { &after } else { &before };
            assert_eq!(&crashed.requests(&["route"]), expected, "after {end} bytes");
            assert_eq!(crashed.requests(&["consumer"]), whole, "after {end} bytes");
            let is_in_force = crashed.ask(Kind::Patterns, "")["rows"] != serde_json::json!([]);
            assert_eq!(is_in_force, end == log.len(), "after {end} bytes");
            // It is learned anew, and the sender repeats what it has no answer to.
            crashed.learn(REPOSITORIES);
            assert_eq!(crashed.store.store(&batch, NOON).unwrap(), Stored::Repeat);
            assert_eq!(crashed.requests(&["route"]), after, "after {end} bytes");
        }
    }

    #[test]
    fn learned_patterns_are_shown_with_the_templates_that_carried_traffic() {
        let mut counters = Counters::new();
        let counts = ["/repos/a", "/repos/b", "/repos/search", "/users", "/users/a"]
            .map(|route| (label(route, "", "acme"), 1));
        let batch = counters.batch(&counts.into(), 0);
        counters.store.store(&batch, NOON).unwrap();
        assert_eq!(counters.ask(Kind::Patterns, "")["rows"], serde_json::json!([]));
        counters.learn(REPOSITORIES);
        let expected = serde_json::json!([{
            "service": "orders", "environment": "prod", "direction": "inbound",
            "version": gatelens_model::route_patterns::version(REPOSITORIES),
            "learned_at": "2026-06-20T12:00:00Z", "requests": 500,
            "places": [{"before": "/repos", "words": ["search"], "learned_at": "2026-06-20T12:00:00Z", "requests": 500}],
            "templates": [
                {"method": "GET", "route": "/repos/search", "examples": 0},
                {"method": "GET", "route": "/repos/{param}", "examples": 2},
            ],
        }]);
        assert_eq!(counters.ask(Kind::Patterns, "")["rows"], expected);
        counters.restart();
        assert_eq!(counters.ask(Kind::Patterns, "service=orders")["rows"], expected);
        assert_eq!(counters.ask(Kind::Patterns, "direction=outbound")["rows"], serde_json::json!([]));
    }
}
