//! One segment of a template.

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
}
