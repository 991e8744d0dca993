//! `spans`: what applications reported of a trace.

use super::params::Params;
use super::range::rfc3339;
use super::requests::Disclosure;
use crate::clickhouse::ClickHouse;
use crate::error::QueryError;
use crate::model::AppSpan;
use crate::spans::{MAX_OF_TRACE, StoredPart, of_trace};
use crate::store::DataDir;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// OTLP's kinds by their numbers.
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
/// OTLP's statuses by their numbers.
const STATUSES: [&str; 3] = ["unset", "ok", "error"];
/// Withheld from those who may not see bodies: applications write it, and nobody redacts it.
const WITHHELD: &str = "status_message";

/// A question for the spans of a trace.
#[derive(Debug)]
pub(crate) struct SpansQuery {
    trace_id: Vec<u8>,
    disclosure: Disclosure,
}

/// The answer to [`SpansQuery`].
#[derive(Serialize)]
pub(crate) struct Spans {
    /// By their start.
    rows: Vec<Row>,
    /// Spans of the trace that were not kept, because it has too many.
    left_out: u64,
}

#[derive(Serialize)]
struct Row {
    span_id: String,
    parent_span_id: Option<String>,
    service: String,
    environment: String,
    name: String,
    kind: &'static str,
    /// By the clock of the application.
    start: String,
    duration_ms: f64,
    status: &'static str,
    status_message: Option<String>,
    attributes: BTreeMap<String, String>,
    /// Fields that the span has, and the role does not see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withheld: Vec<&'static str>,
}

impl SpansQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, QueryError> {
        let params = Params::parse(query, &["trace_id"])?;
        let wrong =
            || QueryError::parameter("trace_id", "trace_id must be 32 hex digits, as a request has it");
        let text = params.one("trace_id")?.filter(|text| text.len() == 32).ok_or_else(wrong)?;
        let trace_id = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| wrong())?;
        Ok(Self { trace_id, disclosure: Disclosure::Full })
    }

    /// The same question of a reader who may see less.
    pub(crate) fn restrict(self, disclosure: Disclosure) -> Self {
        Self { disclosure, ..self }
    }

    /// The answer out of the store.
    pub(crate) fn answer(
        &self,
        directory: &DataDir,
        server: Option<&ClickHouse>,
    ) -> Result<Spans, QueryError> {
        let parts = match server {
            Some(server) => server.spans_of_trace(&self.trace_id)?,
            None => of_trace(directory.path(), &self.trace_id)?,
        };
        let mut known = HashSet::new();
        let (mut rows, mut left_out) = (Vec::new(), 0);
        for StoredPart { environment, service, left_out: more, spans } in parts {
            left_out += more;
            for span in spans {
                // A sender repeats a batch whose answer it has not got.
                if known.contains(&span.id) {
                    continue;
                }
                if known.len() >= MAX_OF_TRACE {
                    left_out += 1;
                } else {
                    known.insert(span.id.clone());
                    rows.push((span.start, self.row(span, &service, &environment)));
                }
            }
        }
        rows.sort_by_key(|(start, _)| *start);
        Ok(Spans { rows: rows.into_iter().map(|(_, row)| row).collect(), left_out })
    }

    fn row(&self, span: AppSpan, service: &str, environment: &str) -> Row {
        let AppSpan { id, parent, name, kind, start, end, status, message, attributes } = span;
        let is_withheld = self.disclosure == Disclosure::Reduced && message.is_some();
        Row {
            span_id: id,
            parent_span_id: parent,
            service: service.to_owned(),
            environment: environment.to_owned(),
            name,
            kind: KINDS.get(usize::from(kind)).unwrap_or(&KINDS[0]),
            start: rfc3339(start),
            duration_ms: end.saturating_sub(start) as f64 / 1e6,
            status: STATUSES.get(usize::from(status)).unwrap_or(&STATUSES[0]),
            status_message: message.filter(|_| !is_withheld),
            attributes: attributes.into_iter().collect(),
            withheld: if is_withheld { vec![WITHHELD] } else { Vec::new() },
        }
    }
}
