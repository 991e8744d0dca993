//! US social security numbers: three, two and four digits with the same separator between, from the ranges that are
//! issued. Nine digits without separators do not count, because too many other numbers have nine digits.

use std::ops::Range;

use super::byte;

const LENGTH: usize = 11;

/// Where in a text social security numbers stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0usize;
    while let Some(end) = start.checked_add(LENGTH).filter(|end| *end <= text.len()) {
        let before = start.checked_sub(1).and_then(|at| byte(text, at));
        let after = byte(text, end);
        let alone = ![before, after].into_iter().flatten().any(|byte| byte.is_ascii_digit());
        if alone && text.as_bytes().get(start..end).is_some_and(is_ssn) {
            found.push(start..end);
            start = end;
        } else {
            start = start.saturating_add(1);
        }
    }
    found
}

fn is_ssn(bytes: &[u8]) -> bool {
    let [a1, a2, a3, first, g1, g2, second, serial @ ..] = bytes else { return false };
    let area = [*a1, *a2, *a3];
    let digits = area.iter().chain([g1, g2]).chain(serial).all(u8::is_ascii_digit);
    digits
        && matches!(first, b'-' | b' ')
        && first == second
        && area != *b"000"
        && area != *b"666"
        && *a1 != b'9'
        && [*g1, *g2] != *b"00"
        && serial != b"0000"
}
