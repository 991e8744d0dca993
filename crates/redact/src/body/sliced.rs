//! Redacts a large body a slice at a time, so that other work can be done between two slices.
//!
//! What is kept of the body, and the rules that it hits, are those of one pass. JSON is interrupted between two values, lines of
//! JSON also between two lines, and a stream of events between two events. All else must be read as a whole: a text, a form, and
//! JSON in which paths are evaluated that need all of it.

use std::borrow::Cow;

use gatelens_model::OmissionReason;

use super::pass::{JsonPass, Paused, Progress};
use super::{BodyKind, BodyRedactor, events};
use crate::rules::Hits;
use crate::sniff::{Carrier, Sniffed, sniff};

/// A body of which a part is redacted.
#[derive(Debug)]
pub(crate) struct SlicedBody {
    format: Format,
    text: String,
    /// Redacted up to here: the beginning of a line, or of an event.
    done: usize,
    /// What is kept of it.
    out: String,
    /// The pass over the JSON text that begins there.
    paused: Option<Box<Paused>>,
    /// How far that pass has come, bytes.
    passed: usize,
}

/// What is left after a slice.
#[derive(Debug)]
pub(crate) enum Slice {
    /// Nothing: this is the redacted text.
    Last(String),
    /// More of the body.
    More(SlicedBody),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    JsonLines,
    EventStream,
}

impl SlicedBody {
    /// Begins.
    ///
    /// # Errors
    /// [`OmissionReason::Overload`] for a body that must be read as a whole.
    pub(crate) fn new(
        rules: &BodyRedactor<'_>,
        kind: BodyKind,
        text: String,
    ) -> Result<Self, OmissionReason> {
        let without_queries = rules.body.queries.is_empty();
        let format = match kind {
            BodyKind::Json if without_queries => Format::Json,
            BodyKind::JsonLines => Format::JsonLines,
            BodyKind::EventStream => Format::EventStream,
            BodyKind::Form | BodyKind::Text
                if without_queries && sniff(&text, Carrier::Body) == Sniffed::Json =>
            {
                Format::Json
            }
            BodyKind::Json | BodyKind::Form | BodyKind::Text => return Err(OmissionReason::Overload),
        };
        Ok(Self { format, text, done: 0, out: String::new(), paused: None, passed: 0 })
    }

    /// Redacts the next `most` bytes, and the rest of the value or event in which they end: at most `most` bytes more.
    ///
    /// # Errors
    /// Why the body must be omitted; [`OmissionReason::Overload`] where a string that must be searched, or an event, is longer
    /// than `most` bytes.
    pub(crate) fn advance(
        mut self,
        rules: &BodyRedactor<'_>,
        most: usize,
        hits: &mut Hits,
    ) -> Result<Slice, OmissionReason> {
        let mut left = most;
        while self.done < self.text.len() {
            if left == 0 {
                return Ok(Slice::More(self));
            }
            let rest = self.text.get(self.done..).unwrap_or_default();
            let (piece, kept) = match self.format {
                Format::EventStream => {
                    let piece = whole_events(rest, most).ok_or(OmissionReason::Overload)?;
                    (piece, Cow::Owned(events::redact(rules, piece, hits)))
                }
                Format::JsonLines => {
                    let line = rest.split_inclusive('\n').next().unwrap_or(rest);
                    if line.trim().is_empty() {
                        (line, Cow::Borrowed(line))
                    } else if rules.body.queries.is_empty() {
                        match pass(rules, line, (self.paused.take(), self.passed), (left, most), hits)? {
                            Progress::Over(kept) => (line, kept),
                            Progress::Paused(paused) => return Ok(Slice::More(self.pause(paused, left))),
                        }
                    } else if line.len() <= most {
                        (line, rules.json(line, hits)?)
                    } else {
                        return Err(OmissionReason::Overload);
                    }
                }
                Format::Json => {
                    match pass(rules, rest, (self.paused.take(), self.passed), (left, most), hits)? {
                        Progress::Over(Cow::Owned(kept)) => return Ok(Slice::Last(kept)),
                        Progress::Over(Cow::Borrowed(_)) => return Ok(Slice::Last(self.text)),
                        Progress::Paused(paused) => return Ok(Slice::More(self.pause(paused, left))),
                    }
                }
            };
            left = left.saturating_sub(piece.len().saturating_sub(self.passed));
            self.done = self.done.saturating_add(piece.len());
            self.out.push_str(&kept);
            self.passed = 0;
        }
        Ok(Slice::Last(self.out))
    }

    /// A pass stopped after this number of bytes.
    fn pause(self, paused: Box<Paused>, bytes: usize) -> Self {
        Self { paused: Some(paused), passed: self.passed.saturating_add(bytes), ..self }
    }
}

/// Begins or continues a pass over a JSON text, `passed` bytes of which are done, by about `left` bytes. Strings that are searched
/// are at most `max_string` bytes long.
fn pass<'t>(
    rules: &BodyRedactor<'_>,
    text: &'t str,
    (paused, passed): (Option<Box<Paused>>, usize),
    (left, max_string): (usize, usize),
    hits: &mut Hits,
) -> Result<Progress<'t>, OmissionReason> {
    let mut pass = JsonPass::new(rules, &rules.body.plain, text, &[], hits).with_strings_up_to(max_string);
    if let Some(paused) = paused {
        pass = pass.resume(*paused);
    }
    pass.run_to(passed.saturating_add(left))
}

/// The events at the beginning of a stream that fit into `most` bytes; all, if they do. `None` where not even one fits.
fn whole_events(stream: &str, most: usize) -> Option<&str> {
    if stream.len() <= most {
        return Some(stream);
    }
    let window = stream.get(..stream.floor_char_boundary(most))?;
    let end_by = |blank: &str| window.rfind(blank).map(|at| at.saturating_add(blank.len()));
    window.get(..end_by("\n\n").max(end_by("\n\r\n"))?)
}
