//! The real `gatelens serve` as a child process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Group, Process};
use crate::{Error, Result, client, paths};

/// What the service prints before the scheme and its address once it listens.
const LISTENING: &str = "gatelens ingest listening on ";

/// A running ingest; killed when dropped.
pub struct Ingest {
    process: Process,
    address: SocketAddr,
    data: PathBuf,
    log: PathBuf,
    group: Group,
    /// Beside address and data.
    arguments: Vec<String>,
    // Removed after the process is gone.
    _temporary: Option<TempDir>,
}

impl Ingest {
    /// Starts on a free port of 127.0.0.1 with an empty temporary data directory.
    ///
    /// # Errors
    /// [`Error::Missing`] without the binary; [`Error::Exited`] when it does not start.
    pub fn start() -> Result<Self> {
        let temporary = TempDir::new().map_err(Error::io("creating a temporary directory"))?;
        let (data, log) = (temporary.path().join("data"), temporary.path().join("ingest.log"));
        let mut ingest = Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), &data, &log, Group::Shared)?;
        ingest._temporary = Some(temporary);
        Ok(ingest)
    }

    /// Starts on a given address with a given data directory, logging to the file `log`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at(address: SocketAddr, data: &Path, log: &Path, group: Group) -> Result<Self> {
        Self::start_with((address, data, log), group, &[])
    }

    /// The same with further arguments of `gatelens serve`, which a restart has as well.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(
        (address, data, log): (SocketAddr, &Path, &Path),
        group: Group,
        arguments: &[String],
    ) -> Result<Self> {
        fs::create_dir_all(data).map_err(Error::file(data))?;
        let (process, address) = spawn((address, data, log), group, arguments)?;
        let (data, log, arguments) = (data.to_path_buf(), log.to_path_buf(), arguments.to_vec());
        Ok(Self { process, address, data, log, group, arguments, _temporary: None })
    }

    /// Starts by a command that becomes `gatelens serve`, on the data and the address that the command names.
    ///
    /// # Errors
    /// [`Error::Exited`] with its output when it does not start.
    pub fn run(command: Command) -> Result<Self> {
        let temporary = TempDir::new().map_err(Error::io("creating a temporary directory"))?;
        let log = temporary.path().join("ingest.log");
        let (process, address) = listen(command, &log, Group::Shared)?;
        let (data, group) = (PathBuf::new(), Group::Shared);
        Ok(Self { process, address, data, log, group, arguments: Vec::new(), _temporary: Some(temporary) })
    }

    /// Starts it again after [`stop`](Self::stop) or a kill, on the same data and the same port.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        (self.process, self.address) =
            spawn((self.address, &self.data, &self.log), self.group, &self.arguments)?;
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory; empty after [`run`](Self::run), where the command alone knows it.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The JSON that `GET path` answers.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unexpected`] for an answer other than 200 or a body that is not JSON.
    pub fn get_json(&self, path: &str) -> Result<Value> {
        // It answers only to a name of its own.
        let request = client::Request::get(path).host(self.address.to_string());
        let response = client::send(self.address, &request)?;
        match response.status {
            200 => response.json(),
            status => Err(Error::Unexpected(format!("GET {path}: {status} {}", response.text()))),
        }
    }

    /// Sends it counters, as a gateway does.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unexpected`] for an answer other than 200.
    pub fn take_metrics(&self, export: &ExportMetricsServiceRequest) -> Result<()> {
        let request = client::Request::post("/v1/metrics", export.encode_to_vec())
            .header("content-type", "application/x-protobuf")
            .host(self.address.to_string());
        let response = client::send(self.address, &request)?;
        match response.status {
            200 => Ok(()),
            status => Err(Error::Unexpected(format!("POST /v1/metrics: {status} {}", response.text()))),
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it had to be killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.terminate(Duration::from_secs(30))
    }

    /// Kills it (SIGKILL); data and address stay for a [`restart`](Self::restart).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// The child process: its log, CPU time and memory; to suspend or resume it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the ingest's log\n{}\n---", self.process.log_tail());
        }
    }
}

fn spawn(
    (address, data, log): (SocketAddr, &Path, &Path),
    group: Group,
    arguments: &[String],
) -> Result<(Process, SocketAddr)> {
    let mut command = Command::new(paths::gatelens()?);
    command.args(["serve", "--listen", &address.to_string(), "--data"]).arg(data).args(arguments);
    listen(command, log, group)
}

fn listen(command: Command, log: &Path, group: Group) -> Result<(Process, SocketAddr)> {
    let mut process = Process::spawn("gatelens serve", command, log, group)?;
    let address = process.wait_until("the ingest to listen", |process| Ok(listening(&process.log())))?;
    Ok((process, address))
}

fn listening(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(LISTENING)?.1.split_once("://")?;
    // The line is complete only once what follows the address is there, too.
    let (address, _) = rest.split_once([',', '\n'])?;
    address.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        for scheme in ["http://", "https://"] {
            let line = format!("{LISTENING}{scheme}127.0.0.1:4318, data in .run/data\n");
            assert_eq!(listening(&line), Some(SocketAddr::from(([127, 0, 0, 1], 4318))));
            assert_eq!(listening(&line[..LISTENING.len() + scheme.len() + 11]), None);
        }
    }
}
