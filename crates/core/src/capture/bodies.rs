//! The bodies of a stream, as far as a filter has seen them.

use super::{BodyCapture, End};

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
    /// Whether anything was collected that is to be redacted.
    pub fn are_held(&self) -> bool {
        self.request.iter().chain(&self.response).any(|passed| passed.capture.held_bytes() > 0)
    }
}
