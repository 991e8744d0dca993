//! E-mail addresses: a dot-atom of RFC 5322 and a domain with a dot, in any script; `%40` counts as `@`. The separators of
//! URLs (`/?#&=|`) end an address, although the RFC allows them within it.

use std::ops::Range;

use super::byte;
use crate::work;

/// Longest local part, bytes: twice the limit of RFC 5321.
const MAX_LOCAL: usize = 128;

/// Where in a text addresses stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut searched = 0usize;
    while let Some((at, after)) = next_at(text, searched) {
        searched = after;
        let earliest = found.last().map_or(0, |last| last.end).max(at.saturating_sub(MAX_LOCAL));
        let mut start = at;
        while start > earliest && byte(text, start.saturating_sub(1)).is_some_and(is_local) {
            start = start.saturating_sub(1);
        }
        while !text.is_char_boundary(start) {
            start = start.saturating_add(1);
        }
        let end = end_of_domain(text, after);
        work::add(at.saturating_sub(start).saturating_add(end.saturating_sub(after)));
        if start < at && end > after {
            found.push(start..end);
            searched = end;
        }
    }
    found
}

/// The next `@` or `%40`, and where it ends.
fn next_at(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = text.get(from..)?;
    rest.match_indices(['@', '%']).find_map(|(at, found)| {
        let length = match found {
            "@" => 1,
            _ if rest.get(at..)?.starts_with("%40") => 3,
            _ => return None,
        };
        let at = from.saturating_add(at);
        Some((at, at.saturating_add(length)))
    })
}

/// The end of a domain with at least two labels, the last of which is not a number; `start` when there is none.
fn end_of_domain(text: &str, start: usize) -> usize {
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') || byte >= 0x80;
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.bytes().position(|byte| !is_domain(byte)).unwrap_or(rest.len());
    let domain = rest.get(..length).unwrap_or_default().trim_end_matches(['.', '-']);
    match domain.rsplit_once('.') {
        Some((before, last)) if !before.is_empty() && last.chars().any(char::is_alphabetic) => {
            start.saturating_add(domain.len())
        }
        _ => start,
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b".!$%'*+^_`{}~-".contains(&byte)
}
