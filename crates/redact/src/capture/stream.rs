//! Collects the chunks of a body within a bound.

use gatelens_model::OmissionReason;

use crate::work;
use std::collections::VecDeque;
use std::ops::Range;

use super::BodyEnd;

#[derive(Clone, Debug)]
pub(super) enum Collector {
    /// The whole body, or nothing.
    Whole { bytes: Vec<u8>, max_bytes: usize },
    /// The beginning and, when it gets too long, the end.
    HeadAndTail { head: Vec<u8>, max_head: usize, tail: VecDeque<u8>, max_tail: usize, dropped: u64 },
}

impl Collector {
    pub(super) fn whole(max_bytes: usize) -> Self {
        Self::Whole { bytes: Vec::new(), max_bytes }
    }

    /// Keeps half of the bound at each end.
    pub(super) fn head_and_tail(max_bytes: usize) -> Self {
        let max_tail = max_bytes >> 1;
        let max_head = max_bytes.saturating_sub(max_tail);
        Self::HeadAndTail { head: Vec::new(), max_head, tail: VecDeque::new(), max_tail, dropped: 0 }
    }

    /// Takes the next chunk of `size` bytes, of which `read` gives a part. Only the kept part is read.
    pub(super) fn push(
        &mut self,
        size: usize,
        mut read: impl FnMut(Range<usize>) -> Vec<u8>,
    ) -> Result<(), OmissionReason> {
        work::add(size);
        let mut take = |range: Range<usize>| {
            let part = if range.is_empty() { Vec::new() } else { read(range.clone()) };
            // The host handed over less than it announced.
            if part.len() == range.len() { Ok(part) } else { Err(OmissionReason::Truncated) }
        };
        match self {
            Self::Whole { bytes, max_bytes } => {
                if bytes.len().saturating_add(size) > *max_bytes {
                    return Err(OmissionReason::TooLarge);
                }
                let part = take(0..size)?;
                if bytes.is_empty() {
                    // Most bodies come in one chunk.
                    *bytes = part;
                } else {
                    bytes.extend_from_slice(&part);
                }
            }
            Self::HeadAndTail { head, max_head, tail, max_tail, dropped } => {
                let first = max_head.saturating_sub(head.len()).min(size);
                head.extend_from_slice(&take(0..first)?);
                let rest = size.saturating_sub(first);
                let kept = take(size.saturating_sub(rest.min(*max_tail))..size)?;
                let surplus = tail.len().saturating_add(kept.len()).saturating_sub(*max_tail);
                tail.drain(..surplus.min(tail.len()));
                tail.extend(&kept);
                let lost = surplus.saturating_add(rest.saturating_sub(kept.len()));
                *dropped = dropped.saturating_add(lost as u64);
            }
        }
        Ok(())
    }

    /// Bytes of memory that they take.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Whole { bytes, .. } => bytes.capacity(),
            Self::HeadAndTail { head, tail, .. } => head.capacity().saturating_add(tail.capacity()),
        }
    }

    /// Bytes that are collected.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole { bytes, .. } => bytes.len(),
            Self::HeadAndTail { head, tail, .. } => head.len().saturating_add(tail.len()),
        }
    }

    /// The collected bytes. An incomplete stream of events keeps only whole events, with a comment in place of missing ones.
    pub(super) fn finish(self, end: BodyEnd) -> Vec<u8> {
        match self {
            Self::Whole { bytes, .. } => bytes,
            Self::HeadAndTail { mut head, tail, dropped, .. } => {
                let mut tail: Vec<u8> = tail.into();
                if dropped == 0 {
                    head.append(&mut tail);
                    if end == BodyEnd::Incomplete {
                        head.truncate(end_of_events(&head));
                    }
                    return head;
                }
                let whole_head = end_of_events(&head);
                let begin = first_end_of_event(&tail);
                let stop = if end == BodyEnd::Incomplete { end_of_events(&tail) } else { tail.len() };
                let lost = dropped
                    .saturating_add(head.len().saturating_sub(whole_head) as u64)
                    .saturating_add(begin as u64);
                head.truncate(whole_head);
                head.extend_from_slice(format!(": left out: {lost} bytes\n\n").as_bytes());
                head.extend_from_slice(tail.get(begin..stop).unwrap_or_default());
                head
            }
        }
    }
}

/// Where the last complete event ends: after its blank line.
fn end_of_events(bytes: &[u8]) -> usize {
    (1..=bytes.len()).rev().find(|end| ends_event(bytes, *end)).unwrap_or(0)
}

/// Where the first event ends. Its beginning may be missing.
fn first_end_of_event(bytes: &[u8]) -> usize {
    (1..=bytes.len()).find(|end| ends_event(bytes, *end)).unwrap_or(bytes.len())
}

fn ends_event(bytes: &[u8], end: usize) -> bool {
    let before = bytes.get(..end).unwrap_or_default();
    let next = bytes.get(end);
    // `\r\n` is one line end: an event does not end in the middle of it.
    let whole = !(before.ends_with(b"\r") && next == Some(&b'\n'));
    whole && [&b"\n\n"[..], b"\r\n\r\n", b"\r\r", b"\n\r\n"].iter().any(|blank| before.ends_with(blank))
}
