//! One segment of a template.

use std::borrow::Cow;

/// What stands between two slashes of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text, without percent-encoding.
    Literal(Box<[u8]>),
    /// Values with texts around them.
    Mixed(Mixed),
    /// A value that is not empty.
    Parameter,
}

/// Values that are not empty, with texts before, between and after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mixed {
    pub(super) prefix: Box<[u8]>,
    pub(super) middle: Middle,
    pub(super) suffix: Box<[u8]>,
}

/// The texts between values, none of them empty.
pub(super) type Middle = Box<[Box<[u8]>]>;

impl Mixed {
    /// From the texts around the values, in order: one more than there are values.
    pub(super) fn new(mut literals: Vec<Vec<u8>>) -> Self {
        let suffix = literals.pop().unwrap_or_default().into_boxed_slice();
        let mut literals = literals.into_iter().map(Vec::into_boxed_slice);
        let prefix = literals.next().unwrap_or_default();
        Self { prefix, middle: literals.collect(), suffix }
    }

    /// Whether a segment, without percent-encoding, has this form.
    pub(super) fn matches(&self, segment: &[u8]) -> bool {
        let between = segment.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_suffix(&*self.suffix));
        between.is_some_and(|between| separates(&self.middle, between))
    }
}

/// Whether these texts separate values that are not empty. Each text is searched once from left to right: the leftmost
/// place leaves most room for the others.
pub(super) fn separates(middle: &[Box<[u8]>], between: &[u8]) -> bool {
    let mut rest = between;
    for text in middle {
        let after_value = rest.get(1..).unwrap_or_default();
        let found = after_value.windows(text.len().max(1)).position(|window| *window == **text);
        match found.and_then(|at| after_value.get(at.saturating_add(text.len())..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    !rest.is_empty()
}

/// A text without percent-encoding (RFC 3986). An incomplete escape stays as it is.
pub(super) fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let digit =
        |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_texts_are_not_empty() {
        let check = |literals: &[&str], segment: &str, matches: bool| {
            let mixed = Mixed::new(literals.iter().map(|text| text.as_bytes().to_vec()).collect());
            assert_eq!(mixed.matches(segment.as_bytes()), matches, "{literals:?} {segment}");
        };
        check(&["", "...", ""], "main...next", true);
        check(&["", "...", ""], "main..next", false);
        check(&["", "...", ""], "...next", false);
        check(&["", "...", ""], "main...", false);
        check(&["", "...", ""], "main....", true);
        check(&["", "...", ""], "....x", true);
        check(&["", ":cancel"], "7:cancel", true);
        check(&["", ":cancel"], ":cancel", false);
        check(&["", ":cancel"], "7:cancel:cancel", true);
        check(&["v", ""], "v1", true);
        check(&["v", ""], "v", false);
        check(&["a", "a"], "aa", false);
        check(&["a", "a"], "a", false);
        check(&["", "-", "-", ""], "a-b-c", true);
        check(&["", "-", "-", ""], "a--c", false);
        check(&["", "-", "-", ""], "---c-", false);
        check(&["", "-", "-", ""], "---c-d", true);
        check(&["", "-", "-", ""], "-----", true);
        check(&["", "ab", "b"], "xabb", false);
        check(&["", "ab", "b"], "xabbb", true);
    }

    #[test]
    fn escapes_are_decoded_and_halves_stay() {
        let check = |text: &str, out: &str| assert_eq!(&*decoded(text.as_bytes()), out.as_bytes(), "{text}");
        check("plain", "plain");
        check("caf%C3%a9", "caf\u{e9}");
        check("%2F%2f", "//");
        check("%", "%");
        check("%4", "%4");
        check("%zz%41", "%zzA");
    }
}
