//! Previews what the filter would send of a body, for the API and for `gatelens redact`.

use gatelens_core::config::{Config, ConfigError};
use gatelens_core::host::PluginIdentity;
use gatelens_core::plan::Plan;
use gatelens_model::Message;
use gatelens_redact::capture::{Preview, preview as run};
use serde::{Serialize, Serializer};

/// A body and the configuration that applies to it.
#[derive(Debug, Clone, Copy)]
pub struct PreviewRequest<'a> {
    /// The plugin's configuration, JSON, whole.
    pub config: &'a str,
    /// The message that has the body.
    pub message: Message,
    /// `content-type` of the message.
    pub content_type: &'a str,
    /// `content-encoding` of the message.
    pub content_encoding: &'a str,
    /// The body, as it would pass the gateway.
    pub body: &'a [u8],
}

/// The result of a preview, and the rules that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewResponse {
    /// Bytes of the body, as it passed.
    pub size: u64,
    /// The body as it would be sent.
    pub body: Option<String>,
    /// Why it would be omitted: one of [`gatelens_model::OmissionReason`].
    pub left_out: Option<&'static str>,
    /// Rules that matched, with their number of matches; an object in JSON.
    #[serde(serialize_with = "as_object")]
    pub hits: Vec<(String, u64)>,
    /// Configured rules for bodies of this message that did not match.
    pub never: Vec<String>,
}

/// Applies the filter's own capture and redaction to a body. Capture is on, whatever the configuration.
///
/// # Errors
/// When the filter would refuse the configuration.
pub fn preview(asked: &PreviewRequest<'_>) -> Result<PreviewResponse, ConfigError> {
    Plan::read(asked.config, &PluginIdentity::default())?;
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
    Ok(PreviewResponse { size: captured.size, body, left_out, hits, never })
}

fn as_object<S: Serializer>(hits: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(hits.iter().map(|(rule, count)| (rule, count)))
}
