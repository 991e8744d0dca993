//! Values read from a finished request, and facts derived from them.

use std::borrow::Cow;

use super::authority::Authority;
use super::consumer::{Identity, Label, ResponseNames, Sighting};
use super::event::bounded_text;
use super::overhead::{self, Origin};
use super::protocol::Protocol;
use super::route::{self, RouteSource, UNMATCHED};
use super::scheme::Scheme;
use super::{Foresight, RequestPlan};
use crate::counters::Measurement;
use crate::host::{HeaderMap, SoleHeader, Stream, StreamInfo};
use crate::outcome::{Ending, ErrorType, GrpcStatus, Method, ResponseFlags, Status};
use gatelens_model::Message;
use gatelens_routes::Patterns;

/// Identifies a finished request, so that a request that both a filter and an access logger of the same counters see is
/// counted once.
///
/// Filter and logger see it right after one another, so only two consecutive requests on one worker could be confused:
/// with the same duration and the same time of the upstream in nanoseconds, the same status and the same sizes. Every
/// configuration reads these values, so that a filter and a logger with different samples recognise the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    duration_ns: u64,
    upstream_ns: Option<u64>,
    response_bytes: u64,
    request_bytes: Option<u64>,
    response_code: Option<u64>,
}

/// Code details of a stream whose redirect Envoy follows by itself. Envoy then begins another stream with the same
/// start, which ends as the client sees it. The two are one request.
const FOLLOWED: &[u8] = b"internal_redirect";

/// Code details of a response as the upstream gave it.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// The values of a finished request that the host returns.
pub struct FinishedRequest<S: Stream> {
    pub(super) headers: S::Headers,
    /// Empty where [`Self::response_header`] suffices.
    response_headers: S::Headers,
    info: StreamInfo<S::Bytes>,
    code: Option<u64>,
    details: CodeDetails<S::Bytes>,
    route_name: Option<S::Bytes>,
    response_names: ResponseNames,
}

enum CodeDetails<B> {
    /// Known without a host call.
    ViaUpstream,
    /// Among the values that the host has read at once.
    WithInfo,
    Read(Option<B>),
}

/// Everything known about a request, unredacted.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The consumer.
    pub consumer: Identity<'a>,
    /// The consumer's name and group.
    pub consumer_label: Label,
    /// From the closed list.
    pub method: Method,
    /// As sent.
    pub method_original: &'a [u8],
    /// As the client asked for it, without query.
    pub path: &'a [u8],
    /// Without the `?`.
    pub query: &'a [u8],
    /// The template, the gateway's name of the route, or inferred from the path.
    pub route: Cow<'a, str>,
    /// Which of them it is.
    pub route_source: RouteSource,
    /// `:scheme`.
    pub scheme: Scheme,
    /// `:authority`, normalised.
    pub authority: Option<Authority<'a>>,
    /// The version of HTTP that the client speaks.
    pub protocol: Option<Protocol>,
    /// The cluster that the request went to, or was meant for; empty for a response of the gateway's own.
    pub upstream_cluster: &'a [u8],
    /// How it ended.
    pub status: Status,
    /// Envoy's flags.
    pub flags: ResponseFlags,
    /// Envoy's response code details.
    pub code_details: &'a [u8],
    /// Why it did not end as it should have.
    pub error: Option<ErrorType>,
    /// The status of the call, if it was one of gRPC and came to its end.
    pub grpc_status: Option<GrpcStatus>,
    /// Times and sizes.
    pub measurement: Measurement,
    /// Address of the client, without port.
    pub client_address: &'a [u8],
    /// Its port.
    pub client_port: Option<u16>,
    /// `user-agent`; empty when absent.
    pub user_agent: &'a [u8],
    /// `x-request-id`; empty when absent.
    pub request_id: &'a [u8],
    /// `traceparent`; empty when absent.
    pub traceparent: &'a [u8],
}

impl<S: Stream> FinishedRequest<S> {
    /// Reads what a plan needs of the stream whose end the host reports.
    pub fn read(host: &S, plan: &RequestPlan) -> Self {
        let route_name = if plan.use_route_name { host.route_name() } else { None };
        let headers = host.request_headers();
        let info = host.info();
        let response_headers = match needs_response_headers(plan, &info) {
            true => host.response_headers(),
            false => S::Headers::default(),
        };
        let code = status(&response_headers).or(info.response_code);
        let details = if is_plain_success(code, &info) {
            CodeDetails::ViaUpstream
        } else if info.code_details.is_some() {
            CodeDetails::WithInfo
        } else {
            CodeDetails::Read(host.code_details())
        };
        let response_names = ResponseNames::Unseen;
        Self { headers, response_headers, info, code, details, route_name, response_names }
    }

    /// Adds the response headers that a filter has removed.
    #[must_use]
    pub fn with_response_names(self, response_names: ResponseNames) -> Self {
        Self { response_names, ..self }
    }

