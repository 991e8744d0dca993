//! The fields of the request log that a viewer does not see. The only place that decides it: pages, exports and files all
//! write rows from here.

use crate::error::QueryError;
use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS};

/// Fields that are personal, or hold whatever clients and upstreams wrote. Their names are those of parameters, too: one
/// who may not see a value may not search for it, or each guess would get an answer.
pub(super) const WITHHELD: [&str; 10] = [
    "query",
    "client_address",
    "client_port",
    "user_agent",
    "request_headers",
    "response_headers",
    "request_body",
    "response_body",
    "reported_error",
    "reported_tags",
];

/// Fields with content that was captured. Who sees them is noted in the audit log.
pub(super) const CAPTURED: [&str; 4] =
    ["request_headers", "response_headers", "request_body", "response_body"];

/// How much of the request log a reader sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Disclosure {
    /// All fields.
    #[default]
    Full,
    /// All except those in [`WITHHELD`]; a row names those that it has.
    Reduced,
}

impl Disclosure {
    /// Whether rows have a field.
    pub(super) fn shows(self, field: &str) -> bool {
        self == Self::Full || !WITHHELD.contains(&field)
    }

    /// The fields of a request that are withheld although it has them.
    pub(super) fn withheld(self, event: &RequestEvent) -> Vec<&'static str> {
        present(event, |field| !self.shows(field))
    }

    /// Refuses a search for what is withheld.
    pub(super) fn check(self, query: Option<&str>) -> Result<(), QueryError> {
        let names = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).map(|(name, _)| name);
        self.check_fields(names)
    }

    /// Refuses a search that withheld fields decide.
    pub(super) fn check_fields<T: AsRef<str>>(
        self,
        mut fields: impl Iterator<Item = T>,
    ) -> Result<(), QueryError> {
        match fields.find(|field| !self.shows(field.as_ref())) {
            None => Ok(()),
            Some(field) => Err(QueryError::Withheld { field: field.as_ref().to_owned() }),
        }
    }
}

/// Whether a request has content that was captured.
pub(super) fn has_captured(event: &RequestEvent) -> bool {
    !present(event, |field| CAPTURED.contains(&field)).is_empty()
}

fn present(event: &RequestEvent, wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let fields = FIELDS.iter().filter(|field| wanted(field.name));
    let fields = fields.filter(|field| match field.access {
        Access::Text(get, _) => get(event).is_some(),
        Access::Number(get, _) => get(event).is_some(),
    });
    fields.map(|field| field.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Fields that every role sees. A new field belongs here or to [`WITHHELD`].
    const SHOWN: [&str; 33] = [
        "consumer",
        "consumer_trusted",
        "consumer_name",
        "consumer_group",
        "method",
        "method_original",
        "route",
        "route_source",
        "scheme",
        "host",
        "port",
        // Where a route has a parameter, its value is in the path: redaction masks secrets in it.
        "path",
        "status",
        "grpc_status",
        "duration_ms",
        "upstream_ms",
        "attempts",
        "resend_count",
        "upstream_cluster",
        "weight",
        "request_bytes",
        "response_bytes",
        "protocol",
        "request_id",
        "trace_id",
        "span_id",
        "response_flags",
        "code_details",
        "error_type",
        "direction",
        "version",
        "request_body_omitted",
        "response_body_omitted",
    ];

    #[test]
    fn every_field_is_decided_about() {
        let fields: BTreeSet<&str> = FIELDS.iter().map(|field| field.name).collect();
        let decided: BTreeSet<&str> = SHOWN.into_iter().chain(WITHHELD).collect();
        assert_eq!(fields, decided);
        assert_eq!(decided.len(), SHOWN.len() + WITHHELD.len(), "each once");
        assert!(CAPTURED.iter().all(|field| WITHHELD.contains(field)));
    }
}
