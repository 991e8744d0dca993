//! The values that a sensitive name masks.

use crate::json::TokenKind;

/// The values that a sensitive name masks, from the fewest to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// As [`Extent::Identity`], and not objects, whose members are judged by their names: `change_password`, `token_info`.
    #[default]
    Described,
    /// Everything except `null`, booleans, and words such as `pass` and `not_provided`, which report on a value.
    Identity,
    /// Everything except `null` and booleans. A word can be a password.
    Secret,
    /// Every value: the rule was configured.
    Everything,
}

/// Longest word that reports on a value, bytes.
const MAX_REPORT: usize = 16;

/// Words that report on a value, in lower case. `not_` can stand before each.
const REPORTS: &[&str] = &[
    "admin",
    "available",
    "disabled",
    "enabled",
    "fail",
    "failed",
    "invalid",
    "match",
    "matched",
    "mismatch",
    "missing",
    "no",
    "no_match",
    "none",
    "null",
    "optional",
    "partial_match",
    "pass",
    "passed",
    "pending",
    "provided",
    "read",
    "required",
    "supported",
    "unavailable",
    "unchecked",
    "unknown",
    "unverified",
    "valid",
    "verified",
    "write",
    "yes",
];

impl Extent {
    /// Whether a value is masked, given its kind and how it is written.
    pub(crate) fn covers(self, kind: TokenKind, raw: &str) -> bool {
        match (self, kind) {
            (Self::Everything, _) => true,
            (_, TokenKind::Null | TokenKind::True | TokenKind::False) => false,
            (Self::Described, TokenKind::Object) => false,
            (Self::Described | Self::Identity, TokenKind::String) => !is_report(raw),
            _ => true,
        }
    }
}

/// Whether a string, given with its quotes, is a word that reports on a value.
fn is_report(quoted: &str) -> bool {
    let Some(word) = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    if word.len() > MAX_REPORT {
        return false;
    }
    let word = word.to_ascii_lowercase();
    let word = word.strip_prefix("not_").unwrap_or(&word);
    REPORTS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_decides_which_values_are_masked() {
        let check = |kind, raw: &str, covered: [bool; 4]| {
            let extents = [Extent::Described, Extent::Identity, Extent::Secret, Extent::Everything];
            assert_eq!(extents.map(|extent| extent.covers(kind, raw)), covered, "{raw}");
        };
        check(TokenKind::Null, "null", [false, false, false, true]);
        check(TokenKind::True, "true", [false, false, false, true]);
        check(TokenKind::False, "false", [false, false, false, true]);
        check(TokenKind::Number, "0", [true; 4]);
        check(TokenKind::Object, "{", [false, true, true, true]);
        check(TokenKind::Array, "[", [true; 4]);
        for report in ["\"pass\"", "\"NOT_PROVIDED\"", "\"no_match\"", "\"unchecked\""] {
            check(TokenKind::String, report, [false, false, true, true]);
        }
        for text in
            ["\"\"", "\"1234\"", "\"hunter2\"", "\"passw\"", "\"not_\"", "\"pass pass pass pass\"", "\""]
        {
            check(TokenKind::String, text, [true; 4]);
        }
    }
}
