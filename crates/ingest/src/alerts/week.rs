//! Noise through the real store, with a clock that does not wait: a morning in each run of the tests, and a whole week in
//! `make noisy-week`. An incident is one incident.

use super::engine::{Engine, Setting};
use super::file::{ALERTS_FILE, AlertsFile, Incident, Past};
use super::observe::{MINUTE, SECOND};
use super::settings::{AlertsConfig, Settings};
use crate::limits::Limits;
use crate::model::{
    Gateway, MetricBatch, MetricPart, Point, Redaction, SeriesKey, Temporality, Timing, Values,
};
use crate::query::Files;
use crate::store::{DataDir, Writers};
use crate::sync::lock;
use gatelens_model::sketch::Sketch;
use std::ops::Range;
use std::sync::{Arc, Mutex};

const HOUR: i64 = 60 * MINUTE;
/// Monday, 2026-06-15, 00:00 UTC.
const MONDAY: i64 = 1_781_481_600 * SECOND;

/// The noise is the same in each run.
struct Noise(u64);

impl Noise {
    /// Evenly from 0 to below 1.
    fn next(&mut self) -> f64 {
        // Steele and Vigna, splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About how often something of this chance happens in so many tries.
    fn hits(&mut self, tries: u64, chance: f64) -> u64 {
        (0..tries).filter(|_| self.next() < chance).count() as u64
    }
}

/// What goes on in a minute: requests, the share of errors, and the median duration in milliseconds.
struct Minute {
    requests: u64,
    errors: f64,
    median: f64,
}

/// A day has a peak and a quiet night; three incidents are in the week, of which one comes back for a while in its middle.
fn minute(at: i64, noise: &mut Noise) -> Minute {
    let hour = (at - MONDAY) as f64 / HOUR as f64;
    let of_day = hour % 24.0;
    let load = 3.0 + 77.0 * (1.0 - ((of_day - 14.0).abs() / 12.0)).max(0.0);
    let requests = (load * (0.6 + 0.8 * noise.next())) as u64;
    // A deployment each day makes a minute of errors, which is no incident.
    let is_deployment = (of_day * 60.0) as u64 == 600;
    let outage = (34.0..34.75).contains(&hour);
    let flickers = (83.0..84.5).contains(&hour) && !((hour * 60.0) as u64).is_multiple_of(3);
    let slow = (130.0..131.0).contains(&hour);
    Minute {
        requests,
        errors: if outage || flickers {
            0.12
        } else if is_deployment {
            0.3
        } else {
            0.003
        },
        median: if slow { 260.0 } else { 60.0 } * (0.8 + 0.4 * noise.next()),
    }
}

fn points(at: i64, noise: &mut Noise) -> Vec<Point> {
    let Minute { requests, errors, median } = minute(at, noise);
    let failed = noise.hits(requests, errors);
    let point = |status: u16, count: u64, noise: &mut Noise| {
        let mut sketch = Sketch::default();
        for _ in 0..count {
            // Long-tailed: the 95th percentile is about twice the median.
            let factor = (0.85 * (noise.next() + noise.next() + noise.next() - 1.5)).exp();
            sketch.insert((median * factor * 1e6) as u64);
        }
        Point {
            series: SeriesKey {
                service: "shop".into(),
                environment: "production".into(),
                version: "".into(),
                direction: "inbound".into(),
                consumer: "acme".into(),
                method: "GET".into(),
                route: "/orders".into(),
                route_source: "".into(),
                host: "".into(),
                upstream_cluster: "".into(),
                status,
                grpc_status: None,
                error_type: "".into(),
                overflow: false,
            },
            stream: i64::from(status),
            start: 0,
            time: at + SECOND,
            temporality: Temporality::Delta,
            values: Values { duration: Timing { count, sketch }, ..Values::default() },
        }
    };
    vec![point(200, requests - failed, noise), point(500, failed, noise)]
}

/// Runs this time after Monday minute by minute, with a restart of the service after each such time; returns the
/// incidents and messages.
async fn run(time: Range<i64>, restart_each: i64) -> (Vec<Incident>, Vec<(String, String)>) {
    let directory = tempfile::tempdir().unwrap();
    let data = Arc::new(DataDir::new(directory.path().to_owned()));
    let writers = Writers::start(&data, &Limits::default(), &Arc::default()).unwrap();
    let store = Files::new(Arc::clone(&data), Limits::default());
    let settings = Settings::compile(&AlertsConfig::default()).unwrap();
    let rules = settings.with(Vec::new(), &[]);
    let receivers = ["ops".to_owned()];
    let setting = Setting {
        store: &store,
        rules: &rules,
        receivers: &receivers,
        maintenance: &[],
        disk_percent: None,
        page_url: "",
        lag: MINUTE,
        may_go_on: &|| true,
    };
    let path = directory.path().join(ALERTS_FILE);
    let mut noise = Noise(7);
    let mut at = MONDAY + time.start;
    let mut running: Option<(Engine, Mutex<AlertsFile>)> = None;
    while at < MONDAY + time.end {
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
            points: (0..10).flat_map(|minute| points(at + minute * MINUTE, &mut noise)).collect(),
        };
        writers
            .metrics(MetricBatch {
                identity: None,
                standing: Default::default(),
                parts: vec![part],
                rejected: Default::default(),
            })
            .await
            .unwrap();
        at += 10 * MINUTE;
        if (at - MONDAY - time.start) % restart_each == 0 {
            running = None;
        }
        let (engine, file) =
            running.get_or_insert_with(|| (Engine::new(at), Mutex::new(AlertsFile::open(&path).unwrap())));
        // After a restart it finds the minutes that it missed.
        let missed = engine.evaluate(&setting, file, at + MINUTE).unwrap();
        assert_eq!(missed.failures, 0);
    }
    drop(running);
    let file = Mutex::new(AlertsFile::open(&path).unwrap());
    let file = lock(&file);
    let mut incidents = file
        .incidents(&Past { rule: None, from: i64::MIN, to: i64::MAX, before: i64::MAX, limit: 1000 })
        .unwrap();
    incidents.sort_by_key(|incident| incident.fired_at);
    let mut messages = file.deliveries(i64::MAX, 1000).unwrap();
    messages.sort_by_key(|delivery| delivery.id);
    let messages = messages.into_iter().map(|delivery| (delivery.rule, delivery.kind)).collect();
    (incidents, messages)
}

