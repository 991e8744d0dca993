//! Clients that send slowly, read slowly or come in crowds keep nobody else out, and take bounded memory.

use crate::support::otlp::{NOON, log, made, text};
use crate::support::{PROTOBUF, Service};
use gatelens_ingest::{Limits, Network};
use prost::Message;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PAGE: &str = "/api/v1/requests?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&limit=1000";
/// Rows of [`PAGE`], each with a body of 50,000 bytes: more than the system buffers for one connection.
const ROWS: usize = 140;
const PAGE_BYTES: usize = ROWS * 50_000;
/// Longer than any test: a bound that a test must not meet.
const NEVER: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(60);

/// Bounds that no test meets, except those that it lowers.
fn patient() -> Limits {
    Limits {
        head_timeout: NEVER,
        idle_timeout: NEVER,
        body_timeout: NEVER,
        write_timeout: NEVER,
        answer_timeout: NEVER,
        stop_timeout: Duration::from_millis(100),
        ..Limits::default()
    }
}

fn address(service: &Service) -> SocketAddr {
    service.url.trim_start_matches("http://").parse().unwrap()
}

/// A connection from this address, with a window of a few kilobytes.
fn connect_from(source: [u8; 4], service: &Service) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&address(service).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn connect(service: &Service) -> TcpStream {
    connect_from([127, 0, 0, 1], service)
}

fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
}

/// The status of an answer; 0 for a connection that was closed.
fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 12];
    match stream.read_exact(&mut answer) {
        Ok(()) => std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap(),
        Err(error) => {
            assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "no answer");
            0
        }
    }
}

/// The value of a metric of the service.
fn metric(service: &Service, name: &str) -> u64 {
    let text = service.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

fn refusals(service: &Service, reason: &str) -> u64 {
    metric(service, &format!("gatelens_ingest_refusals_total{{reason=\"{reason}\"}}"))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Stores the rows of [`PAGE`].
fn fill(service: &Service) {
    let mut batch = log(&vec![(NOON, made("/", 200, 0.1)); ROWS]);
    for record in &mut batch.resource_logs[0].scope_logs[0].log_records {
        record.attributes.push(text("gatelens.request.body.content", &"x".repeat(50_000)));
    }
    for half in batch.resource_logs[0].scope_logs[0].log_records.chunks(ROWS / 2) {
        let mut part = batch.clone();
        part.resource_logs[0].scope_logs[0].log_records = half.to_vec();
        service.post("/v1/logs", &[("content-type", PROTOBUF)], &part.encode_to_vec()).accepted();
    }
}

#[test]
fn readers_who_do_not_read_take_bounded_memory_and_are_closed() {
    let service = Service::with(Limits {
        page_bytes: 2 * PAGE_BYTES,
        answer_bytes: 2 * PAGE_BYTES + PAGE_BYTES / 2,
        answer_bytes_per_peer: 10 * PAGE_BYTES,
        write_timeout: Duration::from_secs(2),
        ..patient()
    });
    fill(&service);
    let mut readers: Vec<TcpStream> = (0..8).map(|_| connect(&service)).collect();
    readers.iter_mut().for_each(|reader| ask(reader, PAGE));
    let answers: Vec<u16> = readers.iter_mut().map(status).collect();
    assert!(answers.contains(&200) && answers.contains(&503), "{answers:?}");
    assert!(metric(&service, "gatelens_ingest_answer_bytes") as usize <= 2 * PAGE_BYTES + PAGE_BYTES / 2);
    until("the readers to be closed", || metric(&service, "gatelens_ingest_answer_bytes") == 0);
    assert!(refusals(&service, "write_timeout") >= 1);
    let mut reader = connect(&service);
    ask(&mut reader, PAGE);
    assert_eq!(status(&mut reader), 200);
    drop(readers);
}

#[test]
fn one_peer_does_not_take_all_memory_for_answers() {
    let service =
        Service::with(Limits { page_bytes: 2 * PAGE_BYTES, answer_bytes_per_peer: PAGE_BYTES, ..patient() });
    fill(&service);
    let mut first = connect(&service);
    ask(&mut first, PAGE);
    assert_eq!(status(&mut first), 200);
    let refused = service.get(PAGE);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "2"), "{}", refused.text());
    assert!(refusals(&service, "peer_readers") >= 1, "it is refused before it costs anything");
    let mut other = connect_from([127, 0, 0, 2], &service);
    ask(&mut other, PAGE);
    assert_eq!(status(&mut other), 200);
}

