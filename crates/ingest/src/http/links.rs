//! `GET /api/v1/links`: the addresses at which other systems show a trace.

use super::State;
use crate::error::json;
use crate::query::params::none;
use axum::extract::{self, RawQuery};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::str::FromStr;
use std::sync::Arc;

/// Stands in the address for the trace's ID: 32 hexadecimal digits (W3C Trace Context, 3.2.2.3).
const TRACE_ID: &str = "{trace_id}";
/// Characters of a name, which is the text of a button.
const MAX_NAME_CHARS: usize = 32;

/// Where another system shows a trace, written `NAME=URL`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct TraceLink {
    name: String,
    url: String,
}

/// Why a text is not such a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotATraceLink {
    /// It has no name before the address.
    #[error(
        "expected NAME=URL with a name of 1 to 32 characters, such as Jaeger=https://jaeger.example.com/trace/{TRACE_ID}"
    )]
    Name,
    /// A page may only lead to other pages.
    #[error("expected an address that begins with http:// or https:// and names a host")]
    Address,
    /// Every link would lead to the same page.
    #[error("the address lacks {TRACE_ID}: write it where the trace's ID stands")]
    NoTraceId,
}

impl FromStr for TraceLink {
    type Err = NotATraceLink;

    fn from_str(text: &str) -> Result<Self, NotATraceLink> {
        let (name, url) = text.split_once('=').ok_or(NotATraceLink::Name)?;
        let (name, url) = (name.trim(), url.trim());
        let length = name.chars().count();
        if length == 0 || length > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(NotATraceLink::Name);
        }
        let Some((before, after)) = url.split_once(TRACE_ID) else { return Err(NotATraceLink::NoTraceId) };
        // Braces are no part of a URI, so the address is read as the page will make it.
        let uri: Uri = format!("{before}0{}", after.replace(TRACE_ID, "0"))
            .parse()
            .map_err(|_| NotATraceLink::Address)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        // An ID in the host would lead to other hosts.
        let has_host = uri.host().is_some_and(|host| before.contains(host));
        if !is_web || !has_host {
            return Err(NotATraceLink::Address);
        }
        Ok(Self { name: name.to_owned(), url: url.to_owned() })
    }
}

impl TryFrom<String> for TraceLink {
    type Error = NotATraceLink;

    fn try_from(text: String) -> Result<Self, NotATraceLink> {
        text.parse()
    }
}

/// The links of the configuration.
pub(super) async fn links(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
) -> Response {
    #[derive(Serialize)]
    struct Links<'a> {
        trace: &'a [TraceLink],
    }
    match none(query.as_deref()) {
        Ok(()) => json(StatusCode::OK, &Links { trace: &state.trace_links }),
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_one_host_and_has_the_id() {
        let link: TraceLink =
            "Jaeger = https://jaeger.example.com/trace/{trace_id}?uiFind=1".parse().unwrap();
        assert_eq!(link.name, "Jaeger");
        assert_eq!(link.url, "https://jaeger.example.com/trace/{trace_id}?uiFind=1");
        // Grafana has JSON in the query.
        let grafana = r"Tempo=https://g.example/explore?left=%7B%22query%22:%22{trace_id}%22%7D";
        assert!(grafana.parse::<TraceLink>().is_ok());
        for (text, error) in [
            ("https://x/{trace_id}", NotATraceLink::Name),
            ("=https://x/{trace_id}", NotATraceLink::Name),
            ("an overlong name that no button could hold=https://x/{trace_id}", NotATraceLink::Name),
            ("Jaeger=https://x/trace", NotATraceLink::NoTraceId),
            ("Jaeger=javascript:alert('{trace_id}')", NotATraceLink::Address),
            ("Jaeger=//x/{trace_id}", NotATraceLink::Address),
            ("Jaeger=https://{trace_id}.example.com/", NotATraceLink::Address),
            ("Jaeger=https://x/a b{trace_id}", NotATraceLink::Address),
        ] {
            assert_eq!(text.parse::<TraceLink>(), Err(error), "{text}");
        }
    }
}
