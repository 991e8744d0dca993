//! The binary as a process, and a client for it.

#![allow(dead_code, reason = "each test binary uses its share")]

use gatelens_testkit::process::Signal;
use gatelens_testkit::wait::PATIENCE;
use gatelens_testkit::{Error, Ingest};
use prost::Message;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A running `gatelens serve`; killed when dropped.
pub(crate) struct Service {
    ingest: Mutex<Ingest>,
    pub(crate) url: String,
}

/// A sender with an identity.
#[derive(Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) instance: &'static str,
    pub(crate) epoch: u64,
}

pub(crate) const EDGE: Sender = Sender { instance: "edge-1", epoch: 0xaa };

impl Service {
    pub(crate) fn start(data: &Path) -> Self {
        let mut command = gatelens(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data);
        Self::start_with(command).unwrap()
    }

    /// Starts by a command that becomes `gatelens serve`; its output when it does not start.
    pub(crate) fn start_with(command: Command) -> Result<Self, String> {
        let ingest = Ingest::run(command).map_err(|error| match error {
            Error::Exited { log, .. } => log,
            other => other.to_string(),
        })?;
        let url = format!("http://{}", ingest.address());
        Ok(Self { ingest: Mutex::new(ingest), url })
    }

    pub(crate) fn id(&self) -> u32 {
        self.ingest.lock().unwrap().process().pid()
    }

    /// The status and `retry-after` of the answer to a batch; status 0 when nobody answered.
    pub(crate) fn post(
        &self,
        path: &str,
        sender: Sender,
        sequence: u64,
        message: &impl Message,
    ) -> (u16, String) {
        let request = ureq::post(format!("{}{path}", self.url))
            .config()
            .http_status_as_error(false)
            .build()
            .header("content-type", "application/x-protobuf")
            .header("x-gatelens-instance", sender.instance)
            .header("x-gatelens-epoch", format!("{:016x}", sender.epoch))
            .header("x-gatelens-sequence", sequence.to_string());
        match request.send(&message.encode_to_vec()) {
            Ok(answer) => {
                let retry = answer.headers().get("retry-after");
                (answer.status().as_u16(), retry.map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default())
            }
            Err(_) => (0, String::new()),
        }
    }

    /// Whether a batch was acknowledged; `false` as well when nobody answered.
    pub(crate) fn send(&self, path: &str, sender: Sender, sequence: u64, message: &impl Message) -> bool {
        self.post(path, sender, sequence, message).0 == 200
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let request = ureq::get(format!("{}{path}", self.url)).config().http_status_as_error(false).build();
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, text) = self.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The `request_id` of all logged requests of a query, newest first.
    pub(crate) fn request_ids(&self, query: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = self.json(&format!("/api/v1/requests?{query}&limit=1000&cursor={cursor}"));
            found.extend(answer["rows"].as_array().unwrap().iter().map(|row| row["request_id"].clone()));
            match answer["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return found,
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.ingest.lock().unwrap().process().signal(signal).unwrap();
    }

    /// Its output so far.
    pub(crate) fn log(&self) -> String {
        self.ingest.lock().unwrap().process().log()
    }

    /// Exit status and the output after the line with the address.
    pub(crate) fn end(self) -> (Option<i32>, String) {
        let mut ingest = self.ingest.into_inner().unwrap();
        let status = ingest.process().wait(PATIENCE).unwrap();
        let log = ingest.process().log();
        let (_, rest) = log.split_once(" listening on ").unwrap();
        (status.code(), rest.split_once('\n').unwrap().1.to_owned())
    }

    /// Asks it to stop, and waits for it.
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        self.end();
    }
}

pub(crate) fn gatelens(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatelens"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