#[test]
fn a_reader_who_reads_a_little_now_and_then_is_closed() {
    let service = Service::with(Limits {
        page_bytes: 2 * PAGE_BYTES,
        answer_timeout: Duration::from_secs(1),
        ..patient()
    });
    fill(&service);
    let mut reader = connect(&service);
    ask(&mut reader, PAGE);
    assert_eq!(status(&mut reader), 200);
    let mut read = 0;
    let mut buffer = [0; 4096];
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        read += reader.read(&mut buffer).unwrap_or(0);
        std::thread::sleep(Duration::from_millis(50));
    }
    while let Ok(1..) = reader.read(&mut buffer).inspect(|n| read += n) {}
    assert!(read < PAGE_BYTES, "it read {read} bytes");
    until("the memory to be given back", || metric(&service, "gatelens_ingest_answer_bytes") == 0);
}

#[test]
fn connections_that_send_nothing_keep_nobody_out() {
    let service = Service::with(Limits { connections: 8, connections_per_peer: 100, ..patient() });
    let mut half: Vec<TcpStream> = Vec::new();
    for n in 0..24 {
        let mut stream = connect(&service);
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").unwrap(),
            // One that was used, and is kept.
            _ => {
                ask(&mut stream, "/healthz");
                assert_eq!(status(&mut stream), 200);
            }
        }
        half.push(stream);
    }
    assert_eq!(service.get("/healthz").status, 200);
    let body = log(&[(NOON, made("/", 200, 0.1))]).encode_to_vec();
    service.post("/v1/logs", &[("content-type", PROTOBUF)], &body).accepted();
    assert!(refusals(&service, "connection_replaced") >= 16);
}

#[test]
fn a_head_that_does_not_arrive_ends_its_connection_alone() {
    let service = Service::with(Limits { head_timeout: Duration::from_millis(300), ..patient() });
    let mut used = connect(&service);
    ask(&mut used, "/healthz");
    assert_eq!(status(&mut used), 200);
    for head in ["", "GET /healthz HTTP/1.1\r\nhost: loc"] {
        let mut stream = connect(&service);
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(status(&mut stream), 0, "{head:?}");
    }
    assert_eq!(refusals(&service, "head_timeout"), 2);
    // One that waits for its next request has more time; the rest of its first answer is still to be read.
    ask(&mut used, "/healthz");
    let mut answers = Vec::new();
    until("both answers", || {
        let mut buffer = [0; 4096];
        let read = used.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answers));
        answers.extend_from_slice(&buffer[..read]);
        String::from_utf8_lossy(&answers).matches("\"ok\"").count() == 2
    });
    used.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").unwrap();
    assert_eq!(status(&mut used), 0, "the first byte of a further head begins its time");
}

#[test]
fn a_peer_has_its_share_of_the_connections() {
    let service = Service::with(Limits { connections_per_peer: 3, ..patient() });
    let half = "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
                content-length: 10\r\nexpect: 100-continue\r\n\r\n";
    let mut busy: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = connect_from([127, 0, 0, 2], &service);
            stream.write_all(half.as_bytes()).unwrap();
            // Its handler asks for the body.
            assert_eq!(status(&mut stream), 100);
            stream
        })
        .collect();
    let mut further = connect_from([127, 0, 0, 2], &service);
    let _ = further.write_all(half.as_bytes());
    assert_eq!(status(&mut further), 0);
    assert_eq!(refusals(&service, "peer_connections"), 1);
    // A place that waits is given up instead.
    busy.pop();
    until("the place", || {
        let mut stream = connect_from([127, 0, 0, 2], &service);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answered = status(&mut stream) == 200;
        busy.push(stream);
        answered
    });
    // The answer may arrive before the server knows that the connection waits.
    until("the place of the one that waits", || {
        let mut newest = connect_from([127, 0, 0, 2], &service);
        let _ = newest.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        status(&mut newest) == 200
    });
}

