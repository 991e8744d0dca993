//! `/metrics/traffic` under the names of other exporters.
//!
//! What is expected was read from the exporters themselves: an application with the same requests, under starlette_exporter 0.24.0
//! and prometheus-fastapi-instrumentator 8.1.0 (prometheus_client 0.26.0).

use crate::stats::well_formed;
use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, made};
use crate::traffic::{now, samples, text};
use gatelens_testkit::prometheus::Prometheus;
use std::collections::{BTreeMap, BTreeSet};

const PATH: &str = "/metrics/traffic";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
/// The default buckets of both exporters together, so that gateways count exactly at all of them.
const BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5,
    10.0, 30.0, 60.0,
];

/// The same requests as those of the application.
fn requests() -> Vec<Made> {
    let of = |method, route, status| Made { method, consumer: "acme", ..made(route, status, 0.02) };
    vec![
        of("GET", "/items/{id}", 200),
        of("GET", "/items/{id}", 200),
        Made { seconds: 0.7, ..of("GET", "/items/{id}", 200) },
        Made { consumer: "globex", ..of("POST", "/items", 201) },
        of("GET", "/boom", 503),
        of("GET", "/crash", 500),
        of("GET", "/health", 200),
        of("GET", "__unmatched__", 404),
    ]
}

fn service() -> Service {
    let service = Service::start();
    let frame = Frame { start: now() - MINUTE, bounds_seconds: BOUNDS, ..Frame::at(now()) };
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame.of(&requests())).accepted();
    let active = crate::support::otlp::sum("http.server.active_requests", vec![(Vec::new(), 2)], frame.time);
    service.send("/v1/metrics", Some(("edge-1", 1, 2)), &frame.export(vec![active])).accepted();
    service
}

/// The families of a text: name, type and names of the labels of each, without those of buckets.
fn families(text: &str) -> Vec<(String, String, Vec<String>)> {
    let mut found: Vec<(String, String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            found.push((name.to_owned(), kind.to_owned(), Vec::new()));
        } else if !line.starts_with('#') {
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once('}'))
                .map_or("", |(labels, _)| labels);
            let names = labels
                .split("\",")
                .filter_map(|label| label.split_once('='))
                .map(|(name, _)| name.to_owned());
            let family = found.last_mut().unwrap();
            family.2 = family
                .2
                .drain(..)
                .chain(names.filter(|name| name != "le"))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
    }
    found
}

fn expect_families(text: &str, expected: &[(&str, &str, &[&str])]) {
    well_formed(text);
    let owned = |(name, kind, labels): &(&str, &str, &[&str])| {
        ((*name).to_owned(), (*kind).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect())
    };
    assert_eq!(families(text), expected.iter().map(owned).collect::<Vec<_>>());
}

/// The samples of one name, by the values of its labels in the order of their names.
fn of_name(text: &str, name: &str) -> BTreeMap<String, f64> {
    let found = samples(text).into_iter().filter_map(|(key, value)| {
        let (found, labels) = key.split_once('{').unwrap_or((&key, ""));
        let mut labels: Vec<(&str, &str)> =
            labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once("=\"")).collect();
        labels.sort_unstable();
        let values: Vec<&str> = labels.iter().map(|(_, value)| value.trim_end_matches('"')).collect();
        (found == name).then(|| (values.join(" "), value))
    });
    found.collect()
}

fn expect(text: &str, name: &str, expected: &[(&str, f64)]) {
    let expected = expected.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect();
    assert_eq!(of_name(text, name), expected, "{name}");
}

