//! What the filter would send of a body: one answer for the API and for `gatelens redact`.

use gatelens_core::config::{Config, ConfigError};
use gatelens_model::Message;
use gatelens_redact::capture::{Preview, preview as run};
use serde::{Serialize, Serializer};

/// A body, and what it is to be taken through.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The plugin's configuration, JSON, whole.
    pub config: &'a str,
    /// Whose body it is.
    pub message: Message,
    /// `content-type` of the message.
    pub content_type: &'a str,
    /// `content-encoding` of the message.
    pub content_encoding: &'a str,
    /// The body, as it would pass the gateway.
    pub body: &'a [u8],
}

/// What would be sent, and which rules had to do with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Bytes of the body, as it passed.
    pub size: u64,
    /// The body as it would be sent.
    pub body: Option<String>,
    /// Why it would not be, where it would not: one of [`gatelens_model::OmissionReason`].
    pub left_out: Option<&'static str>,
    /// Rules that were hit, and how often; an object in JSON.
    #[serde(serialize_with = "as_object")]
    pub hits: Vec<(String, u64)>,
    /// Configured rules for bodies of this direction that were not hit.
    pub never: Vec<String>,
}

/// Takes a body through the filter's own capture and redaction. Bodies are captured even where the configuration leaves
/// them out.
///
/// # Errors
/// When the filter would refuse the configuration.
pub fn preview(asked: &Asked<'_>) -> Result<Seen, ConfigError> {
    let Config { redact, capture, .. } = Config::parse(asked.config)?;
    let start = match asked.message {
        Message::Request => (":method", "POST"),
        Message::Response => (":status", "200"),
    };
    let headers = [start, ("content-type", asked.content_type), ("content-encoding", asked.content_encoding)];
    let seen = run(&redact, &capture, asked.message, &headers, asked.body);
    // Reading a configuration compiles its rules, so that none is found to be wrong here.
    let Preview { captured, hits, never } = seen.map_err(|defect| ConfigError {
        path: String::new(),
        line: 1,
        column: 1,
        message: defect.to_string(),
    })?;
    let (body, left_out) = match captured.content {
        Ok(body) => (Some(body), None),
        Err(reason) => (None, Some(reason.name())),
    };
    Ok(Seen { size: captured.size, body, left_out, hits, never })
}

fn as_object<S: Serializer>(hits: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(hits.iter().map(|(rule, count)| (rule, count)))
}
