//! The section `report`.

use serde::{Deserialize, Serialize};

/// Response headers in which the application reports about a request. The HTTP filter removes them before the client sees them; an
/// access logger only reads them. Default: none.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// The header with an error, such as `x-gatelens-error`: a class, a text, or `Class: text`. It is redacted, and cut after
    /// 512 bytes. Error issues are grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The header with tags, such as `x-gatelens-tags`: `plan=gold, cart=large`. At most 16 tags, each name of at most 64 characters
    /// (letters, digits, `_`, `.`, `-`) and each value, which is redacted, of at most 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

impl Report {
    /// Whether no header is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
