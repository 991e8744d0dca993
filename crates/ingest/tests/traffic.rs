//! `/metrics/traffic`: counters that Prometheus can trust.

use crate::stats::well_formed;
use crate::support::otlp::{Frame, MINUTE, Made, SECOND, export_logs, log, made, record, sum};
use crate::support::{Answer, Service};
use gatelens_ingest::{Limits, Retention};
use gatelens_testkit::prometheus::Prometheus;
use gatelens_testkit::wait::eventually;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, SystemTime};

const PATH: &str = "/metrics/traffic";
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// Unix nanoseconds, some time ago: a gateway sends what was before.
pub(crate) fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 - SECOND
}

pub(crate) fn frame() -> Frame {
    Frame { start: now() - MINUTE, bounds_seconds: BOUNDS, ..Frame::at(now()) }
}

fn of(consumer: &'static str, route: &'static str, status: u16, seconds: f64) -> Made {
    Made { consumer, ..made(route, status, seconds) }
}

pub(crate) fn some() -> Vec<Made> {
    vec![
        of("acme", "/a", 200, 0.1),
        of("acme", "/a", 200, 0.101),
        of("globex", "/a", 200, 3.0),
        of("globex", "/b", 503, 0.004),
    ]
}

/// The samples of a text, by name and labels.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(key, value)| (key.to_owned(), value.parse().unwrap()))
        .collect()
}

pub(crate) fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// The samples of these labels, except gauges and the times of creation.
fn counters(service: &Service, query: &str) -> BTreeMap<String, f64> {
    samples(&text(&service.get(&format!("{PATH}{query}"))))
}

#[test]
fn durations_are_counted_exactly_at_the_bounds_of_the_gateways() {
    let service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let answer = service.get(PATH);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.header("vary"), "accept, accept-encoding");
    let found = text(&answer);
    well_formed(&found);
    let labels = "http_request_method=\"GET\",http_route=\"/a\",http_response_status_code=\"200\",\
                  service_name=\"orders\",deployment_environment_name=\"prod\"";
    let found = samples(&found);
    let bucket = |bound: &str| {
        found.get(&format!("http_server_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}}")).copied()
    };
    assert_eq!(
        ["0.005", "0.1", "0.25", "2.5", "5.0", "10.0", "+Inf", "7.0"].map(bucket),
        [Some(0.0), Some(1.0), Some(2.0), Some(2.0), Some(3.0), Some(3.0), Some(3.0), None]
    );
    for (name, value) in [
        ("http_server_request_duration_seconds_sum", 3.201),
        ("http_server_request_duration_seconds_count", 3.0),
        ("http_server_request_body_size_bytes_sum", 300.0),
        ("http_server_request_body_size_bytes_count", 3.0),
        ("http_server_response_body_size_bytes_sum", 3000.0),
    ] {
        assert_eq!(found.get(&format!("{name}{{{labels}}}")), Some(&value), "{name}");
    }
}

#[test]
fn a_label_that_is_left_out_is_summed_over() {
    let service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let count = |query: &str| {
        let found = counters(&service, query).into_iter();
        let counts = found.filter_map(|(key, value)| {
            let labels = key.strip_prefix("http_server_request_duration_seconds_count")?.to_owned();
            Some((labels.trim_matches(['{', '}']).to_owned(), value))
        });
        counts.collect::<Vec<_>>()
    };
    let expect = |query: &str, expected: &[(&str, f64)]| {
        let expected: Vec<_> =
            expected.iter().map(|(labels, count)| ((*labels).to_owned(), *count)).collect();
        assert_eq!(count(query), expected, "{query}");
    };
    expect("?labels=", &[("", 4.0)]);
    expect("?labels=http_route", &[("http_route=\"/a\"", 3.0), ("http_route=\"/b\"", 1.0)]);
    expect(
        "?labels=gatelens_consumer_id,http_response_status_code&service=orders",
        &[
            ("gatelens_consumer_id=\"acme\",http_response_status_code=\"200\"", 2.0),
            ("gatelens_consumer_id=\"globex\",http_response_status_code=\"200\"", 1.0),
            ("gatelens_consumer_id=\"globex\",http_response_status_code=\"503\"", 1.0),
        ],
    );
    expect("?labels=&status=5xx", &[("", 1.0)]);
    expect("?labels=&service=other", &[]);
    expect("?labels=&direction=outbound", &[]);
    let refused = service.get(&format!("{PATH}?labels=route"));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("expected one of http_request_method"), "{}", refused.text());
    assert_eq!(service.get(&format!("{PATH}?from=0")).status, 400);
}

