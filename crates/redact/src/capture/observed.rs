//! The bodies of a stream, as far as the filter has observed them.

use super::{BodyCapture, BodyEnd};
use gatelens_model::Message;

/// The bodies of a stream that a filter has collected. An access logger collects none.
#[derive(Debug, Default)]
pub struct Bodies {
    /// `None` when the filter saw no request headers, or request bodies are not captured.
    pub request: Option<ObservedBody>,
    /// The same for the response.
    pub response: Option<ObservedBody>,
}

/// A body of which the filter has seen at least the headers.
#[derive(Debug)]
pub struct ObservedBody {
    /// The copied part.
    pub capture: BodyCapture,
    /// Whether its end was seen.
    pub end: BodyEnd,
}

impl Bodies {
    /// The body of a message.
    pub fn of(&mut self, message: Message) -> &mut Option<ObservedBody> {
        match message {
            Message::Request => &mut self.request,
            Message::Response => &mut self.response,
        }
    }

    /// Bytes that may have to be redacted, at most.
    pub fn decoded_bytes(&self) -> usize {
        let both = self.request.iter().chain(&self.response);
        both.fold(0, |sum, passed| sum.saturating_add(passed.capture.decoded_bytes()))
    }

    /// Bytes that are held. Not zero when there is something to redact.
    pub fn held_bytes(&self) -> usize {
        let both = self.request.iter().chain(&self.response);
        both.fold(0, |sum, passed| sum.saturating_add(passed.capture.held_bytes()))
    }
}
