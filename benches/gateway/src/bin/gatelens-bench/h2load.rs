//! `h2load` of nghttp2: the load for HTTP/2, for saturation and for latency.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use gatelens_testkit::{Error, Result};

/// How the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// Streams at a time in a connection of HTTP/2.
const STREAMS: usize = 8;

/// Before a timed run measures, seconds.
const WARM_UP_SECONDS: usize = 1;

/// The headers of the other load, with one consumer.
const HEADERS: [&str; 5] = [
    "x-consumer-id: consumer-1",
    "user-agent: python-requests/2.32.3",
    "accept: application/json",
    "accept-encoding: gzip, deflate",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
];

/// Sends a number of requests as fast as they are answered.
///
/// # Errors
/// [`Error::Unexpected`] without h2load, or when a request fails.
pub(crate) fn requests(
    address: SocketAddr,
    protocol: Protocol,
    path: &str,
    count: usize,
    connections: usize,
) -> Result<()> {
    run(command(address, protocol, path, connections).arg(format!("-n{count}"))).map(drop)
}

/// Requests per second at saturation.
///
/// # Errors
/// As [`requests`].
pub(crate) fn saturate(
    address: SocketAddr,
    protocol: Protocol,
    path: &str,
    seconds: usize,
    connections: usize,
) -> Result<f64> {
    let mut command = command(address, protocol, path, connections);
    let report = run(command.arg(format!("-D{seconds}")).arg(format!("--warm-up-time={WARM_UP_SECONDS}")))?;
    rate(&report).ok_or_else(|| Error::Unexpected(format!("h2load reports no rate: {report}")))
}

/// Durations of requests that are sent at a fixed rate, sorted, µs.
///
/// # Errors
/// As [`requests`].
pub(crate) fn durations(
    address: SocketAddr,
    protocol: Protocol,
    path: &str,
    load: &Fixed<'_>,
) -> Result<Vec<f64>> {
    let mut command = command(address, protocol, path, load.connections);
    let rate = (load.rate / load.connections as f64).max(1.0).round();
    let count = (load.rate * load.seconds as f64).round();
    run(command.arg(format!("-n{count}")).arg(format!("--rps={rate}")).arg("--log-file").arg(load.log))?;
    let text = std::fs::read_to_string(load.log).map_err(Error::file(load.log))?;
    std::fs::remove_file(load.log).map_err(Error::file(load.log))?;
    let mut durations: Vec<f64> =
        text.lines().filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok()).collect();
    durations.sort_by(f64::total_cmp);
    Ok(durations)
}

/// Requests at a fixed rate.
pub(crate) struct Fixed<'a> {
    /// Requests per second.
    pub(crate) rate: f64,
    pub(crate) seconds: usize,
    pub(crate) connections: usize,
    /// File that h2load writes its durations to; it is removed again.
    pub(crate) log: &'a Path,
}

fn command(address: SocketAddr, protocol: Protocol, path: &str, connections: usize) -> Command {
    let mut command = Command::new("h2load");
    command.arg(format!("-c{connections}")).arg("-t1");
    match protocol {
        Protocol::Http1 => command.arg("--h1").arg("-m1"),
        Protocol::Http2 => command.arg(format!("-m{STREAMS}")),
    };
    for header in HEADERS {
        command.arg("-H").arg(header);
    }
    command.arg(format!("http://{address}{path}"));
    command
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| {
        Error::Unexpected(format!(
            "h2load ({error}); install it with: sudo apt-get install -y nghttp2-client"
        ))
    })?;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = || Error::Unexpected(format!("h2load: {report}{}", String::from_utf8_lossy(&output.stderr)));
    if !output.status.success() || !all_succeeded(&report) {
        return Err(failed());
    }
    Ok(report)
}

/// From "requests: 4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout". A timed run ends with
/// requests on their way, which are neither.
fn all_succeeded(report: &str) -> bool {
    let Some(line) = report.lines().find_map(|line| line.strip_prefix("requests:")) else { return false };
    let count = |what: &str| {
        line.split(',').find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
    };
    count("succeeded").is_some_and(|count| count > 0)
        && ["failed", "errored", "timeout"].iter().all(|what| count(what) == Some(0))
}

/// From "finished in 2.00s, 15012.50 req/s, 2.01MB/s".
fn rate(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.starts_with("finished in"))?;
    line.split(',').find_map(|part| part.trim().strip_suffix("req/s")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "finished in 2.00s, 15012.50 req/s, 2.01MB/s\n\
                          requests: 30025 total, 30041 started, 30025 done, 30025 succeeded, 0 failed, 0 errored, 0 timeout\n";

    #[test]
    fn a_report_is_read() {
        assert_eq!(rate(REPORT), Some(15_012.5));
        assert!(all_succeeded(REPORT));
    }

    #[test]
    fn a_failed_request_fails_the_run() {
        assert!(!all_succeeded(&REPORT.replace("0 failed", "1 failed")));
        assert!(!all_succeeded(&REPORT.replace("30025 succeeded", "0 succeeded")));
        assert!(!all_succeeded("h2load: could not connect"));
    }
}