#[test]
fn more_series_than_the_bound_are_refused_with_the_way_out() {
    let service = Service::with(Limits { traffic_series: 1, ..Limits::default() });
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let refused = service.get(PATH);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("--traffic-series"), "{}", refused.text());
    assert_eq!(service.get(&format!("{PATH}?labels=service_name")).status, 200);
}

#[test]
fn counters_neither_fall_nor_count_twice_over_restarts_retention_and_new_lives_of_gateways() {
    let mut service = Service::start();
    let old = now() - 40 * 24 * 60 * MINUTE;
    let past = Frame { start: old - MINUTE, bounds_seconds: BOUNDS, ..Frame::at(old) };
    service
        .send(
            "/v1/metrics",
            Some(("gone", 1, 1)),
            &past.of(&[of("acme", "/a", 200, 0.1), of("gone", "/gone", 200, 7.0)]),
        )
        .accepted();
    let first = frame();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &first.of(&some())).accepted();
    let before = counters(&service, "?labels=service_name");
    assert_eq!(before["http_server_request_duration_seconds_count{service_name=\"orders\"}"], 6.0);
    service.restart(|_| ());
    assert_eq!(counters(&service, "?labels=service_name"), before);

    // Series of which everything has expired are removed, and minutes are.
    let day = Duration::from_secs(24 * 3600);
    service.keep(Retention { minutes: day, half_hours: day, ..Retention::default() });
    let series = |service: &Service| {
        let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
        file.query_row("SELECT count(*) FROM series", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    while series(&service) > 3 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counters(&service, "?labels=service_name"), before);
    // Nothing counts at the route any more.
    let routes = counters(&service, "?labels=http_route");
    assert!(!routes.keys().any(|key| key.contains("/gone")), "{routes:?}");

    // A repeat counts nothing, a further point its change, a new epoch from its start.
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &first.of(&some())).accepted();
    let second = [some(), vec![of("acme", "/a", 200, 0.2)]].concat();
    service
        .send("/v1/metrics", Some(("edge-1", 1, 2)), &Frame { start: first.start, ..frame() }.of(&second))
        .accepted();
    service.send("/v1/metrics", Some(("edge-1", 2, 1)), &frame().of(&some())).accepted();
    let delta = Frame { temporality: AggregationTemporality::Delta, ..frame() };
    service.send("/v1/metrics", None, &delta.of(&[of("acme", "/a", 200, 0.2)])).accepted();
    let after = counters(&service, "?labels=service_name");
    let value = |name: &str| after[&format!("{name}{{service_name=\"orders\"}}")];
    assert_eq!(value("http_server_request_duration_seconds_count"), 12.0);
    let bucket = |bound: &str| {
        after[&format!(
            "http_server_request_duration_seconds_bucket{{service_name=\"orders\",le=\"{bound}\"}}"
        )]
    };
    assert_eq!(
        ["0.005", "0.1", "0.25", "5.0", "10.0", "+Inf"].map(bucket),
        [2.0, 5.0, 9.0, 11.0, 12.0, 12.0]
    );
    assert!(before.iter().all(|(key, value)| after[key] >= *value));
    service.restart(|_| ());
    assert_eq!(counters(&service, "?labels=service_name"), after);
}

