//! Bodies that are too large for one turn of the event loop: redacted in slices, and their events wait.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use gatelens_core::filter::EndStream;
use gatelens_model::Message;
use gatelens_redact::capture::SLICE_BYTES;
use gatelens_redact::{BodyKind, Hits, MASK, RedactConfig, Redactor};
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{points, records};
use gatelens_testkit::worker::{Body, Worker};

const START: u64 = 1_700_000_000_000_000_000;

/// Between two slices.
const SHORT: Duration = Duration::from_millis(2);

const CAPTURED: &str = r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"request_body": ["$.orders[*].note"]},
    "capture": {"request_body": true, "response_body": true, "max_body_bytes": 1048576}}"#;

fn start(configuration: &str) -> Worker {
    Worker::start(&FakeGateway::starting_at(START), configuration)
}

fn request() -> FakeStream {
    FakeStream::new("POST", "/a", 200)
        .header("content-type", "application/json")
        .response_header(":status", "200")
        .response_header("content-type", "application/json")
}

/// Orders of at least this size with a secret in each of them.
fn orders(bytes: usize) -> String {
    let mut text = "{\"orders\": [".to_owned();
    while text.len() < bytes {
        let comma = if text.ends_with('[') { "" } else { ", " };
        text += &format!(
            "{comma}{{\"id\": {}, \"password\": \"hunter2\", \"note\": \"hunter2 again\"}}",
            text.len()
        );
    }
    text + "]}"
}

/// What one pass leaves of a request body.
fn in_one_pass(text: &str) -> String {
    let config = RedactConfig { request_body: vec!["$.orders[*].note".into()], ..RedactConfig::default() };
    let redactor = Redactor::new(&config).unwrap();
    redactor.body(Message::Request, BodyKind::Json, text, &mut Hits::default()).unwrap()
}

/// Ticks as often as the worker asks for while it does so. Returns the number of ticks, and all that was sent.
fn ticks_while_short(worker: &Worker) -> (usize, Vec<Sent>) {
    let (mut ticks, mut sent) = (0, Vec::new());
    while worker.host.tick_period() == SHORT && ticks < 10_000 {
        ticks += 1;
        sent.extend(worker.deliver_after(SHORT));
    }
    (ticks, sent)
}

fn rest(worker: &Worker) -> Vec<Sent> {
    [(); 2].into_iter().flat_map(|()| worker.deliver_after(Duration::from_secs(15))).collect()
}

/// Events captured, and events sent.
fn events(sent: &[Sent]) -> (i64, i64) {
    (points(sent, "gatelens.events.captured")[""], points(sent, "gatelens.events")["sent"])
}

#[test]
fn a_large_body_is_redacted_by_the_slice_and_its_event_waits() {
    let worker = start(CAPTURED);
    let regular = worker.host.tick_period();
    let body = orders(970_000);
    worker.stream(request(), &Body::whole(&body), &Body::whole(&orders(200_000)));
    // A small one is not held up.
    worker.stream(request(), &Body::whole("{\"password\": \"x\"}"), &Body::none());
    assert_eq!(worker.host.tick_period(), SHORT);
    let (ticks, mut sent) = ticks_while_short(&worker);
    assert_eq!(worker.host.tick_period(), regular);
    sent.extend(rest(&worker));
    let records = records(&sent);
    assert_eq!(records.len(), 2);
    let late =
        records.iter().find(|record| record["http.request.body.size"] == body.len().to_string()).unwrap();
    let kept = [&late["gatelens.request.body.content"], &late["gatelens.response.body.content"]];
    assert_eq!(*kept[0], in_one_pass(&body));
    // A turn redacts a slice, or writes one. Each body is decoded in a turn of its own.
    let redacted = body.len().div_ceil(SLICE_BYTES) + 200_000usize.div_ceil(SLICE_BYTES);
    let written = (kept[0].len() + kept[1].len()).div_ceil(SLICE_BYTES);
    let turns = redacted + written + 2;
    assert!((turns - 2..=turns + 2).contains(&ticks), "{ticks} ticks for {turns} turns");
    assert!(late["gatelens.response.body.content"].contains(MASK));
    assert!(!late["gatelens.response.body.content"].contains("\"password\": \"hunter2\""));
    assert_eq!(late["url.path"], "/a");
    let small = records.iter().find(|record| record["http.request.body.size"] == "17").unwrap();
    assert_eq!(small["gatelens.request.body.content"], format!("{{\"password\": \"{MASK}\"}}"));
    let bodies = points(&sent, "gatelens.bodies");
    assert_eq!((bodies["captured request"], bodies["captured response"]), (2, 1), "{bodies:?}");
    assert_eq!(events(&sent), (2, 2));
    let orders = body.matches("hunter2 again").count() as i64;
    assert_eq!(points(&sent, "gatelens.redaction.hits")["request_body:$.orders[*].note"], orders);
}

