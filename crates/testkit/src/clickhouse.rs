//! A stand-in for a ClickHouse server: the engine itself behind a small HTTP front, in a process that can be killed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Group, Process};
use crate::{Error, Result, artefacts, client, paths};

/// What the front prints before its two addresses.
const LISTENING: &str = "the front listens on ";
const CONTROL: &str = ", control on ";

/// How a server is set up. The default is that of a fresh server: `default` without a password, and no TLS.
#[derive(Clone, Debug, Default)]
pub struct ClickHouseOptions {
    /// The one user and its password.
    pub user: Option<(String, String)>,
    /// Files with the certificate and its key, as PEM. Then the server speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The engine's own configuration as XML, such as clusters of which all nodes are this process.
    pub config: Option<String>,
}

/// A running server; killed when dropped. The header of `clickhouse/front.py` has what it imitates and what it does not have.
pub struct ClickHouse {
    process: Process,
    url: String,
    address: SocketAddr,
    control: SocketAddr,
    data: PathBuf,
    options: ClickHouseOptions,
    // Removed after the process is gone.
    _temporary: Option<TempDir>,
}

/// What must go wrong; `clickhouse/faults.py` describes each.
#[derive(Clone, Debug)]
pub enum ClickHouseFault {
    /// An exception with this code and name before the engine has the statement.
    Refuse(u32, &'static str),
    /// The engine has the statement later.
    Delay(Duration),
    /// The statement is run at once, and answered later.
    DelayAnswer(Duration),
    /// The statement is run, and the connection closed without an answer.
    LoseAnswer,
    /// The process is killed before the statement.
    DieBefore,
    /// The process is killed so long after the engine has the statement.
    DieDuring(Duration),
    /// The process is killed after the statement, before the answer.
    DieAfter,
    /// The rows of one partition of an insert are inserted, then the process is killed.
    Halve,
    /// The connection is closed after half of the answer's body.
    CutAnswer,
    /// Half of the answer's body, then an exception with this code and name.
    FailInAnswer(u32, &'static str),
}

/// Which statements a fault concerns.
#[derive(Clone, Debug)]
pub struct ClickHouseTarget {
    /// The first word of the statement, in capitals; empty for any.
    pub kind: &'static str,
    /// A part of the statement.
    pub containing: String,
    /// How often it happens.
    pub times: u32,
}

impl ClickHouseTarget {
    /// The next inserts.
    #[must_use]
    pub fn inserts(times: u32) -> Self {
        Self { kind: "INSERT", containing: String::new(), times }
    }

    /// The next statements of any kind which contain a text.
    #[must_use]
    pub fn containing(text: &str, times: u32) -> Self {
        Self { kind: "", containing: text.to_owned(), times }
    }
}

impl ClickHouse {
    /// Starts with an empty temporary directory. `None` where the engine is not installed, see [`artefacts::chdb`].
    ///
    /// # Errors
    /// [`Error::Exited`] when it does not start.
    pub fn start() -> Result<Option<Self>> {
        Self::start_with(ClickHouseOptions::default())
    }

    /// Starts with an empty temporary directory.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(options: ClickHouseOptions) -> Result<Option<Self>> {
        let temporary = TempDir::new().map_err(Error::io("creating a temporary directory"))?;
        let mut started = Self::start_on(temporary.path(), options)?;
        if let Some(server) = &mut started {
            server._temporary = Some(temporary);
        }
        Ok(started)
    }

    /// Starts on a directory, in which it keeps its data and its log, and which no other process may use.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_on(data: &Path, options: ClickHouseOptions) -> Result<Option<Self>> {
        let Some(python) = artefacts::chdb() else { return Ok(None) };
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (process, url, address, control) = spawn(&python, data, &options, free, free)?;
        let data = data.to_path_buf();
        Ok(Some(Self { process, url, address, control, data, options, _temporary: None }))
    }