#[test]
fn openmetrics_has_the_time_of_creation_and_an_end() {
    let mut service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let get = |service: &Service| {
        let answer = service.get_as(&format!("{PATH}?labels="), OPENMETRICS);
        assert_eq!(
            answer.header("content-type"),
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        text(&answer)
    };
    let found = get(&service);
    assert!(found.ends_with("\n# EOF\n"), "{found}");
    assert!(found.contains("# UNIT http_server_request_duration_seconds seconds\n"), "{found}");
    let created = samples(&found)["http_server_request_duration_seconds_created"];
    let now = now() as f64 / 1e9;
    assert!(created > now - 600.0 && created < now + 600.0, "{created}");
    service.restart(|_| ());
    assert_eq!(get(&service), found);
}

/// A request of the log with a trace.
fn traced(made: &Made, trace: u8) -> ExportLogsServiceRequest {
    let mut logged = record(now(), made);
    logged.trace_id = vec![trace; 16];
    export_logs(vec![logged])
}

#[test]
fn a_bucket_names_the_trace_of_a_logged_request() {
    let service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let quick = of("globex", "/b", 503, 0.004);
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &traced(&quick, 0xab)).accepted();
    let path = format!("{PATH}?labels=http_route");
    let found = text(&service.get_as(&path, OPENMETRICS));
    let with: Vec<&str> = found.lines().filter(|line| line.contains(" # {")).collect();
    let expected = format!(
        "http_server_request_duration_seconds_bucket{{http_route=\"/b\",le=\"0.005\"}} 1 # {{trace_id=\"{}\"}} 0.004 ",
        "ab".repeat(16)
    );
    assert!(matches!(with.as_slice(), [line] if line.starts_with(&expected)), "{with:?}");
    assert!(!text(&service.get(&path)).contains(" # {"));
    // A request that the filter leaves out stands for no bucket.
    let of_acme = text(&service.get_as(&format!("{path}&consumer=acme"), OPENMETRICS));
    assert!(of_acme.contains("http_route=\"/a\"") && !of_acme.contains(" # {"), "{of_acme}");
    let other = Service::start();
    other.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    other.send("/v1/logs", Some(("edge-1", 1, 1)), &traced(&of("globex", "/a", 200, 3.0), 0xcd)).accepted();
    let with = |query: &str| text(&other.get_as(&format!("{path}{query}"), OPENMETRICS)).contains(" # {");
    assert_eq!([with("&consumer=globex"), with("&consumer=acme")], [true, false]);
    // Nor does it take the place of one that the filter takes.
    let later = (0..600).map(|index| record(now() + index, &of("acme", "/a", 200, 0.1)));
    other.send("/v1/logs", Some(("edge-1", 1, 2)), &export_logs(later.collect())).accepted();
    assert!(with("&consumer=globex"));
    let Some(prometheus) = Prometheus::start(SCRAPE, &["--enable-feature=exemplar-storage"]).unwrap() else {
        return;
    };
    prometheus.scrape(service.url.strip_prefix("http://").unwrap()).unwrap();
    let stored = eventually("an exemplar", || {
        let found = prometheus.exemplars("http_server_request_duration_seconds_bucket")?;
        Ok(Some(found).filter(|found| !found.is_empty()))
    });
    assert_eq!(stored.unwrap(), [(json!({"trace_id": "ab".repeat(16)}), 0.004)]);
}

#[test]
fn an_answer_is_packed_for_those_who_ask() {
    let service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let plain = service.get_with(PATH, &[("accept-encoding", "identity")]);
    // The client does not unpack what it did not ask for itself.
    let packed = service.get_with(PATH, &[("accept-encoding", "gzip")]);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.text());
}

#[test]
fn requests_in_progress_are_those_of_gateways_that_report() {
    let service = Service::start();
    for (instance, epoch, active) in [("edge-1", 1, 7), ("edge-1", 2, 3), ("edge-2", 1, 2)] {
        let frame = frame();
        let active = sum("http.server.active_requests", vec![(Vec::new(), active)], frame.time);
        service.send("/v1/metrics", Some((instance, epoch, 1)), &frame.export(vec![active])).accepted();
    }
    let found = counters(&service, "?labels=service_name,http_route");
    assert_eq!(found["http_server_active_requests{service_name=\"orders\"}"], 5.0);
}

const SCRAPE: &str = r#"
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs:
- job_name: gatelens
  metrics_path: /metrics/traffic
  params: {labels: ["http_route,http_response_status_code,gatelens_consumer_id"]}
  file_sd_configs: [{files: ["{targets}"]}]
  # The port of the service changes with each start of it.
  relabel_configs: [{target_label: instance, replacement: gatelens}]
"#;

/// The service restarts, a gateway begins a new life and another vanishes: each request counts once.
fn scraped_by_a_real_prometheus(flags: &[&str], check: impl Fn(&Prometheus, usize)) {
    let mut service = Service::start();
    let Some(prometheus) = Prometheus::start(SCRAPE, flags).unwrap() else { return };
    let scrape = |service: &Service| prometheus.scrape(service.url.strip_prefix("http://").unwrap()).unwrap();
    scrape(&service);
    let first = frame();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &first.of(&some())).accepted();
    service.send("/v1/metrics", Some(("edge-2", 1, 1)), &first.of(&some())).accepted();
    check(&prometheus, 8);
    service.restart(|_| ());
    scrape(&service);
    let more = [some(), vec![of("acme", "/a", 200, 0.3)]].concat();
    service
        .send("/v1/metrics", Some(("edge-1", 1, 2)), &Frame { start: first.start, ..frame() }.of(&more))
        .accepted();
    check(&prometheus, 9);
    service.send("/v1/metrics", Some(("edge-1", 2, 1)), &frame().of(&some())).accepted();
    check(&prometheus, 13);
}

