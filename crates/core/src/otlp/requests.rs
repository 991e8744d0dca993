//! The request log as OTLP log records, or as spans.
//!
//! Both have the same attributes, and the same numbers of the fields around a record.

use gatelens_model::{attribute, value, varint};

use super::proto::Message;
use super::{Resource, SCHEMA_URL, encode_scope};
use crate::config::Direction;
use crate::request::event::{Event, Header};
use crate::request::trace::SpanIds;
use crate::shared::sequence::Signal;
use gatelens_model::OmissionReason;
use gatelens_redact::capture::CapturedBody;

/// Attributes with the bodies of requests and of responses.
pub(super) const CONTENT: [&str; 2] = [attribute::REQUEST_BODY, attribute::RESPONSE_BODY];

/// Attributes with the omission reason of a body.
pub(super) const OMITTED: [&str; 2] = [attribute::REQUEST_BODY_OMITTED, attribute::RESPONSE_BODY_OMITTED];

const SEVERITY_INFO: u64 = 9;
const SEVERITY_ERROR: u64 = 17;
const KIND_SERVER: u64 = 2;
const KIND_CLIENT: u64 = 3;
/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;

/// An attribute up to its value, encoded when the filter is compiled, without its tag and its lengths.
macro_rules! key {
    ($name:expr) => {{
        const KEY: [u8; $name.len() + 8] = encoded_key($name);
        &KEY
    }};
}

/// A place in encoded records that helps their compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Bytes before it.
    pub at: u32,
    /// Number of bytes from there on that hardly ever repeat others; 0 where an attribute begins, which is likely to begin like
    /// one before.
    pub unique: u32,
}

/// Attributes are marked in the records that begin in the first bytes of each stretch of a portion: a table that knows them from one
/// record finds them for as long as that record is in the window.
const MARKED_STRETCH: usize = 4_096;

/// See [`MARKED_STRETCH`].
const MARKED_BEGIN: usize = 1_024;

/// The form in which a receiver gets a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordForm {
    /// A log record.
    Log,
    /// The gateway's span, and that of its upstream call.
    Span,
    /// The same for a receiver that gets the log record, too: bodies are in that one, and an attribute names it.
    SpanBesideLog,
}

impl RecordForm {
    /// Whether requests are spans.
    pub fn is_span(self) -> bool {
        self != Self::Log
    }

    /// The signal that carries it.
    pub fn signal(self) -> Signal {
        if self.is_span() { Signal::Traces } else { Signal::Logs }
    }

    /// Whether an event is sent in this form: a span needs identifiers.
    pub fn takes(self, event: &Event<'_>) -> bool {
        !self.is_span() || event.spans.is_some()
    }

    /// The bodies of a request that a record in this form has.
    pub fn bodies(self, bodies: [Option<&CapturedBody>; 2]) -> [Option<&CapturedBody>; 2] {
        if self == Self::SpanBesideLog { [None, None] } else { bodies }
    }

    /// The span that stands for an event in this form.
    fn span(self, event: &Event<'_>) -> Option<SpanIds> {
        event.spans.filter(|_| self.is_span())
    }
}

/// Writes one event as `log_records` (field 2 of `ScopeLogs`), or as `spans` (field 2 of `ScopeSpans`). Adds marks of it to `marks`.
pub fn encode_record(event: &Event<'_>, form: RecordForm, out: &mut Vec<u8>, marks: &mut Vec<Mark>) {
    let begin = out.len();
    // Nearly all records are 128 to 16,383 bytes long, so their length takes two bytes.
    out.extend_from_slice(&[RECORD, 0, 0]);
    let start = out.len();
    encode_content(event, &mut Record::new(form, out, marks));
    end_record(out, begin, start);
    encode_upstream_span(event, form, out);
}

/// A record that lacks bodies, for [`encode_late_record`].
#[derive(Debug)]
pub struct Draft {
    content: Vec<u8>,
    form: RecordForm,
    /// What stands beside it: the span of the upstream call.
    beside: Vec<u8>,
}

impl Draft {
    /// See [`RecordForm::bodies`].
    pub fn bodies<'b>(&self, bodies: [Option<&'b CapturedBody>; 2]) -> [Option<&'b CapturedBody>; 2] {
        self.form.bodies(bodies)
    }
}