#[test]
fn starlette_exporter_has_its_names_types_labels_and_values() {
    let service = service();
    let get = |options: &str| text(&service.get(&format!("{PATH}?names=starlette_exporter{options}")));
    let found = get("&app_name=starlette");
    let labels: &[&str] = &["app_name", "method", "path", "status_code"];
    expect_families(
        &found,
        &[
            ("starlette_requests_total", "counter", labels),
            ("starlette_request_duration_seconds", "histogram", labels),
            // The exporter has the label `method` as well.
            ("starlette_requests_in_progress", "gauge", &["app_name"]),
        ],
    );
    expect(
        &found,
        "starlette_requests_total",
        &[
            ("starlette GET /boom 503", 1.0),
            ("starlette GET /crash 500", 1.0),
            ("starlette GET /health 200", 1.0),
            ("starlette GET /items/{id} 200", 3.0),
            ("starlette POST /items 201", 1.0),
        ],
    );
    let buckets = of_name(&found, "starlette_request_duration_seconds_bucket");
    let bounds = |labels: &str| -> Vec<(String, f64)> {
        let of = buckets.iter().filter_map(|(key, value)| {
            let rest = key.strip_prefix("starlette ")?;
            let (bound, rest) = rest.split_once(' ')?;
            (rest == labels).then(|| (bound.to_owned(), *value))
        });
        of.collect()
    };
    let items = bounds("GET /items/{id} 200");
    let texts: BTreeSet<&str> = items.iter().map(|(bound, _)| bound.as_str()).collect();
    let expected = [
        "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5",
        "10.0", "+Inf",
    ];
    assert_eq!(texts, expected.into());
    for (bound, count) in [("0.01", 0.0), ("0.025", 2.0), ("0.5", 2.0), ("0.75", 3.0), ("+Inf", 3.0)] {
        assert!(items.contains(&(bound.to_owned(), count)), "{bound}: {items:?}");
    }

    let found = get(
        "&prefix=shop&app_name=x&group_unhandled_paths=true&skip_paths=/health&skip_methods=POST&buckets=0.1,0.75\
         &optional_metrics=request_body_size,response_body_size",
    );
    expect_families(
        &found,
        &[
            ("shop_requests_total", "counter", labels),
            ("shop_request_duration_seconds", "histogram", labels),
            ("shop_request_body_bytes_total", "counter", labels),
            ("shop_response_body_bytes_total", "counter", labels),
            ("shop_requests_in_progress", "gauge", &["app_name"]),
        ],
    );
    expect(
        &found,
        "shop_requests_total",
        &[
            ("x GET /boom 503", 1.0),
            ("x GET /crash 500", 1.0),
            ("x GET /items/{id} 200", 3.0),
            ("x GET __unknown__ 404", 1.0),
        ],
    );
    assert_eq!(of_name(&found, "shop_request_body_bytes_total")["x GET /items/{id} 200"], 300.0);
    let crash: Vec<_> = of_name(&found, "shop_request_duration_seconds_bucket")
        .into_iter()
        .filter(|(key, _)| key.ends_with("/crash 500"))
        .collect();
    let crash: Vec<_> = crash.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    assert_eq!(
        crash,
        [("x +Inf GET /crash 500", 1.0), ("x 0.1 GET /crash 500", 1.0), ("x 0.75 GET /crash 500", 1.0)]
    );

    // Without a name of the application, it is that of the service. Labels that are added come behind the exporter's.
    let found = get("&labels=gatelens_consumer_id&skip_paths=/*&filter_unhandled_paths=false");
    expect(&found, "starlette_requests_total", &[("orders acme GET __unmatched__ 404", 1.0)]);
    let refused = service.get(&format!("{PATH}?names=starlette_exporter&group_paths=false"));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("only by route"), "{}", refused.text());
}