#[test]
fn an_event_keeps_its_rules_through_an_update_and_its_fate_through_the_end() {
    let body = orders(400_000);
    let without_paths = CAPTURED.replace("$.orders[*].note", "$.other");
    let mut worker = start(CAPTURED);
    worker.stream(request(), &Body::whole(&body), &Body::none());
    let mut sent: Vec<Sent> = (0..3).flat_map(|_| worker.deliver_after(SHORT)).collect();
    sent.extend(worker.replace(&without_paths, Some(200)));
    // The new root context goes on with its first tick.
    sent.extend(worker.deliver_after(Duration::from_secs(1)));
    assert_eq!(worker.host.tick_period(), SHORT);
    sent.extend(ticks_while_short(&worker).1);
    sent.extend(rest(&worker));
    assert_eq!(records(&sent)[0]["gatelens.request.body.content"], in_one_pass(&body));

    // Nothing is begun at the end of the process.
    worker.stream(request(), &Body::whole(&body), &Body::whole("{\"password\": 1}"));
    worker.deliver_after(SHORT);
    let sent = worker.stop(Some(200));
    let records = records(&sent);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["gatelens.request.body.omitted"], "overload");
    assert_eq!(records[0]["gatelens.response.body.content"], format!("{{\"password\": \"{MASK}\"}}"));
    assert_eq!(points(&sent, "gatelens.events.captured")[""], 2);
}

#[test]
fn a_worker_that_loses_its_last_root_context_leaves_no_event_behind() {
    let other = CAPTURED.replace("\"redact\"", "\"service\": {\"name\": \"other\"}, \"redact\"");
    // Before the first slice, within the body, and while the record is written.
    for ticks in [0, 2, 5] {
        let mut worker = start(CAPTURED);
        let body = orders(200_000);
        worker.stream(request(), &Body::whole(&body), &Body::none());
        let mut sent: Vec<Sent> = (0..ticks).flat_map(|_| worker.deliver_after(SHORT)).collect();
        // The same root context gets a configuration with other counters.
        worker.host.set_configuration(other.clone());
        assert!(worker.plugin.configure(&worker.host));
        sent.extend((0..4).flat_map(|_| worker.deliver_after(Duration::from_secs(15))));
        let records = records(&sent);
        assert_eq!(records.len(), 1, "{ticks}");
        match records[0].get("gatelens.request.body.content") {
            Some(content) => assert_eq!((ticks, &**content), (5, &*in_one_pass(&body))),
            None => assert_eq!(records[0]["gatelens.request.body.omitted"], "overload"),
        }
    }
}

#[test]
fn no_more_wait_than_there_is_room_for_and_none_without_a_root_context() {
    let mut worker = start(CAPTURED);
    // Strings without signs are quickly read.
    let body = Body::whole(&format!("[{}0]", format!("\"{}\", ", "x".repeat(60_000)).repeat(15)));
    (0..8).for_each(|_| worker.stream(request(), &body, &Body::none()));
    let mut open = worker.begin(&request().int(Attribute::RequestSize, 900_000));
    worker.pass(&mut open, Message::Request, &body);
    let (_, mut sent) = ticks_while_short(&worker);
    sent.extend(rest(&worker));
    let bodies = points(&sent, "gatelens.bodies");
    // 4 MiB hold four of them.
    assert_eq!((bodies["captured request"], bodies["overload request"]), (4, 4), "{bodies:?}");
    assert_eq!(records(&sent).len(), 8);

    // Its worker has no root context any more: the one in force has other counters.
    sent = worker.replace(
        &CAPTURED.replace("\"redact\"", "\"service\": {\"name\": \"other\"}, \"redact\""),
        Some(200),
    );
    open.log(&worker.host);
    drop(open);
    sent.extend((0..4).flat_map(|_| worker.deliver_after(Duration::from_secs(15))));
    assert_eq!(records(&sent)[0]["gatelens.request.body.omitted"], "overload");
}

