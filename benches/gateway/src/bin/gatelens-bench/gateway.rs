//! The variants that are compared: Envoys that differ in their filter alone.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use gatelens_core::filter::BODY_CALLBACKS;
use gatelens_testkit::{Envoy, EnvoyConfig, Error, Launch, Receiver, Result};
use serde_json::{Value, json};

use crate::rounds::Bench;

const CAPABILITIES: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0\
                            /typed_config/config/vm_config/capability_restriction_config/allowed_capabilities";

/// The attributes that hold a body; nothing else in a request for the ingest reads so.
const CONTENT: [&str; 2] = ["gatelens.request.body.content", "gatelens.response.body.content"];

/// More than any batch inflates to.
const MAX_BATCH_BYTES: u64 = 64 << 20;

/// A running variant with a receiver of its own in the ingest's place.
pub(crate) struct Gateway {
    pub(crate) name: String,
    pub(crate) envoy: Envoy,
    receiver: Receiver,
}

impl Gateway {
    /// Starts it with one worker, on the CPU that is Envoy's.
    ///
    /// # Errors
    /// As [`Envoy::launch`].
    pub(crate) fn start(name: &str, config: EnvoyConfig, bench: &Bench<'_>) -> Result<Self> {
        let receiver = Receiver::start()?;
        let config = config.upstream(bench.upstream)?.ingest(receiver.address())?;
        let mut envoy = Envoy::launch(&config, &Launch { concurrency: 1, ..Launch::default() })?;
        bench.cpus.give(&mut envoy)?;
        Ok(Self { name: name.to_owned(), envoy, receiver })
    }

    /// CPU time of the process so far.
    ///
    /// # Errors
    /// As [`Process::cpu_time`](gatelens_testkit::process::Process::cpu_time).
    pub(crate) fn cpu_time(&mut self) -> Result<Duration> {
        self.envoy.process().cpu_time()
    }

    /// Bodies that the receiver got since the last call.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when a batch is not gzip.
    pub(crate) fn drain_bodies(&self) -> Result<usize> {
        let requests = self.receiver.take();
        let batches = requests.iter().filter(|request| request.path.ends_with("/v1/logs"));
        batches
            .map(|batch| match batch.header("content-encoding") {
                Some("gzip") => bodies_in(GzDecoder::new(batch.body.as_slice())),
                _ => bodies_in(batch.body.as_slice()),
            })
            .sum()
    }
}

/// The shipped filter without the callbacks that only the capture of bodies needs.
///
/// # Errors
/// [`Error::Unexpected`] when the configuration does not list them.
pub(crate) fn without_body_callbacks(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let listed = config.allowed_capabilities();
    let edited = config.edit(|bootstrap| {
        if let Some(list) = bootstrap.pointer_mut(CAPABILITIES).and_then(Value::as_object_mut) {
            list.retain(|name, _| !BODY_CALLBACKS.contains(&name.as_str()));
        }
    });
    match listed.len() - edited.allowed_capabilities().len() {
        removed if removed == BODY_CALLBACKS.len() => Ok(edited),
        removed => Err(Error::Unexpected(format!("{removed} callbacks for bodies are listed"))),
    }
}

/// The same gateway with these sections in the plugin's configuration.
///
/// # Errors
/// As [`EnvoyConfig::plugin_configuration`].
pub(crate) fn with_sections(config: &EnvoyConfig, capture: &Value, redact: &Value) -> Result<EnvoyConfig> {
    let mut plugin = config.plugin_configuration()?;
    plugin["capture"] = capture.clone();
    plugin["redact"] = redact.clone();
    Ok(config.clone().plugin(&plugin))
}

/// The same gateway that logs this share of the requests.
///
/// # Errors
/// As [`EnvoyConfig::plugin_configuration`].
pub(crate) fn with_sample(config: &EnvoyConfig, rate: f64) -> Result<EnvoyConfig> {
    let mut plugin = config.plugin_configuration()?;
    plugin["sample"] = json!({"rate": rate, "keep_errors": false, "keep_slower_than_ms": null});
    Ok(config.clone().plugin(&plugin))
}

/// The same gateway whose batches are closed at this number of records, or after five seconds.
///
/// # Errors
/// As [`EnvoyConfig::plugin_configuration`].
pub(crate) fn with_batches_of(config: &EnvoyConfig, records: u32) -> Result<EnvoyConfig> {
    let mut plugin = config.plugin_configuration()?;
    // Four megabytes, so that the number of records decides.
    plugin["limits"] = json!({"batch_events": records, "batch_bytes": 4_194_304, "flush_ms": 5_000});
    Ok(config.clone().plugin(&plugin))
}

fn bodies_in(batch: impl Read) -> Result<usize> {
    let mut records = Vec::new();
    batch
        .take(MAX_BATCH_BYTES)
        .read_to_end(&mut records)
        .map_err(|error| Error::Unexpected(format!("a batch of log records: {error}")))?;
    let text = String::from_utf8_lossy(&records);
    Ok(CONTENT.iter().map(|attribute| text.matches(attribute).count()).sum())
}
