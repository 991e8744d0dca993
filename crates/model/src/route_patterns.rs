//! Learned route patterns on their way from the ingest back to the gateways.
//!
//! The ingest names the version of the patterns in its answers; a gateway that has another one asks for the patterns
//! themselves. A receiver that is not gatelens never names a version.

use crate::hash;

/// Header of the ingest's answers to exports, and of the answer with the patterns: their version. Absent while nothing
/// is learned.
pub const VERSION_HEADER: &str = "x-gatelens-route-patterns";

/// Path of the patterns behind `ingest.path_prefix`. The query names the scope: [`SERVICE`], [`ENVIRONMENT`] and
/// [`DIRECTION`].
pub const PATH: &str = "/v1/gatelens/route-patterns";

/// Query parameter: `service.name`.
pub const SERVICE: &str = "service";

/// Query parameter: `deployment.environment.name`.
pub const ENVIRONMENT: &str = "environment";

/// Query parameter: `inbound` or `outbound`.
pub const DIRECTION: &str = "direction";

/// Longest text of patterns in bytes that is handed back. A gateway ignores a longer one.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The version of patterns: 16 hex digits over their text (FNV-1a). It is an identity and protects nothing.
pub fn version(text: &str) -> String {
    format!("{:016x}", hash::fnv1a(hash::START, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::version;

    /// Gateways and the ingest are of different versions at times.
    #[test]
    fn the_version_of_a_text_never_changes() {
        assert_eq!(version(""), "cbf29ce484222325");
        assert_eq!(version("a"), "af63dc4c8601ec8c");
    }
}
