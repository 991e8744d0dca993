//! `gatelens serve` as a process: how it starts, how it refuses to, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::process::Signal;
use std::net::TcpListener;
use std::path::Path;
use support::{Service, gatelens};

#[test]
fn a_signal_ends_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
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
    // A database of another program, of nothing but its header: the application id is at byte 68.
    let other = Service::start(Path::new(&path("foreign")));
    other.stop();
    let mut bytes = std::fs::read(path("foreign/metrics.db")).unwrap();
    bytes[68..72].copy_from_slice(b"bird");
    std::fs::write(path("foreign/metrics.db"), bytes).unwrap();
    check(&["serve", "--listen", "127.0.0.1:0", "--data", &path("foreign")], 1, &["not a file of gatelens"]);

    let running = Service::start(Path::new(&path("used")));
    check(&["serve", "--listen", "127.0.0.1:0", "--data", &path("used")], 1, &["in use by another gatelens"]);
    running.stop();

    check(&["serve", "--listen", "127.0.0.1:0"], 2, &["--data"]);
    check(&["serve", "--listen", "here", "--data", "x"], 2, &["--listen"]);
    check(&["serve", "--data", "x", "--keep-requests", "0"], 2, &["--keep-requests", "1..=3650"]);
    check(&["surve"], 2, &["serve"]);
    check(&["--version"], 0, &[]);
}
