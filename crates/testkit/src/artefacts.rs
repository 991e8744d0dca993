//! What the tests on the real Envoy need and `make` builds.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{env, io, process};

use crate::{Error, Result, paths};

/// Says whether tests may be left out: `required` fails without the artefacts, `ignored` leaves the tests out in any
/// case. Unset, they run where the artefacts are.
const POLICY: &str = "GATELENS_ARTEFACTS";

/// Ends the whole test binary with one message where an artefact is missing: with success, because bare `cargo test` on
/// a fresh clone has nothing to run them with, and with failure under `GATELENS_ARTEFACTS=required`, as `make test` runs
/// them. Every test of a binary that needs the artefacts calls this first.
pub fn or_skip() {
    static FIRST: Mutex<()> = Mutex::new(());
    let policy = env::var(POLICY).unwrap_or_default();
    let why = match (policy.as_str(), missing()) {
        ("ignored", _) => String::new(),
        (_, Ok(())) => return,
        (_, Err(error)) => format!(
            ": {error}.\n`make test` builds everything and runs all tests. By hand, run `make wasm wasm-trap envoy bins` \
             before `cargo test`.\n`make check` runs the tests that need neither Envoy nor a browser"
        ),
    };
    // Held until the end of the process, so that tests on other threads do not repeat the message.
    let _first = FIRST.lock();
    let fails = policy == "required";
    let done = if fails { "cannot run" } else { "are left out" };
    // Not by a macro, whose output the test harness would keep to itself.
    let _ = writeln!(io::stderr(), "The tests that need the filter and a real Envoy {done}{why}.");
    process::exit(i32::from(fails));
}

/// A tool that a Debian package brings. Where it is missing, its tests are left out and the reason is written; under
/// `GATELENS_ARTEFACTS=required` they fail.
///
/// # Panics
/// When the tool is required and missing.
pub fn tool(name: &str, package: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
    optional(found, &format!("{name} is not installed: sudo apt-get install -y {package}"))
}

/// The Python with ClickHouse's engine, for [`ClickHouse`](crate::ClickHouse). Where it is missing, its tests are left out as
/// those of a [`tool`].
///
/// # Panics
/// When it is required and missing.
pub fn chdb() -> Option<PathBuf> {
    let found = paths::chdb();
    let why = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
    optional(found.ok(), &why)
}

fn optional(found: Option<PathBuf>, why: &str) -> Option<PathBuf> {
    let policy = env::var(POLICY).unwrap_or_default();
    assert!(policy != "required" || found.is_some(), "{why}");
    if policy == "ignored" {
        return None;
    }
    if found.is_none() {
        let _ = writeln!(io::stderr(), "A test is left out, because {why}");
    }
    found
}

fn missing() -> Result<(), Error> {
    paths::wasm()?;
    paths::trap_wasm()?;
    paths::native()?;
    paths::envoy()?;
    paths::gatelens().map(drop)
}
