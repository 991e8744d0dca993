//! What Envoy itself offers for the same purpose: its access logs and its Lua filter, with the fields that gatelens logs.

use std::path::Path;

use gatelens_testkit::{EnvoyConfig, Result};
use serde_json::{Map, Value, json};

/// The fields of the request log by Envoy's operators. What only gatelens has is missing: the consumer's identity, the route's
/// template, redaction, and counts.
const FIELDS: [(&str, &str); 22] = [
    ("time", "%START_TIME%"),
    ("consumer", "%REQ(X-CONSUMER-ID)%"),
    ("http.request.method", "%REQ(:METHOD)%"),
    ("url.path", "%REQ(:PATH)%"),
    ("url.scheme", "%REQ(:SCHEME)%"),
    ("server.address", "%REQ(:AUTHORITY)%"),
    ("network.protocol.name", "%PROTOCOL%"),
    ("http.response.status_code", "%RESPONSE_CODE%"),
    ("duration", "%DURATION%"),
    ("upstream.duration", "%RESPONSE_DURATION%"),
    ("http.request.body.size", "%BYTES_RECEIVED%"),
    ("http.response.body.size", "%BYTES_SENT%"),
    ("client.address", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("user_agent.original", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("traceparent", "%REQ(TRACEPARENT)%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("upstream.cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream.attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
    ("route", "%ROUTE_NAME%"),
    ("content_type", "%RESP(CONTENT-TYPE)%"),
];

/// A script that reads all headers of the request and of the response, and joins what it read to one line. The line goes
/// nowhere, so that this is the least that a Lua filter for the same purpose costs.
const LUA: &str = r#"
local function read(headers, lines)
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. "=" .. value
  end
end

function envoy_on_request(handle)
  local lines = {}
  read(handle:headers(), lines)
  handle:streamInfo():dynamicMetadata():set("bench", "line", table.concat(lines, " "))
end

function envoy_on_response(handle)
  local lines = {}
  read(handle:headers(), lines)
  local line = handle:streamInfo():dynamicMetadata():get("bench")["line"] .. table.concat(lines, " ")
  handle:streamInfo():dynamicMetadata():set("bench", "line", line)
end
"#;

/// One JSON line per request to a file.
///
/// # Errors
/// [`Error::Unexpected`](gatelens_testkit::Error::Unexpected) when the configuration has no connection manager.
pub(crate) fn json_access_log(config: EnvoyConfig, file: &Path) -> Result<EnvoyConfig> {
    let fields: Map<String, Value> =
        FIELDS.iter().map(|(name, operator)| ((*name).to_owned(), json!(operator))).collect();
    config.sole_access_logger(&json!({
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": file,
            "log_format": {"json_format": fields},
    }))
}

/// One OpenTelemetry log record per request, in batches, to the cluster of the ingest: by HTTP, as gatelens sends.
///
/// # Errors
/// As [`json_access_log`].
pub(crate) fn otlp_access_log(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let attributes: Vec<Value> = FIELDS
        .iter()
        .map(|(name, operator)| json!({"key": name, "value": {"string_value": operator}}))
        .collect();
    config.sole_access_logger(&json!({
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
            "log_name": "bench",
            "http_service": {
                "http_uri": {"uri": "http://127.0.0.1/v1/logs", "cluster": "gatelens_ingest", "timeout": "2s"},
            },
            "attributes": {"values": attributes},
    }))
}

/// The Lua filter, with a script that reads what gatelens reads.
///
/// # Errors
/// As [`json_access_log`].
pub(crate) fn lua(config: EnvoyConfig) -> Result<EnvoyConfig> {
    config.first_http_filter(json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        },
    }))
}