/// Checks the rule of each incident, and that it fires and ends soon after its hours.
fn check(incidents: &[Incident], expected: &[(&str, f64, f64)]) {
    let found: Vec<_> = incidents
        .iter()
        .map(|incident| {
            let hours = |at: i64| (at - MONDAY) as f64 / HOUR as f64;
            (incident.rule.as_str(), hours(incident.fired_at), hours(incident.resolved_at.unwrap()))
        })
        .collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((rule, fired, resolved), (expected, from, to)) in found.iter().zip(expected) {
        assert_eq!(rule, expected, "{found:?}");
        // It waits 5 minutes, and 5 until the window is free of it and 10 more.
        assert!((*from..from + 0.25).contains(fired) && (*to..to + 0.5).contains(resolved), "{found:?}");
    }
}

fn kinds(messages: &[(String, String)]) -> Vec<&str> {
    messages.iter().map(|(_, kind)| kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_no_incident_and_one_that_flickers_is_one_over_restarts() {
    // Thursday morning: the deployment is at 82 hours. One of the restarts, at 84 hours, is in the incident.
    let (incidents, messages) = run(81 * HOUR..86 * HOUR, HOUR).await;
    check(&incidents, &[("errors", 83.0, 84.5)]);
    assert_eq!(kinds(&messages), ["firing", "resolved"], "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make noisy-week`"]
async fn a_noisy_week_has_its_three_incidents_and_no_other_whether_or_not_the_service_restarts() {
    let (incidents, messages) = run(0..7 * 24 * HOUR, i64::MAX).await;
    check(&incidents, &[("errors", 34.0, 34.75), ("errors", 83.0, 84.5), ("latency", 130.0, 131.0)]);
    assert_eq!(kinds(&messages), ["firing", "resolved"].repeat(3), "{messages:?}");
    // A restart every 50 minutes, of which some are in the incident of the second day.
    let (restarted, again) = run(0..2 * 24 * HOUR, 50 * MINUTE).await;
    assert_eq!(again, messages[..2]);
    let times = |incidents: &[Incident]| -> Vec<_> {
        incidents.iter().map(|incident| (incident.fired_at, incident.resolved_at)).collect()
    };
    assert_eq!(times(&restarted), times(&incidents)[..1]);
}
