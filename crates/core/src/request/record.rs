//! From facts to a series and an event, redacted.

use std::borrow::Cow;

use super::RequestPlan;
use super::authority::MAX_HOST_BYTES;
use super::consumer::ANONYMOUS;
use super::event::{
    Event, Header, MAX_HEADER_BYTES, MAX_HEADERS_BYTES, MAX_PATH_BYTES, MAX_QUERY_BYTES,
    MAX_USER_AGENT_BYTES, MAX_WORD_BYTES, bounded, bounded_text,
};
use super::few::Few;
use super::report::Reported;
use super::route;
use super::trace::TraceContext;
use super::{Capturing, Counting, Decision, Facts, FinishedRequest, Logging};
use crate::config::Direction;
use crate::counters::{Dimension, Dimensions, Series};
use crate::host::{HeaderMap, Stream};
use crate::outcome::{Method, Status};
use gatelens_model::{Message, OmissionReason, order};
use gatelens_redact::Hits;
use gatelens_redact::capture::{Bodies, CapturedBody, ObservedBody, Redaction, WaitingBody};

/// Inputs of the recording other than the request.
#[derive(Debug)]
pub struct Context<'a> {
    /// The configuration in force.
    pub plan: &'a RequestPlan,
    /// Matches of its rules are added here.
    pub hits: &'a mut Hits,
    /// The time at which the stream ended, nanoseconds since the Unix epoch.
    pub now_ns: u64,
    /// Larger bodies are not redacted, but handed on, bytes.
    pub at_once: usize,
}

/// The bodies of request and response for which an event waits.
pub(crate) type Waiting = [Option<WaitingBody>; 2];

impl<S: Stream> FinishedRequest<S> {
    /// Redacts what the decision needs and hands it to `write`: the series that the request adds to, and its event, with the
    /// bodies that it lacks because they are redacted later.
    /// `bodies` are those that a filter has collected. Parts that are not logged are not redacted and hit no rule.
    pub fn record(
        &self,
        facts: &Facts<'_>,
        decision: Decision,
        bodies: Bodies,
        context: Context<'_>,
        write: impl FnOnce(Option<Series<'_>>, Option<&Event<'_>>, Waiting),
    ) {
        let Context { plan, hits, now_ns, at_once } = context;
        let mut unlogged = Hits::default();
        let is_logged = matches!(decision.log, Logging::Logged { .. });
        let path = match &facts.route {
            // Neither the log nor the route needs the path.
            Cow::Borrowed(_) if !is_logged => Cow::Borrowed(facts.path),
            _ => plan.redactor.path(facts.path, if is_logged { &mut *hits } else { &mut unlogged }),
        };
        let route = redacted_route(plan, facts, &path);
        let (host, cluster) = (counted_host(plan, facts), counted_cluster(plan, facts));
        let series = match decision.count {
            Counting::Counted => Some(series(plan, facts, &route, &host, &cluster)),
            Counting::Excluded => None,
        };
        match decision.log {
            Logging::Logged { capture, weight } => {
                let mut waiting = [None, None];
                let mut context = Context { plan, hits, now_ns, at_once };
                let bodies = match capture {
                    Capturing::Bodies => captured_bodies(facts, bodies, &mut context, &mut waiting),
                    Capturing::NoBodies => [None, None],
                };
                let parts = Parts { weight, path, route: &route, bodies };
                self.with_event(facts, parts, context, |event| write(series, Some(event), waiting));
            }
            Logging::Skipped(_) => write(series, None, [None, None]),
        }
    }

