//! JSON Web Tokens: base64url parts with dots between, the first of which begins an object, `{"`.

use std::ops::Range;

use super::byte;

/// Where in a text tokens stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut searched = 0usize;
    for (start, head) in text.match_indices("eyJ") {
        // A run of these characters is a token from its first beginning, or not a token.
        if start < searched {
            continue;
        }
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let mut end = start.saturating_add(head.len());
        while byte(text, end).is_some_and(is_part) {
            end = end.saturating_add(1);
        }
        searched = end;
        let whole = text.get(start..end).unwrap_or_default();
        // A token without its signature still identifies somebody.
        if whole.split_once('.').is_some_and(|(_, rest)| !rest.is_empty()) {
            found.push(start..end);
        }
    }
    found
}
