//! The requests of a body, record by record, gathered by their sender.

use super::app_spans::AppSpans;
use super::attributes::gateway;
use super::budget::Budget;
use super::record::{Record, Records};
use super::resources::Resources;
use super::row::{self, Timed};
use super::weight::Kind;
use super::{Unreadable, walk};
use crate::model::{Columns, Gateway, Identity, Rejection, Rejections, RequestBatch, RequestPart, Standing};
use gatelens_model::value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::HashMap;

/// Requests of one part, which becomes a chunk: as many as a page of the log can show.
const PART_EVENTS: usize = 1_000;
/// Bytes of records after which a part ends, so that a chunk with bodies stays small, too.
const PART_BYTES: usize = 1 << 20;

/// Reads requests into parts, one or more for each sender.
struct Reader<'a, 'b> {
    identity: Option<Identity>,
    budget: &'a mut Budget<'b>,
    resources: Resources,
    parts: Vec<RequestPart>,
    senders: HashMap<Gateway, usize>,
    open: Vec<Open>,
    spans: Option<AppSpans>,
    rejected: Rejections,
}

/// The part of a sender that is not full yet, and the bytes of its records.
struct Open {
    part: usize,
    bytes: usize,
}

/// The place of a resource's sender among the open parts, or why nothing of it is stored.
type Sender = Result<usize, Rejection>;

/// Reads the records or spans of an export; `accept` decides of each when its request was, or why it is not stored. `spans` gets
/// those of applications.
pub(super) fn read(
    body: &[u8],
    (kind, spans): (Kind, Option<AppSpans>),
    identity: Option<Identity>,
    budget: &mut Budget<'_>,
    accept: impl Fn(&Record<'_>) -> Result<Timed, Rejection>,
) -> Result<RequestBatch, Unreadable> {
    let mut reader = Reader::new(identity, budget, spans);
    let mut records = Records::new();
    // The numbers of these fields are the same for log records and for spans.
    for resource in walk::all(body, 1) {
        let resource = resource?;
        let sender = reader.sender(resource)?;
        for scope in walk::all(resource, 2) {
            let scope = scope?;
            let is_ours = kind == Kind::Span && is_of_gateway(scope)?;
            for record in walk::all(scope, 2) {
                let record = record?;
                let bytes = record.len();
                let read = records.read(kind, record)?;
                // Beside the span of a request, a gateway of ours sends one of its upstream call, whose duration the request has, too.
                // A request that it also sends as a log record is stored from that.
                let is_known =
                    |span: &Record<'_>| span.is_in_log || span.span_kind == SpanKind::Client as u64;
                if is_ours && read.as_ref().is_ok_and(|span| is_known(span)) {
                    continue;
                }
                let is_kept = match read {
                    Ok(span) if !is_ours => reader.keep_span(sender, span)?,
                    _ => false,
                };
                match reader.take(sender, read, bytes, &accept)? {
                    // It is not a request, and it is kept as a span.
                    Some(Rejection::OtherSpan) if is_kept => {}
                    Some(reason) => reader.rejected.add(reason, 1),
                    None => {}
                }
            }
        }
    }
    Ok(reader.finish())
}

/// Whether the scope (field 1 of `ScopeSpans`) is that of a gateway of ours.
fn is_of_gateway(scope: &[u8]) -> Result<bool, Unreadable> {
    let Some(scope) = walk::all(scope, 1).next() else { return Ok(false) };
    let name = walk::all(scope?, 1).next().transpose()?;
    Ok(name == Some(value::SCOPE.as_bytes()))
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(identity: Option<Identity>, budget: &'a mut Budget<'b>, spans: Option<AppSpans>) -> Self {
        Self {
            identity,
            budget,
            resources: Resources::default(),
            parts: Vec::new(),
            senders: HashMap::new(),
            open: Vec::new(),
            spans,
            rejected: Rejections::default(),
        }
    }

    /// The sender of a `ResourceLogs` or a `ResourceSpans`. Its gateway is known from then on, even without requests.
    fn sender(&mut self, resource: &[u8]) -> Result<Sender, Unreadable> {
        let resource = self.resources.read(resource, self.budget)?;
        Ok(resource.map(|resource| {
            let gateway = gateway(self.identity.as_ref(), Some(&resource));
            if let Some(identity) = &mut self.identity {
                identity.see(&gateway);
            }
            if let Some(known) = self.senders.get(&gateway) {
                return *known;
            }
            let sender = self.open.len();
            self.open.push(Open { part: self.parts.len(), bytes: 0 });
            self.parts.push(RequestPart { gateway: gateway.clone(), events: Columns::default() });
            self.senders.insert(gateway, sender);
            sender
        }))
    }

    /// Keeps a span of an application. False where nothing of it is kept.
    fn keep_span(&mut self, sender: Sender, span: &Record<'_>) -> Result<bool, Unreadable> {
        let (Some(spans), Ok(sender)) = (&mut self.spans, sender) else { return Ok(false) };
        let gateway = &self.parts[self.open[sender].part].gateway;
        spans.take((sender, gateway), span, self.budget)
    }

    /// Takes in a record of so many bytes, or returns the reason against it.
    fn take(
        &mut self,
        sender: Sender,
        record: Result<&Record<'_>, Rejection>,
        bytes: usize,
        accept: impl Fn(&Record<'_>) -> Result<Timed, Rejection>,
    ) -> Result<Option<Rejection>, Unreadable> {
        let accepted = match (sender, record) {
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
            (Ok(sender), Ok(record)) => {
                self.budget.pass(record.passing)?;
                accept(record).map(|timed| (sender, record, timed))
            }
        };
        match accepted {
            Ok((sender, record, timed)) => {
                self.budget.keep(record.kept)?;
                let part = self.part(sender, bytes);
                row::put(&mut part.events, record, &part.gateway, timed)?;
                Ok(None)
            }
            Err(reason) => Ok(Some(reason)),
        }
    }

    fn finish(self) -> RequestBatch {
        let Self { identity, mut parts, spans, rejected, .. } = self;
        let spans = spans.map(AppSpans::into_parts).unwrap_or_default();
        parts.iter_mut().for_each(|part| part.events.shrink());
        RequestBatch { identity, standing: Standing::default(), parts, spans, rejected }
    }

    /// The part for the next request of a sender, whose record has so many bytes.
    fn part(&mut self, sender: usize, bytes: usize) -> &mut RequestPart {
        let Open { part, bytes: held } = &mut self.open[sender];
        if self.parts[*part].events.len() >= PART_EVENTS || *held >= PART_BYTES {
            self.parts[*part].events.shrink();
            let gateway = self.parts[*part].gateway.clone();
            *part = self.parts.len();
            *held = 0;
            self.parts.push(RequestPart { gateway, events: Columns::default() });
        }
        *held += bytes;
        &mut self.parts[*part]
    }
}