#[test]
fn what_cannot_be_read_in_slices_is_left_out_unless_redaction_may_take_all_the_time() {
    let text = "note: password=hunter2 ".repeat(10_000);
    let long_string = format!("{{\"a\": \"{text}\"}}");
    let whole = CAPTURED.replace("\"redact\"", "\"limits\": {\"redaction_percent\": 100}, \"redact\"");
    let query = CAPTURED.replace("$.orders[*].note", "$.orders[?@.id > 7].note");
    let check = |configuration: &str, media_type: &str, body: &str, is_kept: bool| {
        let worker = start(configuration);
        let stream = FakeStream::new("POST", "/a", 200).header("content-type", media_type);
        worker.stream(stream, &Body::whole(body), &Body::none());
        let mut sent = ticks_while_short(&worker).1;
        sent.extend(rest(&worker));
        let record = records(&sent).remove(0);
        let content = record.get("gatelens.request.body.content");
        assert_eq!(content.is_some(), is_kept, "{media_type} {configuration}");
        assert!(content.is_none_or(|content| content.contains(MASK) && !content.contains("=hunter2")));
        assert_eq!(
            record.get("gatelens.request.body.omitted").is_some_and(|why| why == "overload"),
            !is_kept
        );
    };
    let orders = orders(200_000);
    let lines = format!("{{\"password\": \"=hunter2\"}}\n{}\n{orders}\n", "{}\n".repeat(1_000));
    let events = "data: password=hunter2\n\n".repeat(5_000);
    check(CAPTURED, "text/plain", &text, false);
    check(&whole, "text/plain", &text, true);
    check(CAPTURED, "application/json", &long_string, false);
    check(&whole, "application/json", &long_string, true);
    check(&query, "application/json", &orders, false);
    check(CAPTURED, "application/json", &orders, true);
    check(CAPTURED, "text/plain", &orders, true);
    check(CAPTURED, "application/x-ndjson", &lines, true);
    check(CAPTURED, "text/event-stream", &events, true);
    // A body that comes in pieces is as large as it is, whatever memory it grew into.
    let worker = start(CAPTURED);
    let pieces = text.as_bytes()[..41_000].chunks(40_000).map(<[u8]>::to_vec).collect();
    let stream = FakeStream::new("POST", "/a", 200).header("content-type", "text/plain");
    worker.stream(stream, &Body(pieces, EndStream::Yes), &Body::none());
    let (ticks, sent) = ticks_while_short(&worker);
    assert_eq!((ticks, sent.len()), (0, 0));
    assert!(records(&rest(&worker))[0]["gatelens.request.body.content"].contains(MASK));
}

#[test]
fn an_interrupted_body_waits_only_where_a_part_of_it_is_kept() {
    let cut = |media_type: &str, body: String| {
        let worker = start(CAPTURED);
        let stream = FakeStream::new("POST", "/a", 200)
            .header("content-type", media_type)
            .int(Attribute::RequestSize, 100_000);
        let mut filter = worker.begin(&stream);
        worker.pass(&mut filter, Message::Request, &Body(vec![body.into_bytes()], EndStream::No));
        filter.log(&worker.host);
        drop(filter);
        let (ticks, mut sent) = ticks_while_short(&worker);
        sent.extend(rest(&worker));
        (ticks, records(&sent).remove(0))
    };
    let event = "data: password=hunter2\n\n";
    let (ticks, record) = cut("text/event-stream", event.repeat(10_000) + "data: password=hun");
    assert!(ticks > 240_000 / SLICE_BYTES, "{ticks} ticks");
    let masked = format!("data: password={MASK}\n\n").repeat(10_000);
    assert!(record["gatelens.request.body.content"] == masked);
    // The first event is not over: nothing is left to redact.
    let (_, record) = cut("text/event-stream", format!("data: {}", "x".repeat(100_000)));
    assert_eq!(record["gatelens.request.body.content"], "");
    let (ticks, record) = cut("application/json", orders(100_000));
    assert_eq!((ticks, &*record["gatelens.request.body.omitted"]), (0, "truncated"));
}