    fn with_event(
        &self,
        facts: &Facts<'_>,
        parts: Parts<'_>,
        context: Context<'_>,
        write: impl FnOnce(&Event<'_>),
    ) {
        let Parts { weight, path, route, bodies: [request_body, response_body] } = parts;
        let Context { plan, hits, now_ns, .. } = context;
        let redactor = &plan.redactor;
        let query = if plan.capture.query { redactor.query(facts.query, hits) } else { Cow::default() };
        let user_agent = redactor.header(b"user-agent", facts.user_agent, hits);
        let request_id = redactor.header(b"x-request-id", facts.request_id, hits);
        let server_address = server_address(plan, facts, hits);
        let reported = match plan.report.is_on() {
            true => plan.report.read(&plan.response_headers, self.response_names(), redactor, hits),
            false => Reported::default(),
        };
        let mut flag_names = String::new();
        facts.flags.write_names(&mut flag_names);
        let (client_address, client_port) = match plan.consumer.hides_client_address {
            true => (&[][..], None),
            false => (facts.client_address, facts.client_port),
        };
        let unknown_method = if facts.method == Method::OTHER { facts.method_original } else { b"" };
        write(&Event {
            // The stream has ended a moment ago.
            start_ns: now_ns.saturating_sub(facts.measurement.duration_ns),
            weight,
            consumer: &facts.consumer.id,
            consumer_trusted: facts.consumer.trusted,
            consumer_name: &facts.consumer_label.name,
            consumer_group: &facts.consumer_label.group,
            method: facts.method,
            method_original: &bounded_text(unknown_method, MAX_WORD_BYTES),
            direction: plan.direction,
            scheme: facts.scheme,
            server_address: &server_address,
            server_port: server_port(plan, facts),
            protocol: facts.protocol,
            upstream_cluster: &bounded_text(facts.upstream_cluster, MAX_WORD_BYTES),
            route,
            route_source: facts.route_source,
            path: &bounded(path, MAX_PATH_BYTES),
            query: &bounded(query, MAX_QUERY_BYTES),
            status: facts.status,
            grpc_status: facts.grpc_status,
            error: facts.error,
            measurement: facts.measurement,
            client_address: &bounded_text(client_address, MAX_WORD_BYTES),
            client_port,
            user_agent: &bounded(user_agent, MAX_USER_AGENT_BYTES),
            request_id: &bounded(request_id, MAX_WORD_BYTES),
            response_flags: &flag_names,
            response_code_details: &bounded_text(facts.code_details, MAX_WORD_BYTES),
            reported_error: &reported.error,
            reported_tags: &reported.tags,
            trace: TraceContext::parse(facts.traceparent),
            spans: None,
            request_headers: &kept_headers(plan, Message::Request, self.headers.iter(), hits),
            response_headers: &match self.response_header(plan) {
                Some(only) => kept_headers(plan, Message::Response, std::iter::once(only), hits),
                None => kept_headers(plan, Message::Response, self.response_headers().iter(), hits),
            },
            request_body: request_body.as_ref(),
            response_body: response_body.as_ref(),
        });
    }
}

/// The parts of an event that are known when its headers are not redacted yet.
struct Parts<'a> {
    weight: f64,
    path: Cow<'a, [u8]>,
    route: &'a str,
    bodies: [Option<CapturedBody>; 2],
}

/// Routes leave with the counters. Where the path has a secret, a route that was inferred from it may have one, too.
fn redacted_route<'a>(plan: &RequestPlan, facts: &'a Facts<'_>, redacted_path: &[u8]) -> Cow<'a, str> {
    match &facts.route {
        Cow::Owned(inferred) if redacted_path != facts.path => {
            let redacted = plan.redactor.path(inferred.as_bytes(), &mut Hits::default());
            Cow::Owned(bounded(redacted, route::MAX_ROUTE_BYTES).into_owned())
        }
        route => Cow::Borrowed(route),
    }
}

fn series<'a>(
    plan: &RequestPlan,
    facts: &'a Facts<'_>,
    route: &'a str,
    host: &'a str,
    upstream_cluster: &'a str,
) -> Series<'a> {
    let consumer = if plan.count_consumers { &facts.consumer.id } else { ANONYMOUS };
    let optional = |text: &'a str| if text.is_empty() { None } else { Some(Dimension::Value(text)) };
    Series::Exact(Dimensions {
        consumer: Dimension::Value(consumer),
        method: facts.method,
        scheme: facts.scheme,
        route: Dimension::Value(route),
        route_source: facts.route_source,
        status: facts.status,
        grpc_status: facts.grpc_status,
        error: facts.error,
        host: optional(host),
        upstream_cluster: optional(upstream_cluster),
    })
}

/// Host and port for a series, as [`Authority::of_series`] writes them; empty where series do not tell hosts apart.
fn counted_host<'a>(plan: &RequestPlan, facts: &'a Facts<'_>) -> Cow<'a, str> {
    let Some(authority) = facts.authority.as_ref().filter(|_| plan.count_hosts) else {
        return Cow::default();
    };
    // A host that the log masks is masked in the counts, too. It hits no rule a second time.
    let host = plan.redactor.header(b"host", authority.host.as_bytes(), &mut Hits::default());
    authority.of_series(bounded(host, MAX_HOST_BYTES))
}

