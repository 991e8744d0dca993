//! Uptime: from traffic, heartbeats and probes to the answer.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, made};
use gatelens_ingest::ProbeConfig;
use gatelens_testkit::wait;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

fn rows(service: &Service, query: &str) -> Vec<Value> {
    service.json(&format!("/api/v1/uptime?{query}"))["rows"].as_array().unwrap().clone()
}

/// Has the traffic of the past judged anew, as at the first start.
fn judge(service: &mut Service) {
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        file.execute("DELETE FROM retention_marks WHERE name = 'uptime'", []).unwrap();
    });
}

#[test]
fn traffic_and_heartbeats_are_judged_by_minute() {
    let mut service = Service::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let send = |sequence, minutes_ago, statuses: &[u16]| {
        let all: Vec<_> = statuses.iter().map(|status| made("/a", *status, 0.1)).collect();
        let at = now - minutes_ago * MINUTE;
        let frame = Frame { start: at - MINUTE, ..Frame::at(at) };
        service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &frame.of(&all)).accepted();
    };
    send(1, 30, &[200; 20]);
    // A tenth of the requests.
    send(2, 20, &[&[200; 9][..], &[500]].concat());
    // One is no error.
    send(3, 10, &[404]);
    judge(&mut service);
    let found =
        wait::eventually("traffic that is judged", || Ok(rows(&service, "").into_iter().next())).unwrap();
    assert_eq!((&found["service"], &found["environment"]), (&json!("orders"), &json!("prod")));
    let whole = || Ok(rows(&service, "").into_iter().find(|row| row["minutes"] == 3));
    let whole = wait::eventually("all of it", whole).unwrap();
    assert_eq!((&whole["bad"], &whole["state"]), (&json!(1), &json!("degraded")), "{whole}");
    let uptime = whole["uptime"].as_f64().unwrap();
    assert!((uptime - 2.0 / 3.0).abs() < 1e-9, "{uptime}");
    let bars = whole["bars"].as_array().unwrap();
    assert_eq!(bars.len(), 30, "today is the last of thirty days");
    let sum = |key: &str| bars.iter().map(|bar| bar[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!([sum("minutes"), sum("bad")], [3, 1]);
    let route = &rows(&service, "group_by=route&step=3600&from=-2h")[0];
    assert_eq!((&route["method"], &route["route"], &route["bad"]), (&json!("GET"), &json!("/a"), &json!(1)));
    let gateway = &rows(&service, "group_by=gateway")[0];
    assert_eq!((&gateway["gateway"], &gateway["uptime"]), (&json!("edge-1"), &json!(1.0)), "{gateway}");
    assert!(gateway["minutes"].as_u64().unwrap() >= 1);
    assert_eq!(rows(&service, "service=other"), Vec::<Value>::new());
}

#[test]
fn probes_are_asked_and_their_failures_count() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    // It answers until the process ends.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let mut service = Service::start();
    let probe = |name: &str, url: &str, service: Option<&str>| ProbeConfig {
        name: name.to_owned(),
        url: url.to_owned(),
        service: service.map(str::to_owned),
        ..ProbeConfig::default()
    };
    service.probe(vec![probe("home", &url, None), probe("shop", &closed, Some("shop"))]);
    let both = || {
        let found = rows(&service, "group_by=probe");
        Ok(Some(found).filter(|rows| rows.iter().filter(|row| row["latest"].is_object()).count() == 2))
    };
    let all = wait::eventually("both results", both).unwrap();
    let of = |name: &str| all.iter().find(|row| row["probe"] == name).unwrap();
    let (home, shop) = (of("home"), of("shop"));
    assert_eq!(
        (&home["latest"]["status"], &home["latest"]["error"], &home["uptime"]),
        (&json!(200), &Value::Null, &json!(1.0))
    );
    assert_eq!((&shop["latest"]["status"], &shop["uptime"]), (&json!(0), &json!(0.0)), "{shop}");
    assert!(!shop["latest"]["error"].as_str().unwrap().is_empty());
    assert_eq!(
        (home.get("service"), &shop["service"], &shop["environment"]),
        (None, &json!("shop"), &json!("default"))
    );
}

#[test]
fn wrong_questions_are_refused_with_their_field() {
    let service = Service::start();
    for (query, field) in [
        ("group_by=other", "group_by"),
        ("step=60", "step"),
        ("step=7200", "step"),
        ("from=-400d&step=3600", "step"),
    ] {
        let answer = service.get(&format!("/api/v1/uptime?{query}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &json!(field)), "{query}");
    }
}
