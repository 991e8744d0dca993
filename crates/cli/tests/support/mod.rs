//! The binary as a process, and a client for it.

#![allow(dead_code, reason = "each test binary uses its share")]

use prost::Message;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A running `gatelens serve`; killed when dropped.
pub(crate) struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
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
        Self::start_with(gatelens(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data)).unwrap()
    }

    /// Starts by a command that ends in being `gatelens serve`; what it said instead when it did not.
    pub(crate) fn start_with(command: &mut Command) -> Result<Self, String> {
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if stderr.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                return Err(said);
            }
            if let Some(rest) = line.strip_prefix("gatelens ingest listening on ") {
                let (url, _) = rest.split_once(", data in ").unwrap();
                return Ok(Self { url: url.to_owned(), child, stderr });
            }
            said += &line;
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Exit status and what else was said on stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }

    /// Asks it to stop, and waits for it.
    pub(crate) fn stop(self) {
        self.signal("-TERM");
        self.end();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn gatelens(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatelens"));
    command.args(arguments);
    piped(command)
}

pub(crate) fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
