//! A gateway without an ingest: Envoy answers Prometheus itself, from the counters of all workers.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;

use gatelens_testkit::client::{Connection, Request, get};
use gatelens_testkit::prometheus::Prometheus;
use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Upstream, artefacts, paths, wait};
use serde_json::{Value, json};

use super::report;

const COUNT: &str = "http_server_request_duration_seconds_count";

struct Gateway {
    envoy: Envoy,
    endpoint: SocketAddr,
    _upstream: Upstream,
}

impl Gateway {
    /// With `envoy/scrape.yaml`, changed.
    fn start(change: impl FnOnce(EnvoyConfig) -> EnvoyConfig) -> Self {
        artefacts::or_skip();
        let upstream = Upstream::start().unwrap();
        let config = EnvoyConfig::scrape().unwrap().upstream(upstream.address()).unwrap();
        let envoy = Envoy::start(&change(config)).unwrap();
        let listeners = envoy.listeners().unwrap();
        Self { envoy, endpoint: listeners["scrape"], _upstream: upstream }
    }

    fn gateway(&self) -> SocketAddr {
        self.envoy.listeners().unwrap()["gateway"]
    }

    fn page(&self) -> String {
        let response = get(self.endpoint, "/metrics").unwrap();
        assert_eq!(response.status, 200, "{}\n{}", response.text(), self.envoy.log());
        assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        response.text()
    }

    /// Sends these requests over connections to both workers.
    fn send(&self, requests: &[(Request, usize)]) {
        let address = self.gateway();
        thread::scope(|scope| {
            for share in 0..6 {
                scope.spawn(move || {
                    let mut connection = Connection::open(address).unwrap();
                    for (request, times) in requests {
                        for _ in (0..*times).filter(|n| n % 6 == share) {
                            connection.request(request).unwrap();
                        }
                    }
                });
            }
        });
    }

    /// The page, once it has this many requests.
    fn page_with(&self, requests: f64) -> BTreeMap<String, f64> {
        let what = format!("{requests} requests on the page");
        let page = wait::eventually(&what, || {
            let page = samples(&self.page());
            Ok(Some(page).filter(|page| sum(page, COUNT) >= requests))
        });
        page.unwrap_or_else(|error| panic!("{error}: {}", self.page()))
    }
}

/// The samples of a page by name and labels.
pub(super) fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn sum(page: &BTreeMap<String, f64>, name: &str) -> f64 {
    page.iter().filter(|(sample, _)| sample.split('{').next() == Some(name)).map(|(_, value)| value).sum()
}

/// Prometheus' own reader has nothing to object.
fn check_with_promtool(page: &str) {
    let Some(promtool) = artefacts::tool("promtool", "prometheus") else { return };
    let mut promtool =
        Command::new(promtool).args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "{page}");
}

/// The lines of JSON in Envoy's log, by the command of the documentation.
fn as_documented(log: &str) -> String {
    let page = std::fs::read_to_string(paths::workspace_root().join("docs/log-line.md")).unwrap();
    let command = page.lines().find_map(|line| line.strip_suffix(" envoy.log | jq .route")).unwrap();
    let mut shell = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, log) = (shell.stdin.take().unwrap(), log.to_owned());
    let writer = thread::spawn(move || input.write_all(log.as_bytes()).unwrap());
    let output = shell.wait_with_output().unwrap();
    writer.join().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_is_exact_over_all_workers_and_any_number_of_scrapes() {
    let gateway = Gateway::start(|config| config);
    let requests = [
        (Request::get("/users/42"), 150),
        (Request::get("/users/7?status=503"), 31),
        (Request::post("/echo", "12345"), 60),
        (Request::get("/bytes/1000"), 20),
    ];
    let total: usize = requests.iter().map(|(_, times)| times).sum();
    // Scrapes go on meanwhile.
    thread::scope(|scope| {
        scope.spawn(|| (0..50).for_each(|_| drop(gateway.page())));
        gateway.send(&requests);
    });
    let page = gateway.page_with(total as f64);
    assert_eq!(sum(&page, COUNT), total as f64, "{page:#?}");
    let of = |method: &str, route: &str, status: &str, error: &str| {
        format!(
            "{{http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\"{error},\
             service_name=\"shop\",deployment_environment_name=\"demo\"}}"
        )
    };
    let echo = of("POST", "/echo", "200", "");
    for (name, value) in [
        (format!("{COUNT}{}", of("GET", "/users/{id}", "200", "")), 150.0),
        (format!("{COUNT}{}", of("GET", "/users/{id}", "503", ",error_type=\"503\"")), 31.0),
        (format!("{COUNT}{echo}"), 60.0),
        (format!("http_server_request_body_size_bytes_sum{echo}"), 300.0),
        (format!("http_server_response_body_size_bytes_sum{echo}"), 300.0),
        (
            format!("http_server_response_body_size_bytes_sum{}", of("GET", "/bytes/{number}", "200", "")),
            20_000.0,
        ),
        (
            "http_server_active_requests{service_name=\"shop\",deployment_environment_name=\"demo\"}"
                .to_owned(),
            0.0,
        ),
    ] {
        assert_eq!(page.get(&name), Some(&value), "{name} in {page:#?}");
    }
    // Each request is in one bucket, and all are below infinity.
    let infinite: f64 = page
        .iter()
        .filter(|(name, _)| {
            name.starts_with("http_server_request_duration_seconds_bucket") && name.contains("+Inf")
        })
        .map(|(_, value)| value)
        .sum();
    assert_eq!(infinite, total as f64);
    // Scrapes count nowhere, whichever worker answers.
    for _ in 0..20 {
        assert_eq!(samples(&gateway.page()), page);
    }
    check_with_promtool(&gateway.page());
    let compressed = Request::get("/metrics").header("accept-encoding", "gzip");
    let response = Connection::open(gateway.endpoint).unwrap().request(&compressed).unwrap();
    assert_eq!((response.status, response.header("content-encoding")), (200, Some("gzip")));
    assert!(response.body.len() * 5 < gateway.page().len(), "{} bytes", response.body.len());
    for (request, status) in [
        (Request::get("/metrics/other"), 404),
        (Request::post("/metrics", "x"), 405),
        (Request::new("HEAD", "/metrics"), 200),
    ] {
        assert_eq!(Connection::open(gateway.endpoint).unwrap().request(&request).unwrap().status, status);
    }
    let log = gateway.envoy.log();
    assert!(!log.contains("[error]") && !log.contains("[critical]"), "{log}");
}

