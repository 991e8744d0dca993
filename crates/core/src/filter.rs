//! One instance of the HTTP filter: it lives as long as its stream.
//!
//! It copies captured bodies as they stream through, and never delays them. The memory of the copies is bounded for each
//! body by `capture.max_body_bytes` and for all of a worker by `limits.queue_bytes`.

use std::rc::Rc;

use crate::host::{HeaderMap, Host};
use crate::lifecycle::Active;
use crate::request::Foresight;
use crate::request::consumer::ResponseNames;
use gatelens_model::{Message, OmissionReason};
use gatelens_redact::capture::{Bodies, BodyEnd, Head, ObservedBody};

/// The callbacks in which a filter sees bodies, by their names in a list of capabilities.
pub const BODY_CALLBACKS: [&str; 6] = [
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
];

/// The callback and the host function that removing a response header needs, by their names in a list of capabilities.
pub const RESPONSE_HEADER_CAPABILITIES: [&str; 2] =
    ["proxy_on_response_headers", "proxy_remove_header_map_value"];

/// An instance of the filter.
#[derive(Debug)]
pub struct StreamFilter {
    /// `None` before a configuration is in force.
    active: Option<Rc<Active>>,
    bodies: Bodies,
    /// The request is certain to have no event, so its bodies are not copied.
    is_skipped: bool,
    /// The response headers that were removed because they name the consumer.
    response_names: ResponseNames,
    /// Bytes of bodies that are held, as they were reported to the worker.
    held: usize,
}

/// Whether a callback is the last one for its half of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStream {
    /// More follows.
    No,
    /// Nothing follows.
    Yes,
}

impl StreamFilter {
    /// A stream begins.
    pub fn new(active: Option<Rc<Active>>) -> Self {
        if let Some(active) = &active {
            active.begin();
        }
        let (bodies, response_names) = (Bodies::default(), ResponseNames::Unseen);
        Self { active, bodies, is_skipped: false, response_names, held: 0 }
    }

    /// The headers of a message pass.
    pub fn headers(&mut self, host: &impl Host, message: Message, end_stream: EndStream) {
        let Some(active) = &self.active else { return };
        let names = active.response_names();
        if message == Message::Response && !names.is_empty() {
            self.response_names = ResponseNames::remove(host, names);
        }
        let capture = active.capture();
        let foresight = active.selection().foresight();
        if !capture.takes_any_body() || self.is_skipped || foresight == Foresight::Always {
            return;
        }
        let body = match message {
            Message::Request => {
                if !capture.takes_bodies(message) && foresight != Foresight::ByHeaders {
                    return;
                }
                let headers = host.request_headers();
                self.is_skipped = foresight != Foresight::Never && active.selection().skips(&headers);
                if self.is_skipped {
                    return;
                }
                capture.body(message, &Head::request(headers.iter()))
            }
            // In this callback the host has no request headers. The method is checked when the stream ends.
            Message::Response if capture.takes_bodies(message) => {
                capture.body(message, &Head::response(host.response_headers().iter(), b""))
            }
            Message::Response => return,
        };
        let end = if end_stream == EndStream::Yes { BodyEnd::Complete } else { BodyEnd::Incomplete };
        *self.bodies.of(message) = body.map(|capture| ObservedBody { capture, end });
    }

    /// A chunk of a body passes, of `size` bytes.
    pub fn body(&mut self, host: &impl Host, message: Message, size: usize, end_stream: EndStream) {
        let (Some(active), Some(passed)) = (&self.active, self.bodies.of(message)) else { return };
        if passed.capture.grows_by(size) > active.room_for_bodies() {
            passed.capture.omit(OmissionReason::MemoryLimit);
        }
        passed.capture.take(size, |part| host.body_chunk(message, part));
        if end_stream == EndStream::Yes {
            passed.end = BodyEnd::Complete;
        }
        self.report();
    }

    /// The trailers of a message pass: its body is complete.
    pub fn trailers(&mut self, message: Message) {
        if let Some(passed) = self.bodies.of(message) {
            passed.end = BodyEnd::Complete;
        }
    }

    /// The stream has ended.
    pub fn log(&mut self, host: &impl Host) {
        let mut bodies = std::mem::take(&mut self.bodies);
        if let Some(active) = &self.active {
            if bodies.held_bytes() > 0 {
                active.omit_beyond_share(host, &mut bodies);
            }
            active.log_from_filter(host, bodies, std::mem::take(&mut self.response_names));
        }
        self.report();
    }

    /// Bytes of bodies that are held.
    pub fn held_bytes(&self) -> usize {
        self.bodies.held_bytes()
    }

    /// Reports the held bytes to the worker.
    fn report(&mut self) {
        let held = self.held_bytes();
        if let Some(active) = self.active.as_ref().filter(|_| held != self.held) {
            active.hold(self.held, held);
        }
        self.held = held;
    }
}

impl Drop for StreamFilter {
    fn drop(&mut self) {
        self.bodies = Bodies::default();
        self.report();
        if let Some(active) = &self.active {
            active.end();
        }
    }
}
