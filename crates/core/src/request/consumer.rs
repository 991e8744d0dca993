//! The consumer of a request: an ordered chain of sources, and the name and group of the consumer.
//!
//! Headers are at hand when a request is read. Everything else is read from the host only when a configured source needs
//! it and no earlier source has named anybody.

mod credential;
mod label;
mod property;
mod pseudonym;
mod response;
mod source;
mod text;

pub use gatelens_model::value::ANONYMOUS;
pub use label::{Label, LabelSource, Labels};
pub use pseudonym::Pseudonymizer;
pub use response::ResponseNames;
pub use source::{Form, Place, Source};
pub use text::clean_id;

use std::borrow::Cow;

use crate::host::Stream;
use gatelens_redact::KeyForms;

/// Longest consumer ID in characters.
pub const MAX_CONSUMER_CHARS: usize = 128;

/// Longest name and longest group of a consumer in characters.
pub const MAX_LABEL_CHARS: usize = 64;

/// The configured way to the consumer of a request, compiled.
#[derive(Debug, Default)]
pub struct ConsumerPlan {
    /// In order.
    pub sources: Vec<Source>,
    /// Names and groups.
    pub labels: Labels,
    /// The forms of keys. A value with one of them names nobody in clear.
    pub keys: KeyForms,
    /// Whether the log must not contain the client's address, because a source pseudonymises it.
    pub hides_client_address: bool,
}

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Trimmed, 1 to [`MAX_CONSUMER_CHARS`] characters; [`ANONYMOUS`] when no source has a value.
    pub id: Cow<'a, str>,
    /// Whether the source that named it is trusted.
    pub trusted: bool,
}

/// The parts of a request that the sources read.
#[derive(Debug)]
pub struct Sighting<'a, S: Stream> {
    /// For values that are not at hand.
    pub host: &'a S,
    /// The request headers.
    pub headers: &'a S::Headers,
    /// The query without the `?`.
    pub query: &'a [u8],
    /// The client's address without its port.
    pub client_address: &'a [u8],
    /// Response headers that the filter has removed.
    pub response: &'a ResponseNames,
}

impl ConsumerPlan {
    /// The caller: that of the first source with a value.
    pub fn identify<'a, S: Stream>(&self, request: &Sighting<'a, S>) -> Identity<'a> {
        self.sources
            .iter()
            .find_map(|source| {
                Some(Identity { id: source.id(request, &self.keys)?, trusted: source.trusted })
            })
            .unwrap_or_else(|| Identity { id: ANONYMOUS.into(), trusted: false })
    }

    /// Whether a source reads the client's address.
    pub fn reads_client_address(&self) -> bool {
        self.sources.iter().any(|source| source.place == Place::ClientIp)
    }
}
