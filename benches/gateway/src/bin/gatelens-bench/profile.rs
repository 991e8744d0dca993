//! Where the CPU time of a request goes: Envoy's own code, compiled Wasm, the kernel, libc.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use gatelens_testkit::{Error, Result};

use crate::gateway::Gateway;
use crate::load::Load;
use crate::pace::Pace;
use crate::rounds::Bench;
use crate::stats::typical;
use crate::table::around;

/// Samples per second. Not a divisor of the timers of anything else.
const FREQUENCY: &str = "1999";

/// Time for perf to attach, and for what was gathered to be sent.
const SETTLE: Duration = Duration::from_millis(1500);

/// The parts of a request's CPU time.
const PARTS: [&str; 5] = ["Envoy", "Wasm", "kernel", "libc", "other"];

/// CPU time per request by part, for each gateway, with what it adds to the first.
///
/// # Errors
/// [`Error::Unexpected`] without perf, or where the machine forbids it.
pub(crate) fn measure(bench: &Bench<'_>, gateways: &mut [Gateway], load: &Load) -> Result<String> {
    for gateway in &*gateways {
        load.run(gateway.envoy.address(), bench.connections)?;
    }
    let mut sums = vec![[0.0; PARTS.len()]; gateways.len()];
    let mut totals: Vec<Vec<f64>> = vec![Vec::new(); gateways.len()];
    let mut pace = Pace::start(bench);
    let mut rounds = 0.0;
    while pace.another(|| bench.end.is_some()) {
        rounds += 1.0;
        for ((gateway, sums), totals) in gateways.iter_mut().zip(&mut sums).zip(&mut totals) {
            let parts = sampled(bench, gateway, load)?;
            totals.push(parts.iter().sum());
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
    }
    sums.iter_mut().flatten().for_each(|sum| *sum /= rounds);
    let mut text = format!("{:<28}{:>22}", "µs per request", "all");
    for part in PARTS {
        let _ = write!(text, "{part:>16}");
    }
    text.push('\n');
    let base = sums.first().copied().unwrap_or_default();
    for ((gateway, parts), totals) in gateways.iter().zip(&sums).zip(&totals) {
        let _ = write!(text, "{:<28}{:>22}", gateway.name, around(typical(totals)));
        for (part, base) in parts.iter().zip(base) {
            let _ = write!(text, "{:>16}", format!("{part:.1} ({:+.1})", part - base));
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "{rounds} rounds of {} requests. In brackets behind a part: more than without a filter.",
        load.requests
    );
    Ok(text)
}

/// CPU time per request by part, µs: the process's own clock, divided as the samples are.
fn sampled(bench: &Bench<'_>, gateway: &mut Gateway, load: &Load) -> Result<[f64; PARTS.len()]> {
    let file = std::env::temp_dir().join(format!("gatelens-bench-{}.perf", std::process::id()));
    let mut perf = record(gateway.envoy.process().pid(), &file)?;
    thread::sleep(SETTLE);
    let before = gateway.cpu_time()?;
    let sent = load.run(gateway.envoy.address(), bench.connections);
    thread::sleep(SETTLE);
    let micros = gateway.cpu_time()?.saturating_sub(before).as_secs_f64() * 1e6 / load.requests as f64;
    stop(&mut perf)?;
    sent?;
    gateway.drain_bodies()?;
    let report = Command::new("perf")
        .args(["report", "--stdio", "--sort", "dso", "--percentage", "absolute", "-i"])
        .arg(&file)
        .output()
        .map_err(missing)?;
    drop(std::fs::remove_file(&file));
    let shares = shares(&String::from_utf8_lossy(&report.stdout));
    let all: f64 = shares.iter().sum();
    if all < 0.5 {
        let error = String::from_utf8_lossy(&report.stderr);
        return Err(Error::Unexpected(format!("perf recorded nothing of Envoy: {error}")));
    }
    Ok(shares.map(|share| share / all * micros))
}

fn record(pid: u32, file: &PathBuf) -> Result<Child> {
    Command::new("perf")
        .args(["record", "--quiet", "-e", "cpu-clock", "-F", FREQUENCY, "-p", &pid.to_string(), "-o"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(missing)
}

/// Ends perf as Ctrl-C does, so that it writes what it recorded.
fn stop(perf: &mut Child) -> Result<()> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(perf.id()).unwrap_or_default());
    let interrupted = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
    interrupted
        .map_err(|_| Error::Unexpected("perf ended at once; does this machine allow it?".to_owned()))?;
    perf.wait().map(drop).map_err(|error| Error::Unexpected(format!("perf: {error}")))
}

fn missing(error: std::io::Error) -> Error {
    Error::Unexpected(format!("perf ({error}); install it with: sudo apt-get install -y linux-perf"))
}

/// The shares of [`PARTS`] from lines such as "    45.12%  envoy".
fn shares(report: &str) -> [f64; PARTS.len()] {
    let mut shares = [0.0; PARTS.len()];
    for line in report.lines().filter(|line| !line.starts_with('#')) {
        let Some((share, object)) = line.trim().split_once('%') else { continue };
        let Ok(share) = share.trim().parse::<f64>() else { continue };
        shares[part(object.trim())] += share / 100.0;
    }
    shares
}

/// Compiled Wasm has no file: perf names the mapping instead.
fn part(object: &str) -> usize {
    match object {
        name if name.starts_with("envoy") => 0,
        name if name.contains("anon") || name.contains("JIT") || name.contains(".map") => 1,
        name if name.starts_with("[kernel") || name.starts_with("[vdso") || name.starts_with("[guest") => 2,
        name if name.starts_with("libc") || name.starts_with("libm") || name.starts_with("ld-") => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_divided_by_where_the_code_lies() {
        let report = "# Overhead  Shared Object\n#\n    50.00%  envoy\n    25.50%  [JIT] tid 7\n     4.50%  //anon\n    15.00%  [kernel.kallsyms]\n     5.00%  libc.so.6\n";
        let [envoy, wasm, kernel, libc, other] = shares(report);
        assert_eq!((envoy, wasm, kernel, libc, other), (0.5, 0.3, 0.15, 0.05, 0.0));
    }
}
