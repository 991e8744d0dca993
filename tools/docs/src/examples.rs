//! An example for every option of the configuration: the schema has its value, the reference shows it, and a test reads
//! each with the filter's own code.

use serde_json::{Value, json};

/// An option, and the sections in which it stands. The example is the value at its place; the rest of the sections is what
/// the filter needs to accept it.
const EXAMPLES: &[(&str, &str)] = &[
    ("access_log", r#"{"access_log": true}"#),
    ("debug", r#"{"debug": true}"#),
    ("version", r#"{"version": 1}"#),
    ("capture.max_body_bytes", r#"{"capture": {"request_body": true, "max_body_bytes": 10000}}"#),
    ("capture.query", r#"{"capture": {"query": false}}"#),
    ("capture.request_body", r#"{"capture": {"request_body": true}}"#),
    ("capture.request_headers", r#"{"capture": {"request_headers": ["accept", "x-*"]}}"#),
    ("capture.response_body", r#"{"capture": {"response_body": true}}"#),
    ("capture.response_headers", r#"{"capture": {"response_headers": ["content-type", "retry-after"]}}"#),
    (
        "consumer.directory",
        r#"{"consumer": {"directory": {"acme": {"name": "Acme Inc.", "group": "enterprise"}}}}"#,
    ),
    ("consumer.directory.*.name", r#"{"consumer": {"directory": {"acme": {"name": "Acme Inc."}}}}"#),
    ("consumer.directory.*.group", r#"{"consumer": {"directory": {"acme": {"group": "enterprise"}}}}"#),
    ("consumer.group.header", r#"{"consumer": {"group": {"header": "x-consumer-group"}}}"#),
    (
        "consumer.group.metadata",
        r#"{"consumer": {"group": {"metadata": ["envoy.filters.http.jwt_authn", "payload", "tier"]}}}"#,
    ),
    ("consumer.name.header", r#"{"consumer": {"name": {"header": "x-consumer-name"}}}"#),
    (
        "consumer.name.metadata",
        r#"{"consumer": {"name": {"metadata": ["envoy.filters.http.jwt_authn", "payload", "name"]}}}"#,
    ),
    (
        "consumer.pseudonymize_key",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"api_key_header": "x-api-key"}]}}"#,
    ),
    (
        "consumer.sources",
        r#"{"consumer": {"sources": [{"header": "x-consumer-id", "trusted": true}, {"basic_user": true}]}}"#,
    ),
    (
        "consumer.sources[].api_key_header",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"api_key_header": "x-api-key"}]}}"#,
    ),
    (
        "consumer.sources[].api_key_query",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"api_key_query": "key"}]}}"#,
    ),
    ("consumer.sources[].basic_user", r#"{"consumer": {"sources": [{"basic_user": true}]}}"#),
    (
        "consumer.sources[].certificate_subject",
        r#"{"consumer": {"sources": [{"certificate_subject": true}]}}"#,
    ),
    (
        "consumer.sources[].certificate_uri_san",
        r#"{"consumer": {"sources": [{"certificate_uri_san": true}]}}"#,
    ),
    (
        "consumer.sources[].client_ip",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"client_ip": true, "pseudonymize": true}]}}"#,
    ),
    (
        "consumer.sources[].cookie",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"cookie": "uid", "pseudonymize": true}]}}"#,
    ),
    ("consumer.sources[].header", r#"{"consumer": {"sources": [{"header": "x-user-id"}]}}"#),
    (
        "consumer.sources[].keep_prefix",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"api_key_header": "x-api-key", "keep_prefix": 6}]}}"#,
    ),
    (
        "consumer.sources[].metadata",
        r#"{"consumer": {"sources": [{"metadata": ["envoy.filters.http.jwt_authn", "payload", "sub"]}]}}"#,
    ),
    (
        "consumer.sources[].pseudonymize",
        r#"{"consumer": {"pseudonymize_key": "at least 32 random characters...", "sources": [{"header": "x-user-id", "pseudonymize": true}]}}"#,
    ),
    (
        "consumer.sources[].response_header",
        r#"{"consumer": {"sources": [{"response_header": "x-consumer-id"}]}}"#,
    ),
    (
        "consumer.sources[].trusted",
        r#"{"consumer": {"sources": [{"header": "x-consumer-id", "trusted": true}]}}"#,
    ),
    (
        "consumer.sources[].unverified_bearer_claim",
        r#"{"consumer": {"sources": [{"unverified_bearer_claim": "sub"}]}}"#,
    ),
    ("counters.bounds_seconds", r#"{"counters": {"bounds_seconds": [0.1, 0.3, 1, 3]}}"#),
    ("counters.consumer", r#"{"counters": {"consumer": false}}"#),
    ("counters.host", r#"{"counters": {"host": true}}"#),
    ("counters.max_consumers", r#"{"counters": {"max_consumers": 200}}"#),
    ("counters.max_hosts", r#"{"counters": {"host": true, "max_hosts": 20}}"#),
    ("counters.max_routes", r#"{"counters": {"max_routes": 800}}"#),
    ("counters.max_series", r#"{"counters": {"max_series": 12000}}"#),
    ("counters.max_upstreams", r#"{"counters": {"upstream": true, "max_upstreams": 50}}"#),
    ("counters.upstream", r#"{"counters": {"upstream": true}}"#),
    ("destinations", r#"{"destinations": [{"cluster": "tempo", "metrics": false, "requests_as": "spans"}]}"#),
    (
        "destinations[].authority",
        r#"{"destinations": [{"cluster": "tempo", "authority": "tempo.internal:4318"}]}"#,
    ),
    ("destinations[].cluster", r#"{"destinations": [{"cluster": "tempo"}]}"#),
    ("destinations[].compression", r#"{"destinations": [{"cluster": "tempo", "compression": "none"}]}"#),
    ("destinations[].enabled", r#"{"destinations": [{"cluster": "tempo", "enabled": true}]}"#),
    ("destinations[].headers", r#"{"destinations": [{"cluster": "tempo", "headers": {"api-key": "..."}}]}"#),
    ("destinations[].metrics", r#"{"destinations": [{"cluster": "tempo", "metrics": false}]}"#),
    ("destinations[].path_prefix", r#"{"destinations": [{"cluster": "tempo", "path_prefix": "/otlp"}]}"#),
    ("destinations[].requests_as", r#"{"destinations": [{"cluster": "tempo", "requests_as": "both"}]}"#),
    (
        "destinations[].temporality",
        r#"{"destinations": [{"cluster": "tempo", "temporality": "cumulative"}]}"#,
    ),
    ("destinations[].timeout_ms", r#"{"destinations": [{"cluster": "tempo", "timeout_ms": 2000}]}"#),
    ("exclude.counters.methods", r#"{"exclude": {"counters": {"methods": ["TRACE", "_OTHER"]}}}"#),
    ("exclude.counters.paths", r#"{"exclude": {"counters": {"paths": ["/internal/*", "/metrics"]}}}"#),
    ("exclude.counters.user_agents", r#"{"exclude": {"counters": {"user_agents": ["*bot*"]}}}"#),
    ("exclude.log.defaults", r#"{"exclude": {"log": {"defaults": false}}}"#),
    ("exclude.log.methods", r#"{"exclude": {"log": {"methods": ["HEAD"]}}}"#),
    ("exclude.log.paths", r#"{"exclude": {"log": {"paths": ["/assets/*", "*.css"]}}}"#),
    ("exclude.log.user_agents", r#"{"exclude": {"log": {"user_agents": ["uptime-monitor/*"]}}}"#),
    ("ingest.authority", r#"{"ingest": {"authority": "ingest.internal:4318"}}"#),
    ("ingest.cluster", r#"{"ingest": {"cluster": "otel_collector"}}"#),
    ("ingest.compression", r#"{"ingest": {"compression": "none"}}"#),
    ("ingest.enabled", r#"{"ingest": {"enabled": false}}"#),
    ("ingest.headers", r#"{"ingest": {"headers": {"authorization": "Bearer ..."}}}"#),
    ("ingest.metrics", r#"{"ingest": {"metrics": false}}"#),
    ("ingest.path_prefix", r#"{"ingest": {"path_prefix": "/otlp"}}"#),
    ("ingest.requests_as", r#"{"ingest": {"requests_as": "both"}}"#),
    ("ingest.temporality", r#"{"ingest": {"temporality": "delta"}}"#),
    ("ingest.timeout_ms", r#"{"ingest": {"timeout_ms": 2000}}"#),
    ("limits.batch_bytes", r#"{"limits": {"batch_bytes": 1048576}}"#),
    ("limits.batch_events", r#"{"limits": {"batch_events": 2000}}"#),
    ("limits.flush_ms", r#"{"limits": {"flush_ms": 5000}}"#),
    ("limits.queue_bytes", r#"{"limits": {"queue_bytes": 33554432}}"#),
    ("limits.redaction_percent", r#"{"limits": {"redaction_percent": 50}}"#),
    ("redact.defaults", r#"{"redact": {"defaults": false}}"#),
    ("redact.detectors", r#"{"redact": {"detectors": ["card", "iban"]}}"#),
    ("redact.headers", r#"{"redact": {"headers": ["x-internal-*"]}}"#),
    ("redact.keys", r#"{"redact": {"keys": ["passport_no"]}}"#),
    ("redact.query", r#"{"redact": {"query": ["voucher", "session_*"]}}"#),
    ("redact.request_body", r#"{"redact": {"request_body": ["$.user.email"]}}"#),
    ("redact.response_body", r#"{"redact": {"response_body": ["$.users[*].email"]}}"#),
    ("report.error", r#"{"report": {"error": "x-gatelens-error"}}"#),
    ("report.tags", r#"{"report": {"tags": "x-gatelens-tags"}}"#),
    ("routes.infer", r#"{"routes": {"infer": false}}"#),
    ("routes.templates", r#"{"routes": {"templates": ["GET /users/{id}", "/files/{path...}"]}}"#),
    ("routes.use_route_name", r#"{"routes": {"use_route_name": true}}"#),
    ("sample.keep_consumers", r#"{"sample": {"rate": 0.1, "keep_consumers": ["acme"]}}"#),
    ("sample.keep_errors", r#"{"sample": {"rate": 0.1, "keep_errors": false}}"#),
    ("sample.keep_slower_than_ms", r#"{"sample": {"rate": 0.1, "keep_slower_than_ms": 300}}"#),
    ("sample.rate", r#"{"sample": {"rate": 0.1}}"#),
    ("scrape.labels", r#"{"scrape": {"labels": ["http_route", "gatelens_consumer_id"]}}"#),
    ("scrape.max_series", r#"{"scrape": {"max_series": 5000}}"#),
    ("scrape.path", r#"{"scrape": {"path": "/internal/metrics"}}"#),
    ("service.direction", r#"{"service": {"direction": "outbound"}}"#),
    ("service.environment", r#"{"service": {"environment": "prod"}}"#),
    ("service.name", r#"{"service": {"name": "orders"}}"#),
    ("service.tags", r#"{"service": {"tags": {"team": "checkout"}}}"#),
    ("service.version", r#"{"service": {"version": "1.4.2"}}"#),
];

/// Adds its example to each option of the schema.
pub(crate) fn add(schema: &mut Value) {
    for (path, sections) in EXAMPLES {
        let value =
            serde_json::from_str::<Value>(sections).ok().and_then(|sections| value_at(&sections, path));
        if let (Some(pointer), Some(value)) = (pointer(schema, path), value)
            && let Some(option) = schema.pointer_mut(&pointer)
        {
            option["examples"] = json!([value]);
        }
    }
}

/// The steps of a path: a name, `*` for any key of an object, or `[]` for an element of a list.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').flat_map(|part| match part.strip_suffix("[]") {
        Some(name) => vec![name, "[]"],
        None => vec![part],
    })
}

/// The value of an option in an example.
fn value_at(sections: &Value, path: &str) -> Option<Value> {
    let found = steps(path).try_fold(sections, |value, step| match step {
        "[]" => value.get(0),
        "*" => value.as_object()?.values().next(),
        name => value.get(name),
    });
    found.cloned()
}

/// Where the schema describes an option.
fn pointer(schema: &Value, path: &str) -> Option<String> {
    steps(path).try_fold(String::new(), |parent, step| {
        let parent = target(schema, parent);
        let pointer = match step {
            "[]" => format!("{parent}/items"),
            "*" => format!("{parent}/additionalProperties"),
            name => format!("{parent}/properties/{name}"),
        };
        schema.pointer(&pointer).map(|_| pointer)
    })
}

/// Follows the reference of a part of the schema, also that of a part that may be `null`.
fn target(schema: &Value, pointer: String) -> String {
    let part = schema.pointer(&pointer).unwrap_or(&Value::Null);
    let choices = part["anyOf"].as_array().into_iter().flatten();
    let reference = std::iter::once(part).chain(choices).find_map(|part| part["$ref"].as_str());
    reference.map_or(pointer, |reference| reference.trim_start_matches('#').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;
    use gatelens_core::config::Config;
    use gatelens_core::host::PluginIdentity;
    use gatelens_core::plan::Plan;
    use std::collections::BTreeSet;

    /// The smallest configuration, to which each example adds its sections.
    const SMALLEST: &str = r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}"#;

    /// Options with a single legal value.
    const FIXED: [&str; 1] = ["version"];

    #[test]
    fn every_example_is_accepted_and_changes_the_configuration() {
        let smallest = Config::parse(SMALLEST).unwrap();
        for (path, sections) in EXAMPLES {
            let text = configuration(sections).to_string();
            let read = Plan::read(&text, &PluginIdentity::default());
            assert!(read.is_ok(), "{path}: {}", read.unwrap_err());
            let changes = Config::parse(&text).unwrap() != smallest;
            assert_eq!(changes, !FIXED.contains(path), "{path}: {text}");
            assert!(value_at(&serde_json::from_str(sections).unwrap(), path).is_some(), "{path}");
        }
    }

    #[test]
    fn every_option_has_an_example_and_every_example_an_option() {
        let mut options = BTreeSet::new();
        collect(&schema(), "", String::new(), &mut options);
        let examples: BTreeSet<String> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(options, examples);
    }

    /// The smallest configuration with the sections of an example.
    fn configuration(sections: &str) -> Value {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let mut configuration = read(SMALLEST);
        for (name, section) in read(sections).as_object().into_iter().flatten() {
            match (configuration[name].as_object_mut(), section.as_object()) {
                (Some(present), Some(more)) => present.extend(more.clone()),
                _ => configuration[name] = section.clone(),
            }
        }
        configuration
    }

    /// The paths of all options below a part of the schema.
    fn collect(schema: &Value, pointer: &str, path: String, options: &mut BTreeSet<String>) {
        let pointer = target(schema, pointer.to_owned());
        let part = schema.pointer(&pointer).unwrap();
        let below = |step: &str, part: &str, options: &mut BTreeSet<String>| {
            let path = match (path.as_str(), step) {
                ("", step) => step.to_owned(),
                (path, "[]") => format!("{path}[]"),
                (path, step) => format!("{path}.{step}"),
            };
            collect(schema, &format!("{pointer}/{part}"), path, options);
        };
        if let Some(properties) = part["properties"].as_object() {
            properties.keys().for_each(|name| below(name, &format!("properties/{name}"), options));
            return;
        }
        for (step, part_name) in [("[]", "items"), ("*", "additionalProperties")] {
            let inner = target(schema, format!("{pointer}/{part_name}"));
            if schema.pointer(&inner).is_some_and(|inner| inner.get("properties").is_some()) {
                below(step, part_name, options);
            }
        }
        options.insert(path.clone());
    }
}
