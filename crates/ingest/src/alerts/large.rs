//! A trial over a large store, which the test makes: fourteen days of many routes.

use super::observe::{DAY, MINUTE, SECOND};
use super::{AlertStats, Alerts, AlertsConfig};
use crate::limits::Limits;
use crate::model::{
    Gateway, MetricBatch, MetricPart, Point, Redaction, SeriesKey, Temporality, Timing, Values,
};
use crate::store::{DataDir, Writers};
use gatelens_model::sketch::Sketch;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// 2026-06-15, 00:00 UTC.
const START: i64 = 1_781_481_600 * SECOND;
const DAYS: i64 = 14;
const ROUTES: i64 = 100;
/// Minutes in a batch.
const BATCH: i64 = 30;
/// The route that is slow for this hour of the third day.
const SLOW: (i64, std::ops::Range<i64>) = (7, 2 * DAY..2 * DAY + 60 * MINUTE);

fn series(route: i64) -> SeriesKey {
    SeriesKey {
        service: "shop".into(),
        environment: "production".into(),
        version: "".into(),
        direction: "inbound".into(),
        consumer: "acme".into(),
        method: "GET".into(),
        route: format!("/route-{route}").as_str().into(),
        route_source: "".into(),
        host: "".into(),
        upstream_cluster: "".into(),
        status: 200,
        grpc_status: None,
        error_type: "".into(),
        overflow: false,
    }
}

fn timing(milliseconds: u64) -> Timing {
    let mut sketch = Sketch::default();
    (0..50).for_each(|more| sketch.insert((milliseconds + more) * 1_000_000));
    Timing { count: 50, sketch }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make large-trial`"]
async fn fourteen_days_of_many_routes_are_tried_in_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let data = Arc::new(DataDir::new(directory.path().to_owned()));
    let writers = Writers::start(&data, &Limits::default(), &Arc::default()).unwrap();
    let all: Vec<SeriesKey> = (0..ROUTES).map(series).collect();
    let (fast, slow) = (timing(20), timing(400));
    let point = |route: i64, minute: i64| {
        let is_slow = route == SLOW.0 && SLOW.1.contains(&(minute * MINUTE));
        Point {
            series: all[route as usize].clone(),
            stream: route,
            start: 0,
            time: START + minute * MINUTE + SECOND,
            temporality: Temporality::Delta,
            values: Values {
                duration: if is_slow { slow.clone() } else { fast.clone() },
                ..Values::default()
            },
        }
    };
    for batch in 0..DAYS * DAY / MINUTE / BATCH {
        let minutes = batch * BATCH..(batch + 1) * BATCH;
        let part = MetricPart {
            gateway: Gateway {
                instance: "edge-1".to_owned(),
                epoch: "1".to_owned(),
                service: "shop".into(),
                environment: "production".into(),
                ..Gateway::default()
            },
            report: None,
            redaction: Redaction::default(),
            points: minutes
                .flat_map(|minute| (0..ROUTES).map(move |route| (route, minute)))
                .map(|(route, minute)| point(route, minute))
                .collect(),
        };
        let batch = MetricBatch {
            identity: None,
            standing: Default::default(),
            parts: vec![part],
            rejected: Default::default(),
        };
        writers.metrics(batch).await.unwrap();
    }
    let stats = AlertStats::new(&prometheus::Registry::new()).unwrap();
    let alerts =
        Alerts::start(&AlertsConfig::default(), (&data, None), &Limits::default(), None, stats).unwrap();
    let mut question = json!({"rule": {"measure": "p95_ms", "above": 200, "each": ["route"]}, "days": DAYS});
    let (mut pieces, mut longest, begun) = (0, Duration::ZERO, Instant::now());
    let tried: Value = loop {
        let piece = Instant::now();
        let trial = serde_json::from_value(question.clone()).unwrap();
        let tried = alerts.try_rule(trial, START + DAYS * DAY).unwrap();
        longest = longest.max(piece.elapsed());
        pieces += 1;
        let tried = serde_json::to_value(tried).unwrap();
        match tried.get("resume") {
            Some(resume) => question["resume"] = resume.clone(),
            None => break tried,
        }
    };
    println!(
        "{} bytes: {pieces} pieces, the longest {longest:?}, {:?} in all",
        data.live_bytes(),
        begun.elapsed()
    );
    assert_eq!(tried["tried_to"], tried["to"]);
    let firings = tried["firings"].as_array().unwrap();
    assert_eq!(firings.len(), 1, "{tried:#}");
    assert_eq!(firings[0]["labels"], json!({"route": "/route-7"}));
}
