//! Reads what the host knows at the end of a stream.

use std::borrow::Cow;

use crate::consumer::Identity;
use crate::counters::{Dimension, Measurement, Series};
use crate::event::{
    Event, Header, MAX_HEADER_BYTES, MAX_HEADERS_BYTES, MAX_PATH_BYTES, MAX_QUERY_BYTES,
    MAX_USER_AGENT_BYTES, MAX_WORD_BYTES, bounded, bounded_text,
};
use crate::hash::fnv1a;
use crate::host::{Attribute, Attributes, Host};
use crate::outcome::{ErrorType, Method, ResponseFlags, Status};
use crate::overhead::{self, Origin};
use crate::pairs::Pairs;
use crate::plan::Plan;
use crate::route::{self, UNMATCHED};
use crate::trace::TraceContext;
use gatelens_model::{Message, OmissionReason};
use gatelens_redact::Hits;
use gatelens_redact::capture::{Bodies, CapturedBody, ObservedBody};

/// What a finished exchange is to be told apart by, so that one seen by the filter and by the access logger of the same
/// counters counts once: its duration in nanoseconds, its size and its client.
///
/// Filter and logger see it right after one another, so only neighbours on one worker could ever be mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    duration_ns: u64,
    response_bytes: u64,
    client: u64,
}

/// Code details of a stream whose redirect Envoy follows by itself. It begins another in its place, with the same start,
/// which ends as the client sees it; the two are one request.
const FOLLOWED: &[u8] = b"internal_redirect";

/// Code details of a response as the upstream gave it.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// A finished exchange, with everything that was read of it.
#[derive(Debug)]
pub struct Exchange {
    attributes: Attributes,
    status: Option<u64>,
    details: Cow<'static, [u8]>,
    headers: Pairs,
    response_headers: Pairs,
    route_name: Vec<u8>,
    grpc_status: Option<u64>,
}

impl Exchange {
    /// Reads what a plan needs of the exchange whose end the host reports.
    pub fn read(host: &impl Host, plan: &Plan) -> Self {
        let route_name = if plan.use_route_name { host.property(&["xds", "route_name"]) } else { None };
        let headers = host.request_headers();
        let keeps_response_headers = plan.capture.keeps_headers(Message::Response);
        let response_headers =
            if keeps_response_headers { host.response_headers() } else { Pairs::default() };
        // Envoy infers a gRPC status for any response, so only the request says whether there is one.
        let grpc_status = if is_grpc(&headers) { host.property(&["response", "grpc_status"]) } else { None };
        let attributes = host.attributes();
        let status = status(&response_headers).or_else(|| {
            u64::try_from(i64::from_le_bytes(host.attribute(Attribute::ResponseCode)?.try_into().ok()?)).ok()
        });
        let details = if is_plain_success(status, &attributes) {
            Cow::Borrowed(VIA_UPSTREAM)
        } else {
            Cow::Owned(host.attribute(Attribute::ResponseCodeDetails).unwrap_or_default())
        };
        Self {
            attributes,
            status,
            details,
            headers,
            response_headers,
            route_name: route_name.unwrap_or_default(),
            grpc_status: grpc_status
                .and_then(|bytes| u64::try_from(i64::from_le_bytes(bytes.try_into().ok()?)).ok()),
        }
    }

    /// What tells it apart from others.
    pub fn mark(&self) -> Option<Mark> {
        Some(Mark {
            duration_ns: self.attributes.unsigned(Attribute::RequestDuration)?,
            response_bytes: self.attributes.unsigned(Attribute::ResponseSize)?,
            client: fnv1a([self.attributes.bytes(Attribute::SourceAddress)?]),
        })
    }

