//! What survives a sudden end, a full disk and a directory that cannot be written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, MINUTE, NOON, log, made};
use gatelens_testkit::process::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{EDGE, Sender, Service, gatelens};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// Killed at any moment while several gateways write: what was acknowledged is there, what was not can be sent again,
/// and nothing counts twice.
#[test]
fn a_sudden_end_loses_nothing_acknowledged_and_doubles_nothing() {
    const ROUNDS: u64 = 30;
    const SENDERS: [Sender; 2] = [EDGE, Sender { instance: "edge-2", epoch: 0xbb }];
    let dir = tempfile::tempdir().unwrap();
    let counters = SENDERS.map(|_| AtomicU64::new(1));
    let requests = SENDERS.map(|_| AtomicU64::new(1));
    for round in 0..ROUNDS {
        let service = Service::start(dir.path());
        std::thread::scope(|scope| {
            for (index, sender) in SENDERS.into_iter().enumerate() {
                let (counters, requests, service) = (&counters[index], &requests[index], &service);
                scope.spawn(move || {
                    send_until_dead(counters, |n| service.send("/v1/metrics", sender, n, &frame(n)))
                });
                scope.spawn(move || {
                    send_until_dead(requests, |n| {
                        service.send("/v1/logs", sender, n, &batch(index as u64, n))
                    })
                });
            }
            // From before anything was stored to long after.
            std::thread::sleep(Duration::from_millis(round * 37 % 101));
            service.signal(Signal::SIGKILL);
        });
        service.end();
    }
    let service = Service::start(dir.path());
    let mut frames = 0;
    let mut expected: Vec<Value> = Vec::new();
    for (index, sender) in SENDERS.into_iter().enumerate() {
        let last_frame = counters[index].load(Ordering::Relaxed);
        let last_batch = requests[index].load(Ordering::Relaxed);
        assert!(service.send("/v1/metrics", sender, last_frame, &frame(last_frame)));
        assert!(service.send("/v1/logs", sender, last_batch, &batch(index as u64, last_batch)));
        assert!(last_frame > 1 && last_batch > 1, "nothing was ever acknowledged");
        frames += last_frame;
        expected.extend((1..=last_batch).map(|n| Value::from(format!("id-{}", time_of(index as u64, n)))));
    }
    let row = service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0].clone();
    assert_eq!(row["requests"], frames * 3, "after {ROUNDS} sudden ends");
    let mut found = service.request_ids(DAY);
    for ids in [&mut expected, &mut found] {
        ids.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    assert_eq!(found, expected);
    for row in service.json("/api/v1/gateways")["rows"].as_array().unwrap() {
        assert_eq!(row["gaps"], json!({"metrics": 0, "logs": 0}), "{row}");
    }
    assert_eq!(service.json("/healthz"), json!({"status": "ok"}));
    service.stop();
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

fn batch(sender: u64, n: u64) -> ExportLogsServiceRequest {
    log(&[(time_of(sender, n), made("/a", 200, 0.1))])
}

fn time_of(sender: u64, n: u64) -> u64 {
    NOON + sender * MINUTE + n
}

#[test]
fn a_full_disk_puts_off_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (service, mut disk) = Disk::start(dir.path());
    let mut stored = 0;
    let send = |service: &Service, n: u64| service.post("/v1/logs", EDGE, n, &large_batch(n));
    assert_eq!(send(&service, 1).0, 200);
    stored += 1;
    disk.fill(&service);
    let refusal = loop {
        let answer = send(&service, stored + 1);
        if answer.0 != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 10_000, "the disk is never full");
    };
    assert_eq!(refusal, (503, "5".to_owned()));
    // The senders are put off, but who asks is answered.
    let (status, health) = service.get("/healthz");
    assert!(status == 503 && health.contains("failing"), "{health}");
    assert_eq!(service.request_ids(DAY).len() as u64, stored * 100);
    assert_eq!(send(&service, stored + 1), refusal);
    let service = disk.make_room(service, dir.path());
    for n in 1..=stored + 3 {
        assert_eq!(send(&service, n).0, 200);
    }
    assert_eq!(service.request_ids(DAY).len() as u64, (stored + 3) * 100);
    // A state of health is believed for a moment.
    while service.get("/healthz").0 != 200 {
        std::thread::sleep(Duration::from_millis(50));
    }
    service.stop();
}

/// A hundred requests that do not compress to nothing.
fn large_batch(n: u64) -> ExportLogsServiceRequest {
    let time = |i: u64| NOON + (n * 100 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (60 * MINUTE);
    log(&(0..100).map(|i| (time(i), made("/a", 200, 0.1))).collect::<Vec<_>>())
}

/// A place that can be full.
enum Disk {
    /// A small file system of the service's own, with a file in it that takes all the room.
    Mounted { filler: Option<PathBuf>, dir: PathBuf },
    /// Where nothing may be mounted: a bound on the size of files.
    Limited,
}

impl Disk {
    fn start(dir: &Path) -> (Service, Self) {
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=16m tmpfs \"$1\" && exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1/data\"";
        command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_gatelens")]).arg(dir);
        if let Ok(service) = Service::start_with(command) {
            return (service, Self::Mounted { filler: None, dir: dir.to_owned() });
        }
        // In units of 512 bytes.
        let script =
            "trap '' XFSZ; ulimit -f 2000; exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1/data\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_gatelens")]).arg(dir);
        (Service::start_with(command).unwrap(), Self::Limited)
    }

    fn fill(&mut self, service: &Service) {
        if let Self::Mounted { filler, dir } = self {
            let path = PathBuf::from(format!("/proc/{}/root{}/filler", service.id(), dir.display()));
            let mut file = File::create(&path).unwrap();
            while file.write_all(&[1; 4096]).is_ok() {}
            *filler = Some(path);
        }
    }

    fn make_room(self, service: Service, dir: &Path) -> Service {
        match self {
            Self::Mounted { filler, .. } => {
                std::fs::remove_file(filler.unwrap()).unwrap();
                service
            }
            Self::Limited => {
                service.stop();
                Service::start(&dir.join("data"))
            }
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o ro tmpfs \"$1\" && exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1\"";
    command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_gatelens")]).arg(dir.path());
    match Service::start_with(command) {
        Err(said) if said.contains("gatelens:") => assert!(said.contains("Read-only file system"), "{said}"),
        // Where nothing may be mounted, we are not root, for whom permissions mean nothing.
        _ => {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
            let mut command = gatelens(&["serve", "--listen", "127.0.0.1:0", "--data"]);
            command.arg(dir.path());
            let said = Service::start_with(command).err().unwrap();
            assert!(said.contains("Permission denied"), "{said}");
        }
    }
}