/// The content of a record that lacks bodies.
pub fn encode_draft(event: &Event<'_>, form: RecordForm) -> Draft {
    let (mut content, mut marks, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    encode_content(event, &mut Record::new(form, &mut content, &mut marks));
    encode_upstream_span(event, form, &mut beside);
    Draft { content, form, beside }
}

/// Writes a record from its draft and those of the bodies that it lacks that are in its form: see [`Draft::bodies`]. The fields of a
/// message may stand in any order.
pub fn encode_late_record(
    draft: &Draft,
    bodies: [Option<&CapturedBody>; 2],
    out: &mut Vec<u8>,
    marks: &mut Vec<Mark>,
) {
    let begin = out.len();
    out.extend_from_slice(&[RECORD, 0, 0]);
    let start = out.len();
    let mut record = Record::new(draft.form, out, marks);
    record.mark();
    record.out.extend_from_slice(&draft.content);
    record.bodies(bodies);
    end_record(out, begin, start);
    out.extend_from_slice(&draft.beside);
}

fn encode_content(event: &Event<'_>, record: &mut Record<'_>) {
    let status = event.status;
    record.mark();
    match record.form.span(event) {
        Some(ids) => record.span_head(event, ids),
        None => {
            record.time(1, event.start_ns);
            record.out.varint(2, if event.ending().is_error() { SEVERITY_ERROR } else { SEVERITY_INFO });
        }
    }
    record.string(key!(attribute::CONSUMER_ID), event.consumer);
    if event.consumer_trusted {
        record.mark();
        record.out.flag_attribute(record.attributes.into(), attribute::CONSUMER_TRUSTED);
    }
    record.text(key!(attribute::CONSUMER_NAME), event.consumer_name);
    record.text(key!(attribute::CONSUMER_GROUP), event.consumer_group);
    record.string(key!(attribute::METHOD), event.method.name());
    record.text(key!(attribute::METHOD_ORIGINAL), event.method_original);
    if let Some(scheme) = event.scheme.name() {
        record.string(key!(attribute::URL_SCHEME), scheme);
    }
    record.text(key!(attribute::SERVER_ADDRESS), event.server_address);
    if let Some(port) = event.server_port {
        record.int(key!(attribute::SERVER_PORT), u64::from(port));
    }
    if let Some(protocol) = event.protocol {
        record.string(key!(attribute::PROTOCOL_VERSION), protocol.version());
    }
    record.text(key!(attribute::UPSTREAM_CLUSTER), event.upstream_cluster);
    match event.direction {
        Direction::Inbound => record.string(key!(attribute::ROUTE), event.route),
        Direction::Outbound => record.string(key!(attribute::URL_TEMPLATE), event.route),
    }
    if let Some(source) = event.route_source.name() {
        record.string(key!(attribute::ROUTE_SOURCE), source);
    }
    record.text(key!(attribute::URL_PATH), event.path);
    record.text(key!(attribute::URL_QUERY), event.query);
    if let Some(code) = status.code() {
        record.int(key!(attribute::STATUS_CODE), u64::from(code));
    }
    if let Some(status) = event.grpc_status {
        record.string(key!(attribute::RPC_STATUS_CODE), status.name());
    }
    if let Some(error) = event.error {
        record.string(key!(attribute::ERROR_TYPE), &error.name(event.ending()));
    }
    record.unique_int(key!(attribute::DURATION_NS), event.measurement.duration_ns);
    if let Some(upstream_ns) = event.measurement.upstream_ns {
        record.unique_int(key!(attribute::UPSTREAM_DURATION_NS), upstream_ns);
    }
    record.int(key!(attribute::REQUEST_BODY_SIZE), event.measurement.request_bytes);
    record.int(key!(attribute::RESPONSE_BODY_SIZE), event.measurement.response_bytes);
    record.text(key!(attribute::CLIENT_ADDRESS), event.client_address);
    if let Some(port) = event.client_port {
        record.int(key!(attribute::CLIENT_PORT), u64::from(port));
    }
    record.text(key!(attribute::USER_AGENT), event.user_agent);
    if event.measurement.attempts != 1 {
        record.int(key!(attribute::ATTEMPTS), event.measurement.attempts);
    }
    if event.measurement.attempts > 1 {
        record.int(key!(attribute::RESEND_COUNT), event.measurement.attempts.saturating_sub(1));
    }
    if event.weight > 1.0 {
        record.mark();
        record.out.double_attribute(record.attributes.into(), attribute::SAMPLE_WEIGHT, event.weight);
    }
    record.unique_text(key!(attribute::REQUEST_ID), event.request_id);
    record.text(key!(attribute::RESPONSE_FLAGS), event.response_flags);
    record.text(key!(attribute::RESPONSE_CODE_DETAILS), event.response_code_details);
    record.text(key!(attribute::REPORTED_ERROR), event.reported_error);
    record.text(key!(attribute::REPORTED_TAGS), event.reported_tags);
    record.headers(attribute::REQUEST_HEADER, event.request_headers);
    record.headers(attribute::RESPONSE_HEADER, event.response_headers);
    record.bodies(record.form.bodies([event.request_body, event.response_body]));
    record.mark();
    if record.form == RecordForm::SpanBesideLog {
        record.out.flag_attribute(record.attributes.into(), attribute::IN_LOG);
    }
    if record.form.is_span() {
        return;
    }
    if let Some((trace, span)) = context_of(event) {
        record.out.fixed32(8, flags(event));
        record.id(9, &trace);
        record.id(10, &span);
    }
    record.time(11, event.start_ns.saturating_add(event.measurement.duration_ns));
    record.mark();
    record.out.string(12, value::EVENT_NAME);
}

/// The trace and the span that a log record names: the request's own span where it has one, else its caller's.
fn context_of(event: &Event<'_>) -> Option<([u8; 16], [u8; 8])> {
    let own = event.spans.map(|ids| (ids.trace, ids.gateway));
    own.or_else(|| event.trace.map(|caller| (caller.trace_id, caller.span_id)))
}

/// The flags of the trace: one that begins here is sampled.
fn flags(event: &Event<'_>) -> u32 {
    event.trace.map_or(1, |caller| caller.flags).into()
}

/// Writes the upstream call of an event that is sent as spans, where the upstream answered. Envoy's duration of the call ends with
/// the response; its beginning is that much earlier.
fn encode_upstream_span(event: &Event<'_>, form: RecordForm, out: &mut Vec<u8>) {
    let (Some(ids), Some(upstream_ns)) = (form.span(event), event.measurement.upstream_ns) else { return };
    let upstream_ns = upstream_ns.min(event.measurement.duration_ns);
    let before_ns = event.measurement.duration_ns.saturating_sub(upstream_ns);
    out.nested(2, |out| {
        put_ids(out, event, ids.trace, ids.upstream, Some(&ids.gateway));
        out.string(5, event.method.name());
        out.varint(6, KIND_CLIENT);
        put_times(out, event.start_ns.saturating_add(before_ns), upstream_ns);
        out.string_attribute(9, attribute::METHOD, event.method.name());
        if !event.upstream_cluster.is_empty() {
            out.string_attribute(9, attribute::UPSTREAM_CLUSTER, event.upstream_cluster);
        }
        if let Some(code) = event.status.code() {
            out.int_attribute(9, attribute::STATUS_CODE, u64::from(code));
        }
        if event.measurement.attempts > 1 {
            out.int_attribute(9, attribute::RESEND_COUNT, event.measurement.attempts.saturating_sub(1));
        }
        put_status(out, event);
    });
}

/// Trace, span, the span above it, and the flags of the trace.
fn put_ids(out: &mut Vec<u8>, event: &Event<'_>, trace: [u8; 16], span: [u8; 8], parent: Option<&[u8]>) {
    out.bytes(1, &trace);
    out.bytes(2, &span);
    parent.into_iter().for_each(|parent| out.bytes(4, parent));
    out.fixed32(16, flags(event));
}

fn put_times(out: &mut Vec<u8>, start_ns: u64, duration_ns: u64) {
    out.fixed64(7, start_ns);
    out.fixed64(8, start_ns.saturating_add(duration_ns));
}

/// `status` of a failed request; of others it is unset.
fn put_status(out: &mut Vec<u8>, event: &Event<'_>) {
    if event.ending().is_error() {
        out.nested(15, |out| out.varint(3, STATUS_ERROR));
    }
}

/// Fills in the length of the record that begins at `begin`, whose content begins at `start`.
fn end_record(out: &mut Vec<u8>, begin: usize, start: usize) {
    let length = out.len().saturating_sub(start);
    if let (0x80..0x4000, Some([_, low, high])) = (length, out.get_mut(begin..start)) {
        *low = length as u8 | 0x80;
        *high = length.wrapping_shr(7) as u8;
        return;
    }
    let mut head = vec![RECORD];
    varint::put(&mut head, length as u64);
    out.splice(begin..start, head);
}

/// The tag of `log_records`.
const RECORD: u8 = 2 << 3 | 2;

/// The length of an attribute's key, the key, and the tags of a string.
const fn encoded_key<const SIZE: usize>(name: &str) -> [u8; SIZE] {
    let mut key = [0x0a; SIZE];
    let all: &mut [u8] = &mut key;
    let [_, _, _, length, rest @ .., of_value, _, _, _] = all else { return key };
    *length = name.len() as u8;
    *of_value = 0x12;
    let (mut name, mut rest) = (name.as_bytes(), rest);
    while let ([place, places @ ..], [byte, others @ ..]) = (rest, name) {
        *place = *byte;
        (rest, name) = (places, others);
    }
    key
}

/// A record under construction. Natively attributes are written in place, with keys of known lengths; the Wasm module must be small.
struct Record<'o> {
    out: &'o mut Vec<u8>,
    marks: &'o mut Vec<Mark>,
    /// Whether its attributes are marked.
    is_marked: bool,
    form: RecordForm,
    /// The field of its attributes, below 16.
    attributes: u8,
}

