//! Spans of applications, which are not requests of the log.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The spans that one sender sent of one trace at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpanPart {
    /// 16 bytes.
    pub(crate) trace_id: Vec<u8>,
    /// `deployment.environment.name` of the sender.
    pub(crate) environment: Arc<str>,
    /// `service.name` of the sender.
    pub(crate) service: Arc<str>,
    pub(crate) spans: Vec<AppSpan>,
}

/// A span of an application. Its times are those of the application's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppSpan {
    /// 16 hex digits.
    pub(crate) id: String,
    /// 16 hex digits; absent for the first span of a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    /// OTLP's number of the kind.
    pub(crate) kind: u8,
    /// Unix nanoseconds.
    pub(crate) start: i64,
    /// Unix nanoseconds.
    pub(crate) end: i64,
    /// OTLP's number of the status: 0 unset, 1 ok, 2 error.
    #[serde(default)]
    pub(crate) status: u8,
    /// The reason of the status, as the application wrote it: nobody has redacted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// Attributes that have few values by the conventions, such as the method or the system of a database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attributes: Vec<(String, String)>,
}

impl AppSpan {
    /// Bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.name.len() + self.message.as_ref().map_or(0, String::len) + attributes
    }
}
