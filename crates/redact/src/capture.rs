//! Capture: selects the parts of a request that the log keeps, and copies bodies while they stream through.
//!
//! No stream is delayed: each chunk is copied as it passes, up to a bound. The result is redacted text or an
//! [`OmissionReason`], never raw bytes.

mod charset;
mod config;
mod content_coding;
mod head;
mod media;
mod observed;
mod preview;
pub mod reference;
mod stream;
mod waiting;

pub use config::CaptureConfig;
pub use head::Head;
pub use media::{MEDIA_TYPES, MediaType};
pub use observed::{Bodies, ObservedBody};
pub use preview::{Preview, preview};
pub use waiting::{Redaction, SLICE_BYTES, WaitingBody};

use gatelens_model::{Message, OmissionReason};
use std::ops::Range;

use crate::names::Pattern;
use crate::redactor::{check_header_pattern, each};
use crate::{BodyKind, Hits, Redactor, SectionError};
use charset::Charset;
use content_coding::ContentCoding;
use stream::Collector;

/// Largest value of `capture.max_body_bytes`.
pub const MAX_BODY_BYTES: u32 = 1_048_576;

/// The compiled section `capture`.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Whether the query is kept.
    pub query: bool,
    request_headers: HeaderNames,
    response_headers: HeaderNames,
    request_body: bool,
    response_body: bool,
    max_body_bytes: usize,
}

impl Capture {
    /// Compiles the section.
    ///
    /// # Errors
    /// The first entry that is wrong, and what was probably meant.
    pub fn new(config: &CaptureConfig) -> Result<Self, SectionError> {
        let patterns = |list: &'static str, entries: &[String]| {
            let mut names = HeaderNames::default();
            each(list, entries, |text| {
                check_header_pattern(text)?;
                match text.contains('*') {
                    true => names.patterns.push(Pattern::new(text)),
                    false => names.exact.push(text.into()),
                }
                Ok(())
            })?;
            Ok(names)
        };
        if !(1..=MAX_BODY_BYTES).contains(&config.max_body_bytes) {
            let message = format!("{} is not between 1 and {MAX_BODY_BYTES}", config.max_body_bytes);
            return Err(SectionError { list: "max_body_bytes", index: None, message });
        }
        Ok(Self {
            query: config.query,
            request_headers: patterns("request_headers", &config.request_headers)?,
            response_headers: patterns("response_headers", &config.response_headers)?,
            request_body: config.request_body,
            response_body: config.response_body,
            max_body_bytes: usize::try_from(config.max_body_bytes).unwrap_or(usize::MAX),
        })
    }

    /// The name under which the log keeps a header, after redaction; `None` when the log does not keep it. `:authority` is
    /// kept as `host`. Other pseudo-headers are never kept.
    pub fn header_name<'n>(&self, message: Message, name: &'n [u8]) -> Option<&'n [u8]> {
        let name = match name {
            b":authority" => b"host",
            [b':', ..] => return None,
            name => name,
        };
        self.headers(message).matches(name).then_some(name)
    }

    /// Whether any header of such messages is kept.
    pub fn keeps_headers(&self, message: Message) -> bool {
        !self.headers(message).is_empty()
    }

    /// The header that is kept of such messages, in lower case, if it can only be this one.
    pub fn only_header(&self, message: Message) -> Option<String> {
        let HeaderNames { exact, patterns } = self.headers(message);
        match (&exact[..], &patterns[..]) {
            ([name], []) => Some(name.to_ascii_lowercase()),
            _ => None,
        }
    }

    /// Whether bodies of such messages are captured.
    pub fn takes_bodies(&self, message: Message) -> bool {
        match message {
            Message::Request => self.request_body,
            Message::Response => self.response_body,
        }
    }

    /// Whether any bodies are captured.
    pub fn takes_any_body(&self) -> bool {
        self.request_body || self.response_body
    }

    fn headers(&self, message: Message) -> &HeaderNames {
        match message {
            Message::Request => &self.request_headers,
            Message::Response => &self.response_headers,
        }
    }

    /// Begins to capture a body. `None` when bodies of such messages are not captured.
    pub fn body(&self, message: Message, head: &Head<'_>) -> Option<BodyCapture> {
        self.takes_bodies(message).then(|| BodyCapture::new(message, head, self.max_body_bytes))
    }
}

/// Names of headers, with and without `*`.
#[derive(Clone, Debug, Default)]
struct HeaderNames {
    exact: Vec<Box<str>>,
    patterns: Vec<Pattern>,
}

impl HeaderNames {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.exact.iter().any(|exact| name.eq_ignore_ascii_case(exact.as_bytes()))
            || !self.patterns.is_empty() && {
                let lower = String::from_utf8_lossy(name).to_lowercase();
                self.patterns.iter().any(|pattern| pattern.matches_lower(&lower))
            }
    }
}

/// Whether the end of a body was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// The last byte was seen.
    Complete,
    /// The stream was reset or closed before that.
    Incomplete,
}

/// A body while it streams through.
#[derive(Clone, Debug)]
pub struct BodyCapture {
    message: Message,
    size: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Collecting(Box<Collecting>),
    Omitted(OmissionReason),
}

#[derive(Clone, Debug)]
struct Collecting {
    kind: BodyKind,
    charset: Charset,
    coding: ContentCoding,
    collector: Collector,
    max_bytes: usize,
}

/// A body as the request log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedBody {
    /// Bytes that passed, as sent.
    pub size: u64,
    /// The redacted text, or why the body is omitted.
    pub content: Result<String, OmissionReason>,
}

