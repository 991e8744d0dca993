//! A captured body that is redacted after its request has ended, a slice in each turn of the event loop.

use gatelens_model::{Message, OmissionReason};

use super::{BodyEnd, CapturedBody, Collecting};
use crate::body::{Slice, SlicedBody};
use crate::{Hits, Redactor};

/// Bytes of a body that are redacted in one turn of the event loop. A turn takes the rest of a value or event in addition,
/// which has at most the same size.
pub const SLICE_BYTES: usize = 65_536;

/// What became of a body when its redaction went on.
#[derive(Debug)]
pub enum Redaction {
    /// It is over.
    Done(CapturedBody),
    /// It goes on later.
    Waiting(WaitingBody),
}

/// A body that is not redacted yet, or in part.
#[derive(Debug)]
pub struct WaitingBody {
    /// Bytes that passed, as sent.
    size: u64,
    message: Message,
    bytes: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Encoded(Box<Collecting>, BodyEnd),
    Text(Box<SlicedBody>),
}

impl WaitingBody {
    /// A body of `size` bytes that decodes to at most `bytes` bytes.
    pub(super) fn new(
        (size, end): (u64, BodyEnd),
        message: Message,
        bytes: usize,
        collecting: Box<Collecting>,
    ) -> Self {
        Self { size, message, bytes, stage: Stage::Encoded(collecting, end) }
    }

    /// The most bytes of its text.
    pub fn decoded_bytes(&self) -> usize {
        self.bytes
    }

    /// Does the work of one turn: decodes the body, or redacts the next [`SLICE_BYTES`] of its text.
    pub fn advance(self, redactor: &Redactor, hits: &mut Hits) -> Redaction {
        let Self { size, message, bytes, stage } = self;
        let rules = redactor.body_redactor(message);
        let slice = match stage {
            Stage::Encoded(collecting, end) => {
                let kind = collecting.kind;
                collecting.decode(end).and_then(|text| match text.len() {
                    // An interrupted stream without a whole event.
                    0 => Ok(Slice::Last(text)),
                    1..=SLICE_BYTES => redactor.own_body(message, kind, text, hits).map(Slice::Last),
                    _ => SlicedBody::new(&rules, kind, text).map(Slice::More),
                })
            }
            Stage::Text(text) => text.advance(&rules, SLICE_BYTES, hits),
        };
        match slice {
            Ok(Slice::More(text)) => {
                Redaction::Waiting(Self { size, message, bytes, stage: Stage::Text(Box::new(text)) })
            }
            Ok(Slice::Last(text)) => Redaction::Done(CapturedBody { size, content: Ok(text) }),
            Err(reason) => Redaction::Done(CapturedBody { size, content: Err(reason) }),
        }
    }

    /// Gives it up.
    pub fn omit(self, reason: OmissionReason) -> CapturedBody {
        CapturedBody { size: self.size, content: Err(reason) }
    }
}