/// The cluster for a series; empty where series do not tell clusters apart.
fn counted_cluster<'a>(plan: &RequestPlan, facts: &'a Facts<'_>) -> Cow<'a, str> {
    if !plan.count_upstreams {
        return Cow::default();
    }
    bounded_text(facts.upstream_cluster, MAX_WORD_BYTES)
}

/// The host that the client asked for, redacted as the header `host`: so rules name `:authority`, too.
fn server_address<'a>(plan: &RequestPlan, facts: &'a Facts<'_>, hits: &mut Hits) -> Cow<'a, str> {
    let Some(authority) = &facts.authority else { return Cow::default() };
    // Where the log keeps the header, too, its rules are hit there.
    let is_kept = plan.capture.header_name(Message::Request, b":authority").is_some();
    let mut uncounted = Hits::default();
    let hits = if is_kept { &mut uncounted } else { hits };
    bounded(plan.redactor.header(b"host", authority.host.as_bytes(), hits), MAX_HOST_BYTES)
}

/// Outbound the conventions require the port; inbound it is noted where the scheme does not tell it.
fn server_port(plan: &RequestPlan, facts: &Facts<'_>) -> Option<u16> {
    let authority = facts.authority.as_ref()?;
    let is_needed = plan.direction == Direction::Outbound || !authority.is_default_port;
    authority.port.filter(|_| is_needed)
}

/// The headers of a message that the plan keeps, redacted; in the order of their names.
fn kept_headers<'a>(
    plan: &RequestPlan,
    message: Message,
    headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    hits: &mut Hits,
) -> Few<Header<'a>> {
    let mut kept = Few::default();
    if !plan.capture.keeps_headers(message) {
        return kept;
    }
    let mut room = MAX_HEADERS_BYTES;
    for (name, value) in headers {
        let Some(name) = plan.capture.header_name(message, name) else { continue };
        if message == Message::Response && plan.is_read_header(name) {
            continue;
        }
        let value = bounded(plan.redactor.header(name, value, hits), MAX_HEADER_BYTES);
        let mut name = bounded_text(name, MAX_WORD_BYTES);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name = name.to_ascii_lowercase().into();
        }
        let Some(rest) = room.checked_sub(name.len().saturating_add(value.len())) else { break };
        room = rest;
        kept.push((name, value));
    }
    order::sort_by(kept.as_mut_slice(), |(a, _), (b, _)| a.cmp(b));
    kept
}

/// Both bodies as the log keeps them; `None`, too, for one that is put into `waiting`. A body before an upgrade, or after a
/// CONNECT, belongs to no message.
fn captured_bodies(
    facts: &Facts<'_>,
    bodies: Bodies,
    context: &mut Context<'_>,
    waiting: &mut Waiting,
) -> [Option<CapturedBody>; 2] {
    let [of_request, of_response] = waiting;
    let upgraded = (facts.status == Status(101)).then_some(OmissionReason::Upgrade);
    let tunnelled = (facts.method_original == b"CONNECT").then_some(OmissionReason::Upgrade);
    let keep = |redaction, waiting: &mut Option<WaitingBody>| match redaction {
        Some(Redaction::Done(body)) => Some(body),
        Some(Redaction::Waiting(body)) => {
            *waiting = Some(body);
            None
        }
        None => None,
    };
    let measurement = &facts.measurement;
    let request = captured(Message::Request, bodies.request, measurement.request_bytes, upgraded, context);
    let response =
        captured(Message::Response, bodies.response, measurement.response_bytes, tunnelled, context);
    [keep(request, of_request), keep(response, of_response)]
}

/// The logged form of a body of `measured` bytes; `None` where such bodies are not captured. `later` is a
/// reason for its omission that became known since it began.
fn captured(
    message: Message,
    passed: Option<ObservedBody>,
    measured: u64,
    later: Option<OmissionReason>,
    context: &mut Context<'_>,
) -> Option<Redaction> {
    let Context { plan, hits, at_once, .. } = context;
    if !plan.capture.takes_bodies(message) {
        return None;
    }
    // Without the body callbacks the filter sees no body, although there was one.
    let passed = passed.filter(|passed| passed.capture.size() > 0 || measured == 0);
    Some(match passed {
        None => {
            let reason = if measured == 0 { OmissionReason::NoBody } else { OmissionReason::NotSeen };
            Redaction::Done(CapturedBody { size: measured, content: Err(reason) })
        }
        Some(ObservedBody { mut capture, end }) => {
            later.into_iter().for_each(|reason| capture.omit(reason));
            capture.begin_redaction(end, *at_once, &plan.redactor, hits)
        }
    })
}