#[test]
fn a_real_prometheus_counts_each_request_once() {
    scraped_by_a_real_prometheus(&[], |prometheus, requests| {
        prometheus.until("sum(http_server_request_duration_seconds_count)", requests as f64).unwrap();
        prometheus
            .until("sum(http_server_request_duration_seconds_bucket{le=\"+Inf\"})", requests as f64)
            .unwrap();
        prometheus.until("sum(http_server_request_body_size_bytes_sum)", 100.0 * requests as f64).unwrap();
        // No counter has ever fallen.
        prometheus.until("sum(resets(http_server_request_duration_seconds_count[1h]))", 0.0).unwrap();
        let quick =
            prometheus.query("sum(http_server_request_duration_seconds_bucket{le=\"0.005\"})").unwrap();
        let lives = [8, 9, 13].iter().position(|at| *at == requests).unwrap();
        assert_eq!(quick[0].1, [2.0, 2.0, 3.0][lives]);
    });
}

#[test]
fn a_real_prometheus_reads_native_histograms() {
    scraped_by_a_real_prometheus(&["--enable-feature=native-histograms"], |prometheus, requests| {
        prometheus
            .until("histogram_count(sum(http_server_request_duration_seconds))", requests as f64)
            .unwrap();
        let slow = "histogram_quantile(0.99, sum(http_server_request_duration_seconds{http_route=\"/a\"}))";
        let found = prometheus.query(slow).unwrap();
        assert!((found[0].1 - 3.0).abs() < 0.04, "{found:?}");
    });
}

/// The panels of a dashboard of Grafana: the title, and each target.
fn targets(name: &str) -> Vec<(String, Value)> {
    let path = format!("{}/../../packaging/grafana/dashboards/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let board: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let of = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| (title.clone(), target)).collect::<Vec<_>>()
    };
    panels.flat_map(of).collect()
}

#[test]
fn every_panel_of_the_dashboards_has_an_answer_of_a_real_prometheus() {
    let rules = format!("{}/../../packaging/prometheus/gatelens.rules.yaml", env!("CARGO_MANIFEST_DIR"));
    let configuration = format!(
        r#"
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}
rule_files: ["{rules}"]
scrape_configs:
- job_name: gatelens
  metrics_path: /metrics/traffic
  file_sd_configs: [{{files: ["{{targets}}"]}}]
"#
    );
    let Some(prometheus) = Prometheus::start(&configuration, &[]).unwrap() else { return };
    let service = Service::start();
    prometheus.scrape(service.url.strip_prefix("http://").unwrap()).unwrap();
    let first = frame();
    let active = sum("http.server.active_requests", vec![(Vec::new(), 3)], first.time);
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &first.export(vec![active])).accepted();
    service.send("/v1/metrics", Some(("edge-1", 1, 2)), &first.of(&some())).accepted();
    // A rate needs two values.
    prometheus.until("sum(http_server_request_duration_seconds_count)", 4.0).unwrap();
    let second = Frame { start: first.start, ..frame() }.of(&[some(), some()].concat());
    service.send("/v1/metrics", Some(("edge-1", 1, 3)), &second).accepted();
    prometheus.until("sum(http_server_request_duration_seconds_count)", 8.0).unwrap();
    for name in ["gatelens-traffic", "gatelens-objectives"] {
        for (title, target) in targets(name) {
            let mut query = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            for variable in ["$service", "$environment", "$route"] {
                query = query.replace(variable, ".*");
            }
            let what = format!("{name}: {title}: {query}");
            let found = eventually(&what, || {
                let found = prometheus.query(&query)?;
                Ok(Some(found).filter(|found| found.iter().any(|(_, value)| value.is_finite())))
            });
            found.unwrap();
        }
    }
    // Two of eight requests have failed, and two took longer than half a second.
    prometheus.until("service:http_server_requests:error_ratio_5m", 0.25).unwrap();
    prometheus.until("service:http_server_requests:slow_ratio_5m", 0.25).unwrap();
}

#[test]
fn the_dashboard_of_the_read_api_asks_what_it_answers() {
    let service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let failed = log(&[(now(), of("acme", "/b", 503, 0.1))]);
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &failed).accepted();
    let seconds = |offset: i64| ((now() / SECOND) as i64 + offset).to_string();
    for (title, target) in targets("gatelens-read-api") {
        let url = target["url"].as_str().unwrap();
        let url =
            url.replace("${__from:date:iso}", &seconds(-3600)).replace("${__to:date:iso}", &seconds(60));
        assert!(!url.contains('$'), "{title}: {url}");
        let answer = service.json(&url);
        let row = &answer[target["root_selector"].as_str().unwrap()][0];
        for column in target["columns"].as_array().unwrap() {
            let name = column["selector"].as_str().unwrap();
            // A field of the log is absent where the request has none.
            let is_optional = ["trace_id", "error_type"].contains(&name);
            assert!(is_optional || row.get(name).is_some(), "{title}: {name} is not in {row}");
        }
    }
}
