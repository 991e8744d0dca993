//! The bodies of a stream, as far as a filter has seen them.

use super::{BodyCapture, BodyEnd};
use gatelens_model::Message;

/// What a filter has collected of the bodies of a stream; nothing as an access logger.
#[derive(Debug, Default)]
pub struct Bodies {
    /// `None` when the filter saw no headers of a request, or bodies of requests are not captured.
    pub request: Option<ObservedBody>,
    /// The same for the response.
    pub response: Option<ObservedBody>,
}

/// A body that has passed, or does so still.
#[derive(Debug)]
pub struct ObservedBody {
    /// What was copied of it.
    pub capture: BodyCapture,
    /// Whether it has come to its end.
    pub end: BodyEnd,
}

impl Bodies {
    /// The body of one of the two.
    pub fn of(&mut self, message: Message) -> &mut Option<ObservedBody> {
        match message {
            Message::Request => &mut self.request,
            Message::Response => &mut self.response,
        }
    }

    /// Bytes that are held: more than none where there is something to redact.
    pub fn held_bytes(&self) -> usize {
        let both = self.request.iter().chain(&self.response);
        both.fold(0, |sum, passed| sum.saturating_add(passed.capture.held_bytes()))
    }
}