    /// Its fingerprint; `None` if the host lacks the duration or the size of the response.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let info = &self.info;
        Some(Fingerprint {
            duration_ns: info.duration_ns?,
            upstream_ns: info.upstream_ns,
            response_bytes: info.response_bytes?,
            request_bytes: info.request_bytes,
            response_code: info.response_code,
        })
    }

    /// Derives the facts; `None` for a redirect that Envoy follows by itself, because the stream that follows is the
    /// request. The host is asked only about a gRPC call, or where a source of the consumer needs it.
    pub fn facts<'a>(
        &'a self,
        host: &'a S,
        plan: &'a RequestPlan,
        learned: Option<&Patterns>,
    ) -> Option<Facts<'a>> {
        let code_details = self.code_details();
        if code_details == FOLLOWED {
            return None;
        }
        let request = RequestHeaders::of(&self.headers);
        let flags = ResponseFlags(self.info.response_flags.unwrap_or(0));
        let status = Status::new(self.code, flags);
        let method = Method::new(request.method);
        let mut measurement = Measurement {
            duration_ns: self.info.duration_ns.unwrap_or(0),
            upstream_ns: self.info.upstream_ns,
            gateway_ns: None,
            request_bytes: self.info.request_bytes.unwrap_or(0),
            response_bytes: self.info.response_bytes.unwrap_or(0),
            attempts: self.info.attempts.unwrap_or(0),
        };
        let origin = if request.is_redirected { Origin::Redirect } else { Origin::Client };
        measurement.gateway_ns = overhead::gateway_ns(&measurement, status, flags, origin);
        let (path, query) = split_query(request.path);
        let address = self.info.client_address.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let (client_address, client_port) = split_port(address);
        let sighting =
            Sighting { host, headers: &self.headers, query, client_address, response: &self.response_names };
        let consumer = plan.consumer.identify(&sighting);
        let (route, route_source) = self.route(plan, learned, method, path, status);
        // Envoy infers a gRPC status for any response, so only the request shows whether there is one.
        let grpc_status = if request.is_grpc { host.grpc_status().map(GrpcStatus::new) } else { None };
        let ending = Ending { status, grpc_status };
        let scheme = Scheme::new(request.scheme);
        Some(Facts {
            consumer_label: plan.consumer.labels.of(&consumer.id, &sighting),
            consumer,
            method,
            method_original: request.method,
            path,
            query,
            route,
            route_source,
            scheme,
            authority: Authority::parse(request.authority, scheme),
            protocol: self.info.protocol,
            upstream_cluster: self.info.upstream_cluster.as_ref().map(AsRef::as_ref).unwrap_or_default(),
            status,
            flags,
            code_details,
            error: ErrorType::new(plan.direction, ending, flags, code_details),
            grpc_status,
            measurement,
            client_address,
            client_port,
            user_agent: request.user_agent,
            request_id: request.request_id,
            traceparent: request.traceparent,
        })
    }

    /// Reads the response headers of a report, which no filter has removed.
    #[must_use]
    pub fn with_report(self, host: &S, plan: &RequestPlan) -> Self {
        match plan.report.is_on() {
            true => self.with_response_names(ResponseNames::read(host, &plan.response_headers)),
            false => self,
        }
    }

    /// The response headers that the application wrote for the filter.
    pub(super) fn response_names(&self) -> &ResponseNames {
        &self.response_names
    }

    /// The response header that the plan names alone, if it was read by itself.
    pub(super) fn response_header<'a>(&'a self, plan: &'a RequestPlan) -> Option<(&'a [u8], &'a [u8])> {
        let name = plan.only_response_header.as_ref()?;
        Some((name.as_bytes(), lone_value(&self.info)?))
    }

    /// The response headers, if they were read.
    pub(super) fn response_headers(&self) -> &S::Headers {
        &self.response_headers
    }

    fn code_details(&self) -> &[u8] {
        let details = match &self.details {
            CodeDetails::ViaUpstream => return VIA_UPSTREAM,
            CodeDetails::WithInfo => &self.info.code_details,
            CodeDetails::Read(details) => details,
        };
        details.as_ref().map(AsRef::as_ref).unwrap_or_default()
    }

    fn route<'a>(
        &'a self,
        plan: &'a RequestPlan,
        learned: Option<&Patterns>,
        method: Method,
        path: &[u8],
        status: Status,
    ) -> (Cow<'a, str>, RouteSource) {
        if self.headers.is_empty() {
            return (UNMATCHED.into(), RouteSource::Inferred);
        }
        if let Some(template) = plan.templates.find(method, path) {
            return (template.into(), RouteSource::Template);
        }
        let route_name = self.route_name.as_ref().map(AsRef::as_ref).unwrap_or_default();
        if plan.use_route_name && !route_name.is_empty() {
            return (bounded_text(route_name, route::MAX_ROUTE_BYTES), RouteSource::RouteName);
        }
        if !plan.infer_routes || status == Status(404) {
            return (UNMATCHED.into(), RouteSource::Inferred);
        }
        let mut inferred = String::with_capacity(path.len().saturating_add(16).min(route::MAX_ROUTE_BYTES));
        match learned {
            Some(patterns) => patterns.route(path, &mut inferred),
            None => route::infer(path, &mut inferred),
        }
        (inferred.into(), RouteSource::Inferred)
    }
}