impl<'o> Record<'o> {
    fn new(form: RecordForm, out: &'o mut Vec<u8>, marks: &'o mut Vec<Mark>) -> Self {
        let is_marked = out.len().checked_rem(MARKED_STRETCH).is_some_and(|into| into < MARKED_BEGIN);
        Self { out, marks, is_marked, form, attributes: if form.is_span() { 9 } else { 6 } }
    }

    /// All of the gateway's span except its attributes.
    fn span_head(&mut self, event: &Event<'_>, ids: SpanIds) {
        put_ids(
            self.out,
            event,
            ids.trace,
            ids.gateway,
            event.trace.as_ref().map(|trace| &trace.span_id[..]),
        );
        // The name of a server's span (OpenTelemetry semantic conventions, HTTP spans).
        self.out.nested(5, |out| {
            [event.method.name(), " ", event.route]
                .into_iter()
                .for_each(|part| out.extend_from_slice(part.as_bytes()));
        });
        self.out.varint(6, KIND_SERVER);
        put_times(self.out, event.start_ns, event.measurement.duration_ns);
        put_status(self.out, event);
    }

    /// What follows is likely to begin like the same part of a record before.
    #[inline]
    fn mark(&mut self) {
        if self.is_marked {
            self.marks.push(Mark { at: self.out.len() as u32, unique: 0 });
        }
    }

