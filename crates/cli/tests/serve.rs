//! `gatelens serve` as a process: how it starts, how it refuses to, and what survives its sudden end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use otlp::{Frame, MINUTE, NOON, log, made};
use prost::Message;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[path = "../../ingest/tests/support/otlp.rs"]
mod otlp;

struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
    url: String,
}

impl Service {
    fn start(data: &Path) -> Self {
        let mut child = gatelens(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let rest = line.strip_prefix("gatelens ingest listening on ").unwrap_or_else(|| panic!("{line}"));
        let (url, dir) = rest.split_once(", data in ").unwrap();
        assert_eq!(dir.trim_end(), data.to_str().unwrap());
        Self { url: url.to_owned(), child, stderr }
    }

    /// Whether a batch was acknowledged; `false` as well when nobody answered.
    fn send(&self, path: &str, sequence: u64, message: &impl Message) -> bool {
        let request = ureq::post(format!("{}{path}", self.url))
            .header("content-type", "application/x-protobuf")
            .header("x-gatelens-instance", "edge-1")
            .header("x-gatelens-epoch", "00000000000000aa")
            .header("x-gatelens-sequence", sequence.to_string());
        request.send(&message.encode_to_vec()).is_ok()
    }

    fn json(&self, path: &str) -> Value {
        let text =
            ureq::get(format!("{}{path}", self.url)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Exit status and what else was said on stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }
}

fn gatelens(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatelens"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_signal_ends_it_well() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::start(dir.path());
        assert_eq!(service.json("/healthz")["status"], "ok");
        service.signal(signal);
        assert_eq!(service.end(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn it_says_why_it_cannot_start() {
    let dir = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], status: i32, words: &[&str]| {
        let output = gatelens(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        words
            .iter()
            .for_each(|word| assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}"));
    };
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    check(&["serve", "--listen", &taken, "--data", &path("a")], 1, &[&taken, "--listen"]);

    std::fs::write(path("file"), "").unwrap();
    check(
        &["serve", "--listen", "127.0.0.1:0", "--data", &path("file")],
        1,
        &["data directory", &path("file")],
    );

    std::fs::create_dir(path("foreign")).unwrap();
    std::fs::write(path("foreign/metrics.db"), "no database at all, but a text").unwrap();
    check(&["serve", "--listen", "127.0.0.1:0", "--data", &path("foreign")], 1, &["not a database"]);

    let running = Service::start(Path::new(&path("used")));
    check(&["serve", "--listen", "127.0.0.1:0", "--data", &path("used")], 1, &["in use by another gatelens"]);
    running.signal("-TERM");
    running.end();

    check(&["serve", "--listen", "127.0.0.1:0"], 2, &["--data"]);
    check(&["serve", "--listen", "here", "--data", "x"], 2, &["--listen"]);
    check(&["surve"], 2, &["serve"]);
    check(&["--version"], 0, &[]);
}

/// Killed at any moment: what was acknowledged is there, what was not can be sent again, and nothing counts twice.
#[test]
fn a_sudden_end_loses_nothing_acknowledged_and_doubles_nothing() {
    const ROUNDS: u64 = 12;
    let dir = tempfile::tempdir().unwrap();
    let (counters, requests) = (AtomicU64::new(1), AtomicU64::new(1));
    for round in 0..ROUNDS {
        let service = Service::start(dir.path());
        std::thread::scope(|scope| {
            scope.spawn(|| send_until_dead(&counters, |n| service.send("/v1/metrics", n, &frame(n))));
            scope.spawn(|| send_until_dead(&requests, |n| service.send("/v1/logs", n, &batch(n))));
            std::thread::sleep(Duration::from_millis(20 + 17 * round));
            service.signal("-KILL");
        });
        service.end();
    }
    let service = Service::start(dir.path());
    let (last_frame, last_batch) = (counters.load(Ordering::Relaxed), requests.load(Ordering::Relaxed));
    assert!(service.send("/v1/metrics", last_frame, &frame(last_frame)));
    assert!(service.send("/v1/logs", last_batch, &batch(last_batch)));
    assert!(last_frame > 1 && last_batch > 1, "nothing was ever acknowledged");
    let day = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
    let row = service.json(&format!("/api/v1/summary?{day}"))["rows"][0].clone();
    assert_eq!(row["requests"], last_frame * 3, "after {ROUNDS} sudden ends");
    let mut found = Vec::new();
    let mut cursor = String::new();
    while let Some(next) = {
        let answer = service.json(&format!("/api/v1/requests?{day}&limit=1000&cursor={cursor}"));
        found.extend(answer["rows"].as_array().unwrap().iter().map(|row| row["request_id"].clone()));
        answer["next"].as_str().map(str::to_owned)
    } {
        cursor = next;
    }
    let expected: Vec<Value> = (1..=last_batch).rev().map(|n| format!("id-{}", NOON + n).into()).collect();
    assert_eq!(found, expected);
    assert_eq!(
        service.json("/api/v1/gateways")["rows"][0]["gaps"],
        serde_json::json!({"metrics": 0, "logs": 0})
    );
    service.signal("-TERM");
    service.end();
}

/// Goes on with the sequence with each success; the batch without one is sent again in the next round.
fn send_until_dead(sequence: &AtomicU64, send: impl Fn(u64) -> bool) {
    while send(sequence.load(Ordering::Relaxed)) {
        sequence.fetch_add(1, Ordering::Relaxed);
    }
}

/// The counters after `n` frames: three more requests with each.
fn frame(n: u64) -> ExportMetricsServiceRequest {
    let all: Vec<_> = (0..n * 3).map(|i| made(["/a", "/b"][i as usize % 2], 200, 0.1)).collect();
    Frame::at(NOON + n % 600 * MINUTE).of(&all)
}

fn batch(n: u64) -> opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest {
    log(&[(NOON + n, made("/a", 200, 0.1))])
}
