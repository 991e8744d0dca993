//! `GET /metrics/traffic`: the counters of the traffic of all gateways, for Prometheus.

use super::State;
use super::api::reading;
use crate::accept::choices;
use crate::clock;
use crate::error::QueryError;
use crate::exposition::{Format, render};
use crate::query::TrafficQuery;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::sync::Arc;

/// Where it is.
pub(super) const PATH: &str = "/metrics/traffic";

/// Answers a scraper in the format that it prefers.
pub(super) async fn traffic(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let answered = answer(state, &headers, query.as_deref()).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(state: Arc<State>, headers: &HeaderMap, query: Option<&str>) -> Result<Response, QueryError> {
    let format = Format::of(&list(headers, &header::ACCEPT));
    let question = TrafficQuery::parse(query, clock::now(), &state.limits)?.with(format.exemplars());
    let is_packed = takes_gzip(&list(headers, &header::ACCEPT_ENCODING));
    let body = reading(&state, move |state| {
        let body = render(&state.store.traffic(&question)?, format);
        Ok(if is_packed { gzip(&body) } else { body })
    })
    .await?;
    let mut response = ([(header::CONTENT_TYPE, format.content_type())], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// All values of a header that is a list.
fn list(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// Whether `Accept-Encoding` names gzip and does not refuse it (RFC 9110, 12.5.3).
fn takes_gzip(accepted: &str) -> bool {
    choices(accepted).any(|coding| coding.name == "gzip" && coding.weight() > 0.0)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    // A vector takes everything.
    let _ = packed.write_all(body);
    packed.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_name_it() {
        let check = |accepted: &str, expected: bool| assert_eq!(takes_gzip(accepted), expected, "{accepted}");
        check("gzip", true);
        check("br, GZIP;q=0.5", true);
        check("gzip;q=0", false);
        check("gzip;Q=0", false);
        check("identity", false);
        check("", false);
    }
}
