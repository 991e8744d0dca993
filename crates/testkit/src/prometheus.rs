//! A real Prometheus that scrapes one target.

use crate::artefacts;
use crate::client;
use crate::process::{Group, Process};
use crate::wait::eventually;
use crate::{Error, Result};
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

/// Starts, each with another port.
const ATTEMPTS: u32 = 5;

/// A running Prometheus; it stops when dropped.
pub struct Prometheus {
    directory: TempDir,
    address: SocketAddr,
    process: Process,
}

impl Prometheus {
    /// Starts it with further flags and a configuration, in which `{targets}` is the file that [`Prometheus::scrape`]
    /// writes. `None` where it is not installed, see [`artefacts::tool`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(configuration: &str, flags: &[&str]) -> Result<Option<Self>> {
        let Some(program) = artefacts::tool("prometheus", "prometheus") else { return Ok(None) };
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::start_once(&program, configuration, flags) {
                // Another process may have taken the port.
                Err(Error::Exited { .. }) if attempts < ATTEMPTS => {}
                outcome => return outcome.map(Some),
            }
        }
    }

    fn start_once(program: &Path, configuration: &str, flags: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("making a directory"))?;
        let path = |name: &str| directory.path().join(name);
        write(&path("targets.json"), "[]")?;
        let configuration = configuration.replace("{targets}", &path("targets.json").display().to_string());
        let file = path("prometheus.yml").display().to_string();
        write(Path::new(&file), &configuration)?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(Error::io("finding a free port"))?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={file}"))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags);
        let process = Process::spawn("Prometheus", command, &path("log"), Group::Shared)?;
        let mut prometheus = Self { address, directory, process };
        eventually("Prometheus to be ready", || {
            prometheus.process.check()?;
            let is_ready = client::get(address, "/-/ready").is_ok_and(|answer| answer.status == 200);
            // Not another one at the same port.
            let is_own = client::get(address, "/api/v1/status/flags");
            let is_own = is_own.is_ok_and(|answer| answer.text().contains(&file));
            Ok((is_ready && is_own).then_some(()))
        })?;
        Ok(prometheus)
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory with its configuration and its data.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Lets it scrape a service from now on: `address` is host and port.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scrape(&self, address: &str) -> Result<()> {
        let targets = serde_json::json!([{"targets": [address]}]).to_string();
        // It follows the directory, and must not see half of the file.
        let (new, file) = (self.directory().join("targets.new"), self.directory().join("targets.json"));
        write(&new, &targets)?;
        fs::rename(new, &file).map_err(Error::file(file))
    }

    /// The result of an instant query: labels and value of each sample.
    ///
    /// # Errors
    /// When the query is refused.
    pub fn query(&self, query: &str) -> Result<Vec<(Value, f64)>> {
        let answer = self.ask("query", &[("query", query)])?;
        let samples = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let sample = |sample: Value| (sample["metric"].clone(), number(&sample["value"][1]));
        Ok(samples.into_iter().map(sample).collect())
    }

    /// The exemplars of the last hour that a query has: labels and values.
    ///
    /// # Errors
    /// When the query is refused.
    pub fn exemplars(&self, query: &str) -> Result<Vec<(Value, f64)>> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let (start, end) = ((now - 3600).to_string(), (now + 60).to_string());
        let answer = self.ask("query_exemplars", &[("query", query), ("start", &start), ("end", &end)])?;
        let series = answer["data"].as_array().cloned().unwrap_or_default();
        let all = series.iter().filter_map(|series| series["exemplars"].as_array()).flatten();
        Ok(all.map(|exemplar| (exemplar["labels"].clone(), number(&exemplar["value"]))).collect())
    }

    /// Waits until a query has one sample of a value.
    ///
    /// # Errors
    /// When that takes too long; the error has the last result.
    pub fn until(&self, query: &str, expected: f64) -> Result<()> {
        let mut last = Vec::new();
        let found = eventually(query, || {
            last = self.query(query)?;
            Ok(matches!(last.as_slice(), [(_, value)] if *value == expected).then_some(()))
        });
        found.map_err(|error| Error::Unexpected(format!("{error}: expected {expected}, found {last:?}")))
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let parameters = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let answer = client::get(self.address, &format!("/api/v1/{path}?{parameters}"))?;
        if answer.status != 200 {
            return Err(Error::Unexpected(format!("{path}?{parameters}: {}", answer.text())));
        }
        answer.json()
    }
}

/// A number as Prometheus writes it: a text.
fn number(value: &Value) -> f64 {
    value.as_str().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).map_err(Error::file(path))
}