impl BodyCapture {
    fn new(message: Message, head: &Head<'_>, max_bytes: usize) -> Self {
        let state = match plan(head) {
            Err(reason) => State::Omitted(reason),
            Ok((kind, charset, coding)) => {
                // Only an uncompressed body remains readable without its middle.
                let collector = match (kind, coding) {
                    (BodyKind::EventStream, ContentCoding::Identity) => Collector::head_and_tail(max_bytes),
                    _ => Collector::whole(max_bytes),
                };
                State::Collecting(Box::new(Collecting { kind, charset, coding, collector, max_bytes }))
            }
        };
        Self { message, size: 0, state }
    }

    /// Takes a copy of the next chunk, as far as the bound allows.
    pub fn push(&mut self, chunk: &[u8]) {
        self.take(chunk.len(), |range| chunk.get(range).unwrap_or_default().to_vec());
    }

    /// Takes a chunk of `size` bytes that the host still holds. `read` copies a part of it and is called only for the parts
    /// that are kept.
    pub fn take(&mut self, size: usize, read: impl FnMut(Range<usize>) -> Vec<u8>) {
        self.size = self.size.saturating_add(size as u64);
        if let State::Collecting(collecting) = &mut self.state
            && let Err(reason) = collecting.collector.push(size, read)
        {
            // This frees the collected bytes at once.
            self.state = State::Omitted(reason);
        }
    }

    /// Omits the body for a reason that became known after its beginning, for example an upgrade of the connection.
    pub fn omit(&mut self, reason: OmissionReason) {
        self.state = State::Omitted(reason);
    }

    /// By how much [`BodyCapture::held_bytes`] would grow with a chunk of `size` bytes, at least.
    pub fn grows_by(&self, size: usize) -> usize {
        match &self.state {
            State::Collecting(collecting) => {
                size.min(collecting.max_bytes.saturating_sub(collecting.collector.held_bytes()))
            }
            State::Omitted(_) => 0,
        }
    }

    /// Bytes that have passed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are held.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Collecting(collecting) => collecting.collector.held_bytes(),
            State::Omitted(_) => 0,
        }
    }

    /// Bytes that may have to be redacted, at most: those that are held, decoded.
    pub fn decoded_bytes(&self) -> usize {
        match &self.state {
            State::Collecting(collecting) => {
                let bytes = collecting.collector.len();
                collecting.coding.max_decoded_bytes(bytes).min(bytes.max(collecting.max_bytes))
            }
            State::Omitted(_) => 0,
        }
    }

    /// Redacts what was collected: at once, if it decodes to at most `at_once` bytes.
    pub fn begin_redaction(
        self,
        end: BodyEnd,
        at_once: usize,
        redactor: &Redactor,
        hits: &mut Hits,
    ) -> Redaction {
        let bytes = self.decoded_bytes();
        match self.state {
            State::Collecting(collecting) if bytes > at_once && collecting.is_kept(end) => {
                Redaction::Waiting(WaitingBody::new((self.size, end), self.message, bytes, collecting))
            }
            _ => Redaction::Done(self.finish(end, redactor, hits)),
        }
    }

    /// Redacts what was collected.
    pub fn finish(self, end: BodyEnd, redactor: &Redactor, hits: &mut Hits) -> CapturedBody {
        let content = match self.state {
            State::Omitted(reason @ (OmissionReason::Upgrade | OmissionReason::Grpc)) => Err(reason),
            // The body was empty, whatever its head promised.
            _ if self.size == 0 && end == BodyEnd::Complete => Err(OmissionReason::NoBody),
            State::Omitted(reason) => Err(reason),
            State::Collecting(collecting) => collecting.finish(end, self.message, redactor, hits),
        };
        CapturedBody { size: self.size, content }
    }
}

impl Collecting {
    fn finish(
        self,
        end: BodyEnd,
        message: Message,
        redactor: &Redactor,
        hits: &mut Hits,
    ) -> Result<String, OmissionReason> {
        let kind = self.kind;
        let text = self.decode(end)?;
        if text.is_empty() {
            return Ok(text);
        }
        redactor.own_body(message, kind, text, hits)
    }

    /// Whether any of a body is kept that ends so. A stream of events ends when one side disconnects: its complete events are.
    fn is_kept(&self, end: BodyEnd) -> bool {
        end == BodyEnd::Complete
            || (self.kind == BodyKind::EventStream && self.coding == ContentCoding::Identity)
    }

    /// The whole text, not redacted.
    fn decode(self, end: BodyEnd) -> Result<String, OmissionReason> {
        if !self.is_kept(end) {
            return Err(OmissionReason::Truncated);
        }
        let bytes = self.collector.finish(end);
        if bytes.is_empty() {
            // A stream of events that ended before the first event was complete.
            return Ok(String::new());
        }
        let bytes = self.coding.decode(bytes, self.max_bytes)?;
        self.charset.decode(bytes)
    }
}

/// How a body must be read, or why it is omitted.
fn plan(head: &Head<'_>) -> Result<(BodyKind, Charset, ContentCoding), OmissionReason> {
    head.check()?;
    let media_type = MediaType::of_values(head.content_types())?;
    let kind = media_type.body_kind()?;
    let charset = Charset::named(media_type.parameter("charset"))?;
    let coding = ContentCoding::of_values(head.content_encodings())?;
    Ok((kind, charset, coding))
}

#[cfg(test)]
mod tests;