    /// A time of a log record, nanoseconds since the Unix epoch. Its lower half differs in nearly all records.
    #[inline]
    fn time(&mut self, field: u8, time_ns: u64) {
        self.out.push(field << 3 | 1);
        self.mark_unique(4);
        self.out.extend_from_slice(&time_ns.to_le_bytes());
    }

    /// The identifier of a trace or of a span.
    #[inline]
    fn id<const SIZE: usize>(&mut self, field: u8, id: &[u8; SIZE]) {
        self.out.extend_from_slice(&[field << 3 | 2, SIZE as u8]);
        self.mark_unique(SIZE);
        self.out.extend_from_slice(id);
    }

    /// The next bytes hardly ever repeat others.
    #[inline]
    fn mark_unique(&mut self, bytes: usize) {
        self.marks.push(Mark { at: self.out.len() as u32, unique: bytes as u32 });
    }

    /// An attribute that is absent where it is empty.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn text(&mut self, key: &[u8], value: &str) {
        if !value.is_empty() {
            self.string(key, value);
        }
    }

    /// The same, with a value that differs in nearly all records.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn unique_text(&mut self, key: &[u8], value: &str) {
        if !value.is_empty() {
            self.string_key(key, value);
            self.mark_unique(value.len());
            self.out.extend_from_slice(value.as_bytes());
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn string(&mut self, key: &[u8], value: &str) {
        self.string_key(key, value);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// An attribute up to its value.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn string_key(&mut self, key: &[u8], value: &str) {
        self.mark();
        let begin = self.out.len();
        let length = value.len().saturating_add(key.len()).saturating_sub(2);
        if length >= 0x80 {
            return self.long_string_key(key, value);
        }
        // Each length is one byte: the form of nearly all attributes.
        self.out.extend_from_slice(key);
        if let Some([tag, all, .., any_value, _, string]) = self.out.get_mut(begin..) {
            *tag = self.attributes << 3 | 2;
            *all = length as u8;
            *any_value = value.len().saturating_add(2) as u8;
            *string = value.len() as u8;
        }
    }

    #[cold]
    fn long_string_key(&mut self, key: &[u8], value: &str) {
        let key = key.get(2..key.len().saturating_sub(3)).unwrap_or_default();
        let any_value = varint::size(value.len() as u64).saturating_add(value.len()).saturating_add(1);
        let length = varint::size(any_value as u64).saturating_add(any_value).saturating_add(key.len());
        self.out.push(self.attributes << 3 | 2);
        varint::put(self.out, length as u64);
        self.out.extend_from_slice(key);
        varint::put(self.out, any_value as u64);
        self.out.push(1 << 3 | 2);
        varint::put(self.out, value.len() as u64);
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn int(&mut self, key: &[u8], value: u64) {
        self.int_key(key, value);
        varint::put(self.out, value);
    }

    /// A number that differs in nearly all records.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn unique_int(&mut self, key: &[u8], value: u64) {
        self.int_key(key, value);
        self.mark_unique(varint::size(value));
        varint::put(self.out, value);
    }

    /// An attribute up to its value.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn int_key(&mut self, key: &[u8], value: u64) {
        self.mark();
        let begin = self.out.len();
        // At most eleven bytes of a value, and a key of the table: all lengths are one byte.
        let size = varint::size(value);
        self.out.extend_from_slice(key.get(..key.len().saturating_sub(1)).unwrap_or_default());
        if let Some([tag, all, .., any_value, field]) = self.out.get_mut(begin..) {
            *tag = self.attributes << 3 | 2;
            *all = size.saturating_add(key.len()).saturating_sub(3) as u8;
            *any_value = size.saturating_add(1) as u8;
            *field = 3 << 3;
        }
    }

    fn headers(&mut self, prefix: &str, headers: &[Header<'_>]) {
        for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
            if let Some((name, _)) = same.first() {
                self.mark();
                self.out.strings_attribute(
                    self.attributes.into(),
                    prefix,
                    name,
                    same.iter().map(|(_, value)| &**value),
                );
            }
        }
    }

    fn bodies(&mut self, bodies: [Option<&CapturedBody>; 2]) {
        for (body, (content, omitted)) in bodies.into_iter().zip(CONTENT.into_iter().zip(OMITTED)) {
            self.body(content, omitted, body);
        }
    }

    fn body(&mut self, content: &str, omitted: &str, body: Option<&CapturedBody>) {
        let Some(body) = body else { return };
        match &body.content {
            // The size already shows that there was none.
            Err(OmissionReason::NoBody) => {}
            Ok(text) => {
                self.mark();
                self.out.string_attribute(self.attributes.into(), content, text);
            }
            Err(reason) => {
                self.mark();
                self.out.string_attribute(self.attributes.into(), omitted, reason.name());
            }
        }
    }
}

