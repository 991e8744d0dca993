//! Remote write: counters arrive in a store by themselves, and nothing that can be repeated is given up.

use crate::support::Service;
use crate::support::otlp::Frame;
use crate::traffic::{frame, some};
use gatelens_ingest::RemoteWriteConfig;
use gatelens_testkit::prometheus::Prometheus;
use gatelens_testkit::wait::eventually;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

pub(crate) fn to(url: String) -> RemoteWriteConfig {
    let external_labels = [("cluster".to_owned(), "eu".to_owned())].into();
    RemoteWriteConfig { url, interval_seconds: 1, external_labels, ..RemoteWriteConfig::default() }
}

#[test]
fn a_real_prometheus_takes_the_counters() {
    let flags = ["--web.enable-remote-write-receiver"];
    let Some(prometheus) = Prometheus::start("scrape_configs: []", &flags).unwrap() else { return };
    let mut service = Service::start();
    service.write_to(to(format!("http://{}/api/v1/write", prometheus.address())));
    let first = frame();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &first.of(&some())).accepted();
    prometheus.until("sum(http_server_request_duration_seconds_count{cluster=\"eu\"})", 4.0).unwrap();
    prometheus.until("sum(http_server_request_duration_seconds_bucket{le=\"0.1\"})", 2.0).unwrap();
    prometheus.until("sum(http_server_response_body_size_bytes_sum{http_route=\"/a\"})", 3000.0).unwrap();
    service.restart(|_| ());
    let second = Frame { start: first.start, ..frame() }.of(&[some(), some()].concat());
    service.send("/v1/metrics", Some(("edge-1", 1, 2)), &second).accepted();
    prometheus.until("sum(http_server_request_duration_seconds_count)", 8.0).unwrap();
    prometheus.until("sum(resets(http_server_request_duration_seconds_count[1h]))", 0.0).unwrap();
}

#[test]
fn a_real_prometheus_takes_native_histograms() {
    let flags = ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"];
    let Some(prometheus) = Prometheus::start("scrape_configs: []", &flags).unwrap() else { return };
    let mut service = Service::start();
    let url = format!("http://{}/api/v1/write", prometheus.address());
    service.write_to(RemoteWriteConfig { native_histograms: true, ..to(url) });
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    // The classic ones are there as well.
    prometheus.until("sum(http_server_request_duration_seconds_count{cluster=\"eu\"})", 4.0).unwrap();
    let native = "http_server_request_duration_seconds{cluster=\"eu\"}";
    prometheus.until(&format!("histogram_count(sum({native}))"), 4.0).unwrap();
    let sum = prometheus.query(&format!("histogram_sum(sum({native}))")).unwrap();
    assert!((sum[0].1 - 3.205).abs() < 1e-9, "{sum:?}");
    // 0.1 and 0.101 s of four are above 0.05 and up to 0.2 s.
    let between = prometheus.query(&format!("histogram_fraction(0.05, 0.2, sum({native}))")).unwrap();
    assert_eq!(between[0].1, 0.5);
}

/// The head and the body of a request.
pub(crate) type Came = (HashMap<String, String>, Vec<u8>);

/// A store that answers with these statuses, then with 204. Gives what came.
pub(crate) fn store(statuses: &'static [u16]) -> (String, Receiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/write", listener.local_addr().unwrap());
    let (came, requests) = channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.iter();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            let mut lines = reader.by_ref().lines().map(Result::unwrap);
            let head: HashMap<String, String> = lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .filter_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    Some((name.to_ascii_lowercase(), value.to_owned()))
                })
                .collect();
            let length = head.get("content-length").and_then(|length| length.parse().ok()).unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = statuses.next().unwrap_or(&204);
            write!(connection, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
            if came.send((head, body)).is_err() {
                return;
            }
        }
    });
    (url, requests)
}

pub(crate) fn fate(service: &Service, name: &str) -> u64 {
    let text = service.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn what_may_be_repeated_is_repeated_as_it_was_and_the_rest_is_counted() {
    let mut service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame().of(&some())).accepted();
    let (url, requests) = store(&[503, 429, 400]);
    service.write_to(to(url));
    let mut bodies = Vec::new();
    for _ in 0..4 {
        let (head, body) = requests.recv().unwrap();
        assert_eq!(head["content-encoding"], "snappy");
        assert_eq!(head["content-type"], "application/x-protobuf");
        assert_eq!(head["x-prometheus-remote-write-version"], "0.1.0");
        bodies.push(body);
    }
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2], "a repeat has the same bytes");
    assert_ne!(bodies[2], bodies[3], "what was rejected is not repeated");
    let waits = eventually("samples are sent", || {
        let name = "gatelens_ingest_remote_write_samples_total{fate=\"sent\"}";
        Ok((fate(&service, name) > 0).then_some(()))
    });
    waits.unwrap();
    assert!(fate(&service, "gatelens_ingest_remote_write_samples_total{fate=\"rejected\"}") > 0);
    assert_eq!(fate(&service, "gatelens_ingest_remote_write_samples_total{fate=\"queue_full\"}"), 0);
    assert!(fate(&service, "gatelens_ingest_remote_write_failures_total") >= 2);
}