    /// Works out what is counted and logged, redacts it, and hands it to `record`; not for the part of a request that
    /// another stream goes on with. `bodies` is what a filter has collected of them.
    pub fn observe(
        &self,
        plan: &Plan,
        bodies: Bodies,
        hits: &mut Hits,
        now_ns: u64,
        record: impl FnOnce(Series<'_>, &Event<'_>),
    ) {
        let read = |attribute| self.attributes.unsigned(attribute);
        let bytes = |attribute| self.attributes.bytes(attribute).unwrap_or_default();
        let request = RequestHeaders::of(&self.headers);

        let flags = ResponseFlags(read(Attribute::ResponseFlags).unwrap_or(0));
        let status = Status::new(self.status, flags);
        let details = &*self.details;
        if details == FOLLOWED {
            return;
        }
        let error = ErrorType::new(status, flags, details);
        let method = Method::new(request.method);
        let identity = Identity::find(&plan.sources, &self.headers);
        let mut measurement = Measurement {
            duration_ns: read(Attribute::RequestDuration).unwrap_or(0),
            upstream_ns: read(Attribute::UpstreamLatency),
            gateway_ns: None,
            request_bytes: read(Attribute::RequestSize).unwrap_or(0),
            response_bytes: read(Attribute::ResponseSize).unwrap_or(0),
            attempts: read(Attribute::Attempts).unwrap_or(0),
        };
        let origin = if request.is_redirected { Origin::Redirect } else { Origin::Client };
        measurement.gateway_ns = overhead::gateway_ns(&measurement, status, flags, origin);
        let redactor = &plan.redactor;
        let (path, query) = split_query(request.path);
        let redacted_path = redactor.path(path, hits);
        let mut route = self.route(plan, method, path, status);
        // A route leaves with the counters. Where the path has something to hide, what was made of it may have so, too.
        if let (Cow::Owned(_), Cow::Owned(inferred)) = (&redacted_path, &route) {
            let redacted = redactor.path(inferred.as_bytes(), &mut Hits::default());
            route = Cow::Owned(bounded(redacted, route::MAX_ROUTE_BYTES).into_owned());
        }
        let query = if plan.capture.query { redactor.query(query, hits) } else { Cow::default() };
        let user_agent = redactor.header(b"user-agent", request.user_agent, hits);
        let request_id = redactor.header(b"x-request-id", request.request_id, hits);
        let request_headers = kept_headers(plan, Message::Request, &self.headers, hits);
        let response_headers = kept_headers(plan, Message::Response, &self.response_headers, hits);
        let later = (status == Status(101)).then_some(OmissionReason::Upgrade);
        let request_body =
            captured(plan, Message::Request, bodies.request, measurement.request_bytes, later, hits);
        let later = (request.method == b"CONNECT").then_some(OmissionReason::Upgrade);
        let response_body =
            captured(plan, Message::Response, bodies.response, measurement.response_bytes, later, hits);
        let (client_address, client_port) = split_port(bytes(Attribute::SourceAddress));
        let mut flag_names = String::new();
        flags.write_names(&mut flag_names);
        let unknown_method = if method == Method::OTHER { request.method } else { b"" };

        let event = Event {
            // The stream has ended a moment ago.
            start_ns: now_ns.saturating_sub(measurement.duration_ns),
            consumer: &identity.id,
            consumer_trusted: identity.trusted,
            method,
            method_original: &bounded_text(unknown_method, MAX_WORD_BYTES),
            route: &route,
            path: &bounded(redacted_path, MAX_PATH_BYTES),
            query: &bounded(query, MAX_QUERY_BYTES),
            status,
            grpc_status: self.grpc_status,
            error,
            measurement,
            client_address: &bounded_text(client_address, MAX_WORD_BYTES),
            client_port,
            user_agent: &bounded(user_agent, MAX_USER_AGENT_BYTES),
            request_id: &bounded(request_id, MAX_WORD_BYTES),
            response_flags: &flag_names,
            response_code_details: &bounded_text(details, MAX_WORD_BYTES),
            trace: TraceContext::parse(request.traceparent),
            request_headers: &request_headers,
            response_headers: &response_headers,
            request_body: request_body.as_ref(),
            response_body: response_body.as_ref(),
        };
        let consumer = if plan.count_consumers { event.consumer } else { crate::consumer::ANONYMOUS };
        let (consumer, route) = (Dimension::Value(consumer), Dimension::Value(&route));
        record(Series::Exact { consumer, method, route, status, error }, &event);
    }

    fn route<'a>(&'a self, plan: &'a Plan, method: Method, path: &[u8], status: Status) -> Cow<'a, str> {
        if self.headers.is_empty() {
            return UNMATCHED.into();
        }
        if let Some(template) = plan.templates.find(method, path) {
            return template.into();
        }
        if plan.use_route_name && !self.route_name.is_empty() {
            return bounded_text(&self.route_name, route::MAX_ROUTE_BYTES);
        }
        if !plan.infer_routes || status == Status(404) {
            return UNMATCHED.into();
        }
        let mut inferred = String::with_capacity(path.len().saturating_add(16).min(route::MAX_ROUTE_BYTES));
        route::infer(path, &mut inferred);
        inferred.into()
    }
}

/// The request headers that every exchange is asked for; empty when absent.
#[derive(Clone, Copy, Debug, Default)]
struct RequestHeaders<'a> {
    method: &'a [u8],
    path: &'a [u8],
    user_agent: &'a [u8],
    request_id: &'a [u8],
    traceparent: &'a [u8],
    /// Envoy followed a redirect by itself, and this is the request after it.
    is_redirected: bool,
}