/// The beginning of each portion: a `resource_logs` (field 1 of `ExportLogsServiceRequest`), or a `resource_spans` of the same number,
/// up to its records.
/// Such fields laid end to end are a request.
#[derive(Debug)]
pub struct PortionHead {
    /// `resource`, encoded.
    resource: Vec<u8>,
    /// `scope`, encoded.
    scope: Vec<u8>,
}

impl PortionHead {
    /// Of all portions with this resource.
    pub fn new(resource: &Resource, instance: &str) -> Self {
        let mut head = Self { resource: Vec::new(), scope: Vec::new() };
        resource.encode(instance, &mut head.resource);
        encode_scope(&mut head.scope);
        head
    }

    /// Writes the beginning of a portion with this number of bytes of records written by [`encode_record`]. They follow,
    /// and then [`PORTION_END`].
    pub fn write(&self, records: usize, out: &mut Vec<u8>) {
        let of_scope_logs = self.scope.len().saturating_add(records).saturating_add(SCHEMA.len());
        out.push(1 << 3 | 2);
        let of_resource_logs = self
            .resource
            .len()
            .saturating_add(1)
            .saturating_add(varint::size(of_scope_logs as u64))
            .saturating_add(of_scope_logs)
            .saturating_add(SCHEMA.len());
        varint::put(out, of_resource_logs as u64);
        out.extend_from_slice(&self.resource);
        out.push(2 << 3 | 2);
        varint::put(out, of_scope_logs as u64);
        out.extend_from_slice(&self.scope);
    }
}

/// `schema_url` (field 3 of `ScopeLogs` and of `ResourceLogs`, and of those of spans).
const SCHEMA: [u8; SCHEMA_URL.len() + 2] = {
    let mut schema = [3 << 3 | 2; SCHEMA_URL.len() + 2];
    let [_, length, text @ ..] = &mut schema;
    *length = SCHEMA_URL.len() as u8;
    text.copy_from_slice(SCHEMA_URL.as_bytes());
    schema
};

/// The end of a portion: that of its `ScopeLogs`, and its own.
pub const PORTION_END: [[u8; SCHEMA.len()]; 2] = [SCHEMA; 2];
