//! Requests as they come: server-sent events of what was just stored.

use crate::support::Service;
use crate::support::otlp::{Made, NOON, log, made};
use gatelens_ingest::Limits;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::time::Duration;

/// A stream that is read line by line.
struct Stream(Box<dyn BufRead>);

struct Event {
    id: String,
    data: Value,
}

impl Stream {
    /// Opens it, and waits for its opening: what is stored from then on comes.
    fn open(service: &Service, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = ureq::get(format!("{}/api/v1/requests/stream?{query}", service.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.call().unwrap();
        assert_eq!(answer.headers().get("content-type").unwrap(), "text/event-stream");
        let mut stream = Self(Box::new(BufReader::new(answer.into_body().into_reader())));
        while !stream.line().unwrap().is_empty() {}
        stream
    }

    /// `None` at the end, also at one that comes too early.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// The next event with requests; `None` at the end.
    fn next(&mut self) -> Option<Event> {
        let mut id = String::new();
        loop {
            let line = self.line()?;
            if let Some(given) = line.strip_prefix("id: ") {
                given.clone_into(&mut id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some(Event { id, data: serde_json::from_str(data).unwrap() });
            }
        }
    }

    /// The paths of so many requests, and the last event.
    fn routes(&mut self, count: usize) -> (Vec<String>, Event) {
        let mut routes = Vec::new();
        loop {
            let event = self.next().unwrap();
            let rows = event.data["rows"].as_array().unwrap();
            routes.extend(rows.iter().map(|row| row["route"].as_str().unwrap().to_owned()));
            if routes.len() >= count {
                return (routes, event);
            }
        }
    }
}

fn send(service: &Service, sequence: u64, routes: &[&'static str]) {
    let all: Vec<(u64, Made)> =
        routes.iter().zip(0..).map(|(route, at)| (NOON + at, made(route, 200, 0.1))).collect();
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &log(&all)).accepted();
}

#[test]
fn requests_come_in_their_order_with_the_filters_of_the_log() {
    let service = Service::start();
    send(&service, 1, &["/before"]);
    let mut all = Stream::open(&service, "", &[]);
    let mut some = Stream::open(&service, "q=route:/b&status=200", &[]);
    send(&service, 2, &["/a", "/b"]);
    send(&service, 3, &["/c", "/b"]);
    // A batch that is repeated is stored once, and comes once.
    send(&service, 3, &["/c", "/b"]);
    send(&service, 4, &["/b"]);
    let (routes, event) = all.routes(5);
    assert_eq!(
        (routes, &event.data["skipped"]),
        (["/a", "/b", "/c", "/b", "/b"].map(str::to_owned).to_vec(), &json!(0))
    );
    assert_eq!(some.routes(3).0, ["/b", "/b", "/b"]);
}

#[test]
fn what_is_too_much_is_counted_as_skipped() {
    let service = Service::with(Limits { stream_rows: 3, ..Limits::default() });
    let mut stream = Stream::open(&service, "", &[]);
    send(&service, 1, &["/a", "/b", "/c", "/d", "/e", "/f", "/g"]);
    let first = stream.next().unwrap();
    let routes: Vec<_> =
        first.data["rows"].as_array().unwrap().iter().map(|row| row["route"].clone()).collect();
    assert_eq!((routes, &first.data["skipped"]), (vec![json!("/e"), json!("/f"), json!("/g")], &json!(4)));
    drop(stream);
    // Two requests come while nobody reads, and a reader that returns learns of them.
    send(&service, 2, &["/h", "/i"]);
    let mut stream = Stream::open(&service, "", &[("last-event-id", &first.id)]);
    send(&service, 3, &["/j"]);
    let event = stream.next().unwrap();
    assert_eq!((&event.data["rows"][0]["route"], &event.data["skipped"]), (&json!("/j"), &json!(2)));
    // A batch in which nothing matches is seen, and moves the place on.
    let mut some = Stream::open(&service, "status=500", &[]);
    send(&service, 10, &["/x", "/y"]);
    let line = std::iter::from_fn(|| some.line()).find(|line| line.starts_with("id: ")).unwrap();
    drop(some);
    let mut some = Stream::open(&service, "", &[("last-event-id", line.trim_start_matches("id: "))]);
    send(&service, 11, &["/z"]);
    assert_eq!(some.next().unwrap().data["skipped"], 0);
    // An ID of another process means nothing.
    let mut stream = Stream::open(&service, "", &[("last-event-id", "1-0")]);
    send(&service, 4, &["/k"]);
    assert_eq!(stream.next().unwrap().data["skipped"], 0);
}

#[test]
fn followers_are_bounded_and_free_their_places() {
    let service = Service::with(Limits { streams: 1, ..Limits::default() });
    let stream = Stream::open(&service, "", &[]);
    let refused = service.get("/api/v1/requests/stream");
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &body["error"]["code"]), (503, &json!("streams")));
    drop(stream);
    while service.get("/api/v1/requests/stream").status != 200 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stream_ends_in_its_time_and_with_the_service() {
    let service = Service::with(Limits { stream_time: Duration::from_millis(100), ..Limits::default() });
    assert!(Stream::open(&service, "", &[]).next().is_none());
    let mut service = Service::start();
    let mut stream = Stream::open(&service, "", &[]);
    let begun = std::time::Instant::now();
    service.restart(|_| ());
    assert!(stream.next().is_none());
    assert!(begun.elapsed() < Limits::default().stop_timeout, "the service waited for a reader");
}

#[test]
fn wrong_questions_are_refused_before_the_stream_begins() {
    let service = Service::start();
    for (query, field) in
        [("from=0", "from"), ("limit=1", "limit"), ("q=statsu:5xx", "q"), ("status=x", "status")]
    {
        let answer = service.get(&format!("/api/v1/requests/stream?{query}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &json!(field)), "{query}");
    }
}
