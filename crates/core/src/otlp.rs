//! The wire: OTLP protobuf, written field by field.
//!
//! Field numbers are those of opentelemetry-proto 1.x; tests read everything back with the official messages.
//! `docs/wire.md` describes the exported data.

pub mod metrics;
pub(crate) mod proto;
pub mod requests;
mod strip;

pub use strip::strip_bodies;

use gatelens_model::{attribute, value};

use crate::VERSION;
use crate::config::{Direction, Service};
use proto::Message;

/// `content-type` of every request.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// The version of OpenTelemetry's conventions that the names follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.39.0";

/// The attribute of the route: a server has a route, a client the template of a URL.
pub(crate) fn route_attribute(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => attribute::ROUTE,
        Direction::Outbound => attribute::URL_TEMPLATE,
    }
}

/// The resource of everything that a configuration sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    attributes: Vec<u8>,
    /// 16 hex digits over the canonical configuration without its secrets.
    pub config_hash: String,
}

impl Resource {
    /// From the service and a hash over the canonical configuration.
    pub fn new(service: &Service, config_hash: u64) -> Self {
        let config_hash = format!("{config_hash:016x}");
        let mut attributes = Vec::new();
        let mut put = |key: &str, value: &str| attributes.string_attribute(1, key, value);
        put(attribute::SERVICE_NAME, &service.name);
        if !service.version.is_empty() {
            put(attribute::SERVICE_VERSION, &service.version);
        }
        put(attribute::ENVIRONMENT, &service.environment);
        put(attribute::VERSION, VERSION);
        put(attribute::CONFIG_HASH, &config_hash);
        put(attribute::DIRECTION, service.direction.name());
        for (key, value) in &service.tags {
            put(&format!("{}{key}", attribute::TAGS), value);
        }
        Self { attributes, config_hash }
    }

    /// Writes `resource` (field 1 of `ResourceLogs`, `ResourceSpans` and `ResourceMetrics`).
    fn encode(&self, instance: &str, out: &mut Vec<u8>) {
        out.nested(1, |out| {
            out.extend_from_slice(&self.attributes);
            out.string_attribute(1, attribute::INSTANCE_ID, instance);
        });
    }
}

/// Writes `scope` (field 1 of `ScopeLogs`, `ScopeSpans` and `ScopeMetrics`).
fn encode_scope(out: &mut Vec<u8>) {
    out.nested(1, |out| {
        out.string(1, value::SCOPE);
        out.string(2, VERSION);
    });
}