/// The request headers that are read from every request; empty when absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestHeaders<'a> {
    pub(super) method: &'a [u8],
    scheme: &'a [u8],
    authority: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) user_agent: &'a [u8],
    pub(super) request_id: &'a [u8],
    pub(super) traceparent: &'a [u8],
    /// Envoy followed a redirect by itself, and this is the request after it.
    is_redirected: bool,
    /// It is gRPC: `application/grpc`, with `+proto` or another format behind it, or gRPC-Web.
    is_grpc: bool,
}

impl<'a> RequestHeaders<'a> {
    /// Of a repeated header the first value counts.
    pub(super) fn of(headers: &'a impl HeaderMap) -> Self {
        let mut found = Self::default();
        let mut original_path: &[u8] = b"";
        for (name, value) in headers.iter() {
            // The first byte and the length leave one name to compare with, or none.
            let field = match (name.first(), name.len()) {
                (Some(b':'), 5) if name == b":path" => &mut found.path,
                (Some(b':'), 7) if name == b":method" => &mut found.method,
                (Some(b':'), 7) if name == b":scheme" => &mut found.scheme,
                (Some(b':'), 10) if name == b":authority" => &mut found.authority,
                (Some(b'c'), 12) if name == b"content-type" => {
                    found.is_grpc |= value.starts_with(b"application/grpc");
                    continue;
                }
                (Some(b't'), 11) if name == b"traceparent" => &mut found.traceparent,
                (Some(b'u'), 10) if name == b"user-agent" => &mut found.user_agent,
                (Some(b'x'), 12) if name == b"x-request-id" => &mut found.request_id,
                (Some(b'x'), 20) if name == b"x-envoy-original-url" => {
                    found.is_redirected = true;
                    continue;
                }
                (Some(b'x'), 21) if name == b"x-envoy-original-path" => &mut original_path,
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
pub(super) fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let (path, rest) = end.and_then(|end| target.split_at_checked(end)).unwrap_or((target, b""));
    match rest {
        [b'?', query @ ..] => (path, query.split(|byte| *byte == b'#').next().unwrap_or_default()),
        _ => (path, b""),
    }
}

/// Whether the map of response headers must be read. It costs as much as four other values.
fn needs_response_headers<B: AsRef<[u8]>>(plan: &RequestPlan, info: &StreamInfo<B>) -> bool {
    // Only the log needs them, and there may be none.
    plan.capture.keeps_headers(Message::Response)
        && plan.selection.foresight() != Foresight::Always
        && !(plan.only_response_header.is_some()
            && (matches!(info.response_header, SoleHeader::Absent) || lone_value(info).is_some()))
}

/// The value of the response header that the host has read, if it is certain that there is exactly one value. An empty one
/// can be absent, and between several there are commas.
fn lone_value<B: AsRef<[u8]>>(info: &StreamInfo<B>) -> Option<&[u8]> {
    let SoleHeader::Values(value) = &info.response_header else { return None };
    let value = value.as_ref();
    (!value.is_empty() && !value.contains(&b',')).then_some(value)
}

/// The status in the headers of a response.
fn status(response_headers: &impl HeaderMap) -> Option<u64> {
    let (_, value) = response_headers.iter().find(|(name, _)| *name == b":status")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether the code details are known to be `via_upstream` without a host call: the upstream did respond, no flag is
/// set, and Envoy never follows a 2xx itself, as it may follow a redirect.
fn is_plain_success<B>(code: Option<u64>, info: &StreamInfo<B>) -> bool {
    code.is_some_and(|code| (200..300).contains(&code))
        && info.response_flags == Some(0)
        && info.upstream_ns.is_some()
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
    use super::{split_port, split_query};

    #[test]
    fn targets_are_taken_apart() {
        let check = |target: &str, path: &str, query: &str| {
            assert_eq!(split_query(target.as_bytes()), (path.as_bytes(), query.as_bytes()), "{target}");
        };
        check("/a", "/a", "");
        check("/a?b=1?c", "/a", "b=1?c");
        check("/a?b#c?d#e", "/a", "b");
        check("/a#b?c", "/a", "");
        check("/a?#", "/a", "");
        check("?#a", "", "");
        check("", "", "");
    }

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