    /// Starts it again after a kill, on the same data and the same ports.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        let started = spawn(&paths::chdb()?, &self.data, &self.options, self.address, self.control)?;
        (self.process, self.url, self.address, self.control) = started;
        Ok(())
    }

    /// Kills it (SIGKILL); data and ports stay for a [`restart`](Self::restart).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Waits until a fault has killed it.
    ///
    /// # Errors
    /// [`Error::Timeout`] after half a minute.
    pub fn wait_for_death(&mut self) -> Result<()> {
        self.process.wait(Duration::from_secs(30)).map(drop)
    }

    /// Such as `http://127.0.0.1:18123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The child process: its log and its memory; to suspend or resume it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Lets something go wrong with the next statements that are meant.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unexpected`] when the front refuses it.
    pub fn fault(&self, fault: ClickHouseFault, target: &ClickHouseTarget) -> Result<()> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let exception = |what: &str, code: u32, name: &str| json!({"do": what, "code": code, "name": name, "message": "On demand"});
        let mut order = match fault {
            ClickHouseFault::Refuse(code, name) => exception("refuse", code, name),
            ClickHouseFault::Delay(time) => json!({"do": "delay", "ms": millis(time)}),
            ClickHouseFault::DelayAnswer(time) => json!({"do": "delay", "when": "after", "ms": millis(time)}),
            ClickHouseFault::LoseAnswer => json!({"do": "lose"}),
            ClickHouseFault::DieBefore => json!({"do": "die", "when": "before"}),
            ClickHouseFault::DieDuring(time) => json!({"do": "die", "when": "during", "ms": millis(time)}),
            ClickHouseFault::DieAfter => json!({"do": "die", "when": "after"}),
            ClickHouseFault::Halve => json!({"do": "halve"}),
            ClickHouseFault::CutAnswer => json!({"do": "cut"}),
            ClickHouseFault::FailInAnswer(code, name) => exception("fail", code, name),
        };
        order["on"] = json!(target.kind);
        order["containing"] = json!(target.containing);
        order["times"] = json!(target.times);
        self.order(&order).map(drop)
    }

    /// Forgets the faults that have not happened.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn clear_faults(&self) -> Result<()> {
        self.order(&json!({"do": "clear"})).map(drop)
    }

    /// Closes the listener and all connections: who connects is refused.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn shut(&self) -> Result<()> {
        self.order(&json!({"do": "shut"})).map(drop)
    }

    /// Listens again after [`shut`](Self::shut).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(&self) -> Result<()> {
        self.order(&json!({"do": "open"})).map(drop)
    }

    /// The last thousand requests since the start: `statement`, `settings`, the `code` of the exception (0 for none),
    /// `written_rows` and the `faults` that it met.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn statements(&self) -> Result<Vec<Value>> {
        let status = self.order(&json!({"do": "status"}))?;
        Ok(status["statements"].as_array().cloned().unwrap_or_default())
    }

    /// Statements that the engine has now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn in_flight(&self) -> Result<u64> {
        Ok(self.order(&json!({"do": "status"}))?["in_flight"].as_u64().unwrap_or_default())
    }

    fn order(&self, order: &Value) -> Result<Value> {
        let answer = client::send(self.control, &client::Request::post("/", order.to_string()))?;
        match answer.status {
            200 => answer.json(),
            status => Err(Error::Unexpected(format!("{order}: {status} {}", answer.text()))),
        }
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the front's log\n{}\n---", self.process.log_tail());
        }
    }
}

type Started = (Process, String, SocketAddr, SocketAddr);

fn spawn(
    python: &Path,
    data: &Path,
    options: &ClickHouseOptions,
    address: SocketAddr,
    control: SocketAddr,
) -> Result<Started> {
    fs::create_dir_all(data).map_err(Error::file(data))?;
    let mut command = Command::new(python);
    // It leaves no compiled files in the source tree.
    command.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clickhouse/front.py"));
    command.arg("--data").arg(data.join("engine"));
    command.args(["--port", &address.port().to_string(), "--control-port", &control.port().to_string()]);
    if let Some((user, password)) = &options.user {
        command.args(["--user", user, "--password", password]);
    }
    if let Some((certificate, key)) = &options.tls {
        command.arg("--certificate").arg(certificate).arg("--key").arg(key);
    }
    if let Some(config) = &options.config {
        let file = data.join("config.xml");
        fs::write(&file, config).map_err(Error::file(&file))?;
        command.arg("--config").arg(file);
    }
    let log = data.join("front.log");
    let mut process = Process::spawn("the front of ClickHouse", command, &log, Group::Shared)?;
    let (url, control) =
        process.wait_until("the front to listen", |process| Ok(listening(&process.log())))?;
    let address = url.split_once("://").and_then(|(_, address)| address.parse().ok());
    let address = address.ok_or_else(|| Error::Unexpected(format!("no address: {url}")))?;
    Ok((process, url, address, control))
}

fn listening(log: &str) -> Option<(String, SocketAddr)> {
    // Only a whole line has the whole port.
    let line = log.split_inclusive('\n').find(|line| line.starts_with(LISTENING) && line.ends_with('\n'))?;
    let (url, control) = line.trim_end().strip_prefix(LISTENING)?.split_once(CONTROL)?;
    Some((url.to_owned(), control.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_from_the_log() {
        let line = format!("warning\n{LISTENING}http://127.0.0.1:8123{CONTROL}127.0.0.1:8124\n");
        let expected = ("http://127.0.0.1:8123".to_owned(), SocketAddr::from(([127, 0, 0, 1], 8124)));
        assert_eq!(listening(&line), Some(expected));
        assert_eq!(listening(line.trim_end()), None);
    }
}
