//! How a value of a search fits a text.

use crate::clickhouse::{Condition, quoted};
use crate::query::glob::Glob;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The whole text.
    Is(String),
    /// A part of it, in whatever case; this is in lower case.
    Contains(String),
    /// The whole text, where stars stand for any characters.
    Glob(Glob),
}

impl Pattern {
    pub(super) fn contains(text: &str) -> Self {
        Self::Contains(text.to_ascii_lowercase())
    }

    pub(super) fn takes(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted == text,
            // The search of the standard library takes linear time, whatever clients wrote.
            Self::Contains(wanted) => text.to_ascii_lowercase().contains(wanted),
            Self::Glob(glob) => glob.takes(text),
        }
    }

    /// The same in SQL, of a column or another expression that is a text.
    pub(super) fn condition(&self, expression: &str) -> Condition {
        match self {
            Self::Is(wanted) => Condition::one_of(expression, [wanted.as_str()]),
            Self::Contains(wanted) => {
                Condition::exact(format!("(position(lower({expression}), {}) > 0)", quoted(wanted)))
            }
            Self::Glob(glob) => glob.condition(expression),
        }
    }

    /// The same, of a column that is empty where a request has no text.
    pub(super) fn condition_of_optional(&self, column: &str) -> Condition {
        self.condition(column).exact_if(!self.takes(""))
    }

    /// Whether a text of hexadecimal digits can fit.
    pub(super) fn can_be_hex(&self) -> bool {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self {
            Self::Is(text) | Self::Contains(text) => is_hex(text),
            Self::Glob(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_in_whatever_case() {
        let check = |wanted: &str, text: &str, expected: bool| {
            assert_eq!(Pattern::contains(wanted).takes(text), expected, "{wanted} in {text}");
        };
        check("orders", "/v1/Orders/7", true);
        check("ORDERS", "/v1/orders", true);
        check("orders", "/v1/order", false);
        check("aab", "aaab", true);
        check("ab", "a", false);
        check("", "a", true);
        check("é", "caf\u{e9}", true);
    }
}
