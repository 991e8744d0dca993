//! Payment cards: ISO/IEC 7812 numbers of 13 to 19 digits with a Luhn check digit, in groups or without separators.

use std::ops::Range;

use super::byte;
use crate::work;

const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// Where in a text cards stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0usize;
    while at < text.len() {
        if !is_digit(text, at) {
            at = at.saturating_add(1);
            continue;
        }
        match card_at(text, at) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at = end_of_group(text, at),
        }
    }
    found
}

/// The end of the longest card that begins here, at the beginning of a group of digits, and ends with one.
fn card_at(text: &str, start: usize) -> Option<usize> {
    // Cards begin with 2 to 6. Other numbers of that length are tickets, for example, or timestamps in nanoseconds.
    byte(text, start).filter(|first| matches!(first, b'2'..=b'6'))?;
    let (mut count, mut at, mut longest) = (0usize, start, None);
    let mut digits = [0u8; 19];
    loop {
        let end = end_of_group(text, at);
        work::add(end.saturating_sub(at));
        for place in at..end {
            *digits.get_mut(count)? = byte(text, place)?.wrapping_sub(b'0');
            count = count.saturating_add(1);
        }
        // Groups between letters belong to UUIDs and similar identifiers.
        let is_card = LENGTHS.contains(&count) && (at == start || !is_glued(text, start, end));
        if is_card && digits.get(..count).is_some_and(luhn) {
            longest = Some(end);
        }
        let next = end.saturating_add(1);
        if !matches!(byte(text, end), Some(b' ' | b'-')) || !is_digit(text, next) || count >= *LENGTHS.end() {
            return longest;
        }
        // A group that would make the number too long ends the search.
        let group = end_of_group(text, next).saturating_sub(next);
        if count.saturating_add(group) > *LENGTHS.end() {
            return longest;
        }
        at = next;
    }
}

fn is_digit(text: &str, at: usize) -> bool {
    byte(text, at).is_some_and(|byte| byte.is_ascii_digit())
}

/// Whether a letter stands right before or behind.
fn is_glued(text: &str, start: usize, end: usize) -> bool {
    let is_letter = |at| byte(text, at).is_some_and(|byte| byte.is_ascii_alphabetic());
    start.checked_sub(1).is_some_and(is_letter) || is_letter(end)
}

fn end_of_group(text: &str, start: usize) -> usize {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let length = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    start.saturating_add(length)
}

fn luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().fold(0u32, |sum, (place, digit)| {
        let digit = u32::from(*digit);
        let value = match place & 1 {
            0 => digit,
            _ if digit > 4 => digit.saturating_mul(2).saturating_sub(9),
            _ => digit.saturating_mul(2),
        };
        sum.saturating_add(value)
    });
    sum.checked_rem(10) == Some(0)
}