impl<'a> RequestHeaders<'a> {
    /// Of a repeated header the first value counts.
    fn of(headers: &'a Pairs) -> Self {
        let mut found = Self::default();
        let mut original_path: &[u8] = b"";
        for (name, value) in headers.iter() {
            let field = match name {
                b":method" => &mut found.method,
                b":path" => &mut found.path,
                b"x-envoy-original-path" => &mut original_path,
                b"x-envoy-original-url" => {
                    found.is_redirected = true;
                    continue;
                }
                b"user-agent" => &mut found.user_agent,
                b"x-request-id" => &mut found.request_id,
                b"traceparent" => &mut found.traceparent,
                _ => continue,
            };
            if field.is_empty() {
                *field = value;
            }
        }
        // A route that rewrites the path leaves the one that the client asked for in a header.
        if !original_path.is_empty() {
            found.path = original_path;
        }
        found
    }
}

/// The path of a request target and its query without the `?`.
fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The headers of a message that the plan keeps, redacted; in the order of their names.
fn kept_headers<'a>(plan: &Plan, message: Message, headers: &'a Pairs, hits: &mut Hits) -> Vec<Header<'a>> {
    let mut kept = Vec::new();
    if !plan.capture.keeps_headers(message) {
        return kept;
    }
    let mut room = MAX_HEADERS_BYTES;
    for (name, value) in headers.iter() {
        let Some(name) = plan.capture.header_name(message, name) else { continue };
        let value = bounded(plan.redactor.header(name, value, hits), MAX_HEADER_BYTES);
        let mut name = bounded_text(name, MAX_WORD_BYTES);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name = name.to_ascii_lowercase().into();
        }
        let Some(rest) = room.checked_sub(name.len().saturating_add(value.len())) else { break };
        room = rest;
        kept.push((name, value));
    }
    kept.sort_by(|(a, _), (b, _)| a.cmp(b));
    kept
}

/// What the log keeps of a body of `measured` bytes; `None` where such bodies are not captured. `later` is what became
/// known of it since it began.
fn captured(
    plan: &Plan,
    message: Message,
    passed: Option<ObservedBody>,
    measured: u64,
    later: Option<OmissionReason>,
    hits: &mut Hits,
) -> Option<CapturedBody> {
    if !plan.capture.takes_bodies(message) {
        return None;
    }
    // Without callbacks for bodies nothing passes, though something was there.
    let passed = passed.filter(|passed| passed.capture.size() > 0 || measured == 0);
    Some(match passed {
        None => {
            let reason = if measured == 0 { OmissionReason::NoBody } else { OmissionReason::NotSeen };
            CapturedBody { size: measured, content: Err(reason) }
        }
        Some(ObservedBody { mut capture, end }) => {
            later.into_iter().for_each(|reason| capture.omit(reason));
            capture.finish(end, &plan.redactor, hits)
        }
    })
}

/// The status that a response has among its headers.
fn status(response_headers: &Pairs) -> Option<u64> {
    let (_, value) = response_headers.iter().find(|(name, _)| *name == b":status")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether it goes without saying that a response came from the upstream: one did answer, nothing was amiss, and Envoy
/// does not follow such a response by itself as it may a redirect.
fn is_plain_success(status: Option<u64>, attributes: &Attributes) -> bool {
    status.is_some_and(|status| (200..300).contains(&status))
        && attributes.unsigned(Attribute::ResponseFlags) == Some(0)
        && attributes.unsigned(Attribute::UpstreamLatency).is_some()
}

/// Whether a request is gRPC: `application/grpc`, with `+proto` or another format behind it, or gRPC-Web.
fn is_grpc(headers: &Pairs) -> bool {
    let mut names = headers.iter();
    names.any(|(name, value)| name == b"content-type" && value.starts_with(b"application/grpc"))
}

/// Takes `192.0.2.7:51324` and `[2001:db8::7]:51324` apart; anything else is an address without a port.
fn split_port(address: &[u8]) -> (&[u8], Option<u16>) {
    let colon = address.iter().rposition(|byte| *byte == b':');
    let parts = colon.and_then(|colon| {
        let port = std::str::from_utf8(address.get(colon.saturating_add(1)..)?).ok()?.parse().ok()?;
        let host = address.get(..colon)?;
        match host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")) {
            Some(v6) => Some((v6, port)),
            None if host.contains(&b':') => None,
            None => Some((host, port)),
        }
    });
    parts.map_or((address, None), |(host, port)| (host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::split_port;

    #[test]
    fn addresses_are_taken_apart() {
        let check = |address: &str, host: &str, port: Option<u16>| {
            assert_eq!(split_port(address.as_bytes()), (host.as_bytes(), port), "{address}");
        };
        check("192.0.2.7:51324", "192.0.2.7", Some(51324));
        check("[2001:db8::7]:443", "2001:db8::7", Some(443));
        check("2001:db8::7", "2001:db8::7", None);
        check("/var/run/a.sock", "/var/run/a.sock", None);
        check("", "", None);
    }
}