#[test]
fn readers_leave_room_for_senders_and_health_checks() {
    let service = Service::with(Limits { visitors: 2, page_bytes: 2 * PAGE_BYTES, ..patient() });
    fill(&service);
    let mut readers: Vec<TcpStream> = (0..2).map(|_| connect(&service)).collect();
    for reader in &mut readers {
        ask(reader, PAGE);
        assert_eq!(status(reader), 200);
    }
    let refused = service.get("/api/v1/summary");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "2"), "{}", refused.text());
    assert_eq!(service.get("/").status, 503);
    assert_eq!(service.get("/healthz").status, 200);
    let body = log(&[(NOON, made("/", 200, 0.1))]).encode_to_vec();
    service.post("/v1/logs", &[("content-type", PROTOBUF)], &body).accepted();
    drop(readers);
    until("the places", || service.get("/api/v1/summary").status == 200);
}

#[test]
fn a_long_head_is_refused() {
    let service = Service::with(patient());
    let mut stream = connect(&service);
    let head = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(100_000));
    let _ = stream.write_all(head.as_bytes());
    assert!(matches!(status(&mut stream), 431 | 0));
}

#[test]
fn whoever_sends_too_often_is_put_off() {
    let service =
        Service::with(Limits { sender_requests_per_second: 1, reader_requests_per_second: 1, ..patient() });
    let body = log(&[(NOON, made("/", 200, 0.1))]).encode_to_vec();
    let send = || service.post("/v1/logs", &[("content-type", PROTOBUF)], &body);
    let refused = (0..200).map(|_| send()).find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.header("content-type")), (429, PROTOBUF), "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    let ask = || service.get("/api/v1/openapi.json");
    let refused = (0..200).map(|_| ask()).find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.header("content-type")), (429, "application/json"));
    assert_eq!(service.get("/healthz").status, 200);
}

#[test]
fn whoever_sends_too_much_is_put_off() {
    let service = Service::with(Limits { sender_bytes_per_second: 10, ..patient() });
    let body = log(&vec![(NOON, made("/", 200, 0.1)); 20]).encode_to_vec();
    assert!(body.len() > 1_000);
    service.post("/v1/logs", &[("content-type", PROTOBUF)], &body).accepted();
    let refused = service.post("/v1/logs", &[("content-type", PROTOBUF)], &body);
    assert_eq!(refused.status, 429, "{}", refused.text());
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!(seconds >= 20, "{seconds}");
}

#[test]
fn behind_a_trusted_proxy_each_client_has_a_rate_of_its_own() {
    let network = Network { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Network::default() };
    let limits = Limits { reader_requests_per_second: 1, connections_per_peer: 1, ..patient() };
    let service = Service::on(network, limits);
    let from = |source: [u8; 4], client: &str| {
        let mut stream = connect_from(source, &service);
        let head = format!(
            "GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {client}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        status(&mut stream)
    };
    assert!((0..200).any(|_| from([127, 0, 0, 1], "203.0.113.1") == 429));
    // The client writes the first of the addresses; it gains nothing.
    assert_eq!(from([127, 0, 0, 1], "198.51.100.9, 203.0.113.1"), 429);
    assert_eq!(from([127, 0, 0, 1], "203.0.113.2"), 200);
    // Of others the header is not believed.
    assert!((0..200).any(|n| from([127, 0, 0, 2], &format!("203.0.113.{n}")) == 429));
}