#[test]
fn the_instrumentator_has_its_names_types_labels_and_values() {
    let service = service();
    let get = |options: &str| {
        text(&service.get(&format!("{PATH}?names=prometheus_fastapi_instrumentator{options}")))
    };
    let found = get("");
    expect_families(
        &found,
        &[
            ("http_requests_total", "counter", &["handler", "method", "status"]),
            ("http_request_size_bytes", "summary", &["handler"]),
            ("http_response_size_bytes", "summary", &["handler"]),
            ("http_request_duration_highr_seconds", "histogram", &[]),
            ("http_request_duration_seconds", "histogram", &["handler", "method"]),
        ],
    );
    expect(
        &found,
        "http_requests_total",
        &[
            ("/boom GET 5xx", 1.0),
            ("/crash GET 5xx", 1.0),
            ("/health GET 2xx", 1.0),
            ("/items POST 2xx", 1.0),
            ("/items/{id} GET 2xx", 3.0),
            ("none GET 4xx", 1.0),
        ],
    );
    assert_eq!(of_name(&found, "http_response_size_bytes_count")["/items/{id}"], 3.0);
    assert_eq!(of_name(&found, "http_response_size_bytes_sum")["/items/{id}"], 3000.0);
    let highr = of_name(&found, "http_request_duration_highr_seconds_bucket");
    assert_eq!(highr.len(), 22);
    assert_eq!(
        ["0.01", "0.025", "0.75", "60.0", "+Inf"].map(|bound| highr[bound]),
        [0.0, 7.0, 8.0, 8.0, 8.0]
    );
    expect(&found, "http_request_duration_highr_seconds_count", &[("", 8.0)]);
    let lowr = of_name(&found, "http_request_duration_seconds_bucket");
    assert_eq!(
        ["0.1", "0.5", "1.0", "+Inf"].map(|bound| lowr[&format!("/items/{{id}} {bound} GET")]),
        [2.0, 2.0, 3.0, 3.0]
    );

    let found = get(
        "&should_group_status_codes=false&should_ignore_untemplated=true&excluded_handlers=/health&latency_lowr_buckets=0.75\
         &should_instrument_requests_inprogress=true&should_only_respect_2xx_for_highr=true&metric_namespace=a\
         &metric_subsystem=b",
    );
    expect(
        &found,
        "a_b_http_requests_total",
        &[
            ("/boom GET 503", 1.0),
            ("/crash GET 500", 1.0),
            ("/items POST 201", 1.0),
            ("/items/{id} GET 200", 3.0),
        ],
    );
    expect(&found, "a_b_http_request_duration_highr_seconds_count", &[("", 4.0)]);
    expect(&found, "http_requests_inprogress", &[("", 2.0)]);
}

#[test]
fn openmetrics_names_a_counter_without_its_end() {
    let found = text(&service().get_as(&format!("{PATH}?names=starlette_exporter"), OPENMETRICS));
    for expected in [
        "# TYPE starlette_requests counter\n",
        "\nstarlette_requests_total{",
        "\nstarlette_requests_created{",
        "# TYPE starlette_request_duration_seconds histogram\n",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn queries_of_dashboards_for_the_exporters_are_answered() {
    let config = r#"
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs:
- job_name: starlette
  metrics_path: /metrics/traffic
  params: {names: [starlette_exporter], app_name: [shop], prefix: [http]}
  file_sd_configs: [{files: ["{targets}"]}]
- job_name: instrumentator
  metrics_path: /metrics/traffic
  params: {names: [prometheus_fastapi_instrumentator]}
  file_sd_configs: [{files: ["{targets}"]}]
"#;
    for flags in [[].as_slice(), &["--enable-feature=native-histograms"]] {
        let Some(prometheus) = Prometheus::start(config, flags).unwrap() else { return };
        let service = service();
        prometheus.scrape(service.url.strip_prefix("http://").unwrap()).unwrap();
        for (query, expected) in [
            ("sum(http_requests_total{app_name=\"shop\", status_code=~\"5..\"})", 2.0),
            ("sum by (path) (http_requests_total{app_name=\"shop\", path=\"/items/{id}\"})", 3.0),
            (
                "histogram_quantile(0.5, sum by (le) (http_request_duration_seconds_bucket{app_name=\"shop\", path=\"/boom\"}))",
                0.01 + (0.025 - 0.01) * 0.5,
            ),
            (
                "sum(http_request_duration_seconds_sum{app_name=\"shop\", path=\"/items/{id}\"})
                   / sum(http_request_duration_seconds_count{app_name=\"shop\", path=\"/items/{id}\"})",
                0.74 / 3.0,
            ),
            ("sum(http_requests_in_progress{app_name=\"shop\"})", 2.0),
            (
                "sum(http_requests_total{handler!=\"none\", status=~\"5xx\"}) / sum(http_requests_total{job=\"instrumentator\"})",
                0.25,
            ),
            (
                "sum(http_request_duration_seconds_bucket{job=\"instrumentator\", le=\"0.1\"})
                   / sum(http_request_duration_seconds_count{job=\"instrumentator\"})",
                0.875,
            ),
            (
                "histogram_quantile(0.5, sum by (le) (http_request_duration_highr_seconds_bucket))",
                0.01 + (0.025 - 0.01) * (4.0 / 7.0),
            ),
            ("sum(http_response_size_bytes_sum) / sum(http_response_size_bytes_count)", 1000.0),
        ] {
            prometheus.until(query, expected).unwrap();
        }
    }
}
