//! Texts with `*` for any characters, as parameters have them.

use crate::clickhouse::{Condition, quoted};
use crate::model::{is_of_path_word, path_words};

/// A text that must match as a whole; `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// The texts between the stars, the first and the last of them anchored.
    parts: Vec<String>,
}

impl Glob {
    pub(super) fn new(text: &str) -> Self {
        Self { parts: text.split('*').map(str::to_owned).collect() }
    }

    /// The words that every path that matches has, as a whole.
    pub(super) fn path_words(&self) -> impl Iterator<Item = &str> {
        let stars = self.parts.len().saturating_sub(1);
        self.parts.iter().enumerate().flat_map(move |(number, part)| {
            // A star beside a word may stand for more of it.
            let part = if number > 0 { part.trim_start_matches(is_of_path_word) } else { part };
            path_words(if number < stars { part.trim_end_matches(is_of_path_word) } else { part })
        })
    }

    /// The same in SQL, of a column or another expression that is a text.
    pub(super) fn condition(&self, expression: &str) -> Condition {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return Condition::one_of(expression, self.parts.iter().map(String::as_str));
        };
        let begins = ("startsWith", first);
        let ends = ("endsWith", last);
        let edges = [begins, ends].into_iter().filter(|(_, part)| !part.is_empty());
        let edges = edges.map(|(function, part)| format!("{function}({expression}, {})", quoted(part)));
        let middle = middle.iter().filter(|part| !part.is_empty());
        let middle = middle.map(|part| format!("(position({expression}, {}) > 0)", quoted(part)));
        let all: Vec<String> = edges.chain(middle).collect();
        // Parts may lie upon each other, or in another order.
        let is_exact = all.len() <= 1;
        Condition::all(all.into_iter().map(Condition::exact)).exact_if(is_exact)
    }

    /// Whether a text matches. The work grows with the length of the text times the longest part at most.
    pub(super) fn takes(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|only| only == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        // The leftmost place of each part leaves the most to those after it.
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Glob::new(pattern).takes(text), expected, "{pattern} {text}");
        };
        check("/a", "/a", true);
        check("/a", "/a/b", false);
        check("/a*", "/a", true);
        check("/a/*", "/a/b/c", true);
        check("/a/*", "/a", false);
        check("*/c", "/a/b/c", true);
        check("/a/*/c", "/a/b/c", true);
        check("/a/*/c", "/a/c", false);
        check("*", "", true);
        check("**", "x", true);
        check("a*a", "a", false);
        check("*é*", "caf\u{e9} au lait", true);
        check("*b*b*", "abcb", true);
        check("*b*b*", "abc", false);
    }

    #[test]
    fn words_beside_a_star_are_not_whole() {
        let check = |pattern: &str, expected: &[&str]| {
            assert_eq!(Glob::new(pattern).path_words().collect::<Vec<_>>(), expected, "{pattern}");
        };
        check("/v1/orders/7", &["v1", "orders", "7"]);
        check("/v1/ord*", &["v1"]);
        check("/v1/*/items", &["v1", "items"]);
        check("*7/items*", &[]);
        check("*/users/*", &["users"]);
        check("a*b", &[]);
        check("*", &[]);
    }

    proptest! {
        #[test]
        fn words_of_a_pattern_are_in_all_that_it_takes(pattern in "[a/*]{0,8}", text in "[a/]{0,8}") {
            let glob = Glob::new(&pattern);
            if glob.takes(&text) {
                prop_assert!(glob.path_words().all(|word| path_words(&text).any(|found| found == word)));
            }
        }

        #[test]
        fn stars_match_as_the_definition_says(pattern in "[ab*]{0,6}", text in "[ab]{0,6}") {
            fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|from| by_definition(rest, &text[from..])),
                    Some((byte, rest)) => text.first() == Some(byte) && by_definition(rest, &text[1..]),
                }
            }
            prop_assert_eq!(Glob::new(&pattern).takes(&text), by_definition(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
