//! The section `capture` of the configuration, as written.

use serde::{Deserialize, Serialize};

/// The parts of each request that the log keeps, after redaction.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// Keep the query, redacted. Default true.
    pub query: bool,
    /// Names of the request headers that are kept, in any case; `*` stands for any characters. At most 256 entries.
    /// Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub request_headers: Vec<String>,
    /// Names of the response headers that are kept, in any case; `*` stands for any characters. At most 256 entries.
    /// Default `content-type`.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub response_headers: Vec<String>,
    /// Keep request bodies. Needs the HTTP filter; an access logger sees no bodies. Default false.
    pub request_body: bool,
    /// Keep response bodies. Needs the HTTP filter. Default false.
    pub response_body: bool,
    /// Maximum number of bytes of a body, as sent and decoded, 1 to 1,048,576. Longer bodies are omitted. Default 50,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub max_body_bytes: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            query: true,
            request_headers: Vec::new(),
            response_headers: vec!["content-type".into()],
            request_body: false,
            response_body: false,
            max_body_bytes: 50_000,
        }
    }
}