#[test]
fn the_log_line_needs_no_ingest_and_the_endpoint_may_share_the_vm() {
    // One VM for both: their lists of capabilities are the same, and everything is allowed.
    let gateway = Gateway::start(|config| {
        let config = config.entry(|plugin| {
            plugin["vm_config"].as_object_mut().unwrap().remove("capability_restriction_config");
            plugin.remove("capability_restriction_config");
        });
        let config = config.each_configuration(|configuration| {
            configuration["access_log"] = json!(true);
            if let Some(scrape) = configuration.get_mut("scrape") {
                scrape["labels"] = json!(["http_route", "gatelens_consumer_id"]);
            }
        });
        config.unwrap().node_id("edge-2")
    });
    gateway.send(&[
        (Request::get("/users/42?token=s3cr3t").header("x-consumer-id", "acme"), 12),
        (Request::get("/users/43"), 18),
    ]);
    let page = gateway.page_with(30.0);
    let of = |consumer: &str| {
        page[&format!("{COUNT}{{http_route=\"/users/{{id}}\",gatelens_consumer_id=\"{consumer}\"}}")]
    };
    assert_eq!((of("acme"), of("anonymous")), (12.0, 18.0));
    let log = gateway.envoy.log();
    let lines: Vec<Value> =
        as_documented(&log).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 30, "{log}");
    assert!(lines.iter().all(|line| line["route"] == "/users/{id}" && line["status"] == 200));
    assert!(!log.contains("s3cr3t"), "{log}");
}

#[test]
fn a_real_prometheus_counts_the_same_by_way_of_the_filter_and_of_the_ingest() {
    artefacts::or_skip();
    let ingest = Ingest::start().unwrap();
    let gateway = Gateway::start(|config| {
        let config = config.cluster("gatelens_ingest", ingest.address()).unwrap();
        let ingest = json!({"cluster": "gatelens_ingest"});
        config.each_configuration(|configuration| configuration["ingest"] = ingest.clone()).unwrap()
    });
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
         - {{job_name: filter, static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: ingest, metrics_path: /metrics/traffic, static_configs: [{{targets: ['{}']}}]}}\n",
        gateway.endpoint,
        ingest.address()
    );
    let Some(prometheus) = Prometheus::start(&configuration, &[]).unwrap() else { return };
    let requests = [
        (Request::get("/users/42"), 1_200),
        (Request::get("/users/7?status=503"), 300),
        (Request::post("/echo", "12345"), 600),
    ];
    // Scraped while they come.
    gateway.send(&requests);
    for job in ["filter", "ingest"] {
        let sum = |metric: &str, matches: &str| format!("sum({metric}{{job='{job}'{matches}}})");
        let bucket = "http_server_request_duration_seconds_bucket";
        prometheus.until(&sum(COUNT, ""), 2_100.0).unwrap();
        prometheus.until(&sum(COUNT, ",http_response_status_code='503',error_type='503'"), 300.0).unwrap();
        prometheus.until(&sum(COUNT, ",http_route='/users/{id}'"), 1_500.0).unwrap();
        prometheus.until(&sum(bucket, ",le='+Inf'"), 2_100.0).unwrap();
        prometheus.until(&sum("http_server_request_body_size_bytes_sum", ""), 3_000.0).unwrap();
    }
    assert_eq!(report::counted(&ingest), 2_100);
    // Each bucket of each series, by the names that both have.
    let labels = "http_request_method, http_route, http_response_status_code, error_type, service_name, \
                  deployment_environment_name, le";
    let buckets =
        |job: &str| format!("sum by ({labels}) (http_server_request_duration_seconds_bucket{{job='{job}'}})");
    let both = format!("{} == {}", buckets("filter"), buckets("ingest"));
    let equal = prometheus.query(&format!("count({both})")).unwrap();
    let all = prometheus.query(&format!("count({})", buckets("filter"))).unwrap();
    // Three series with the fourteen bounds of the conventions, and infinity.
    assert_eq!((equal[0].1, all[0].1), (45.0, 45.0), "{:?}", prometheus.query(&buckets("ingest")));
}
