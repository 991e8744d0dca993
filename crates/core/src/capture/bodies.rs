//! The bodies of a stream, as far as a filter has seen them.

use super::{BodyCapture, End};
use crate::redact::Message;

/// What a filter has collected of the bodies of a stream; nothing as an access logger.
#[derive(Debug, Default)]
pub struct Bodies {
    /// `None` when the filter saw no headers of a request, or bodies of requests are not captured.
    pub request: Option<Passed>,
    /// The same for the response.
    pub response: Option<Passed>,
}

/// A body that has passed, or does so still.
#[derive(Debug)]
pub struct Passed {
    /// What was copied of it.
    pub capture: BodyCapture,
    /// Whether it has come to its end.
    pub end: End,
}

impl Bodies {
    /// The body of one of the two.
    pub fn of(&mut self, message: Message) -> &mut Option<Passed> {
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
