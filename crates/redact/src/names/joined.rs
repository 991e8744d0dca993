//! Names that are sensitive together with the name around them: `number` within `card`, in JSON and in a form.

use super::prefilter::Prefilter;
use super::words::{Humps, words};
use crate::rules::RuleId;
use crate::work;

use super::{Extent, NameForms, suffix};

/// Words at the end of a name that mean nothing: `card_details` holds a card.
const FILLERS: &[&str] = &["data", "detail", "details", "info", "information", "object", "params"];

/// Longest end of a name around others that is looked at, bytes.
const MAX_PARENT: usize = 48;

/// Names of two words and more, each divided into the words around and the words within.
#[derive(Clone, Debug, Default)]
pub(super) struct JoinedNames {
    divided: Vec<Divided>,
    /// The words around, to rule out most names.
    around: Prefilter,
}

#[derive(Clone, Debug)]
struct Divided {
    /// `_card_`
    around: Box<str>,
    /// `_number_`
    within: Box<str>,
    /// The rule's name, for the suffixes that make a name harmless; `None` where none does.
    suffixes_of: Option<&'static str>,
    rule: RuleId,
    extent: Extent,
}

impl JoinedNames {
    /// Adds the words of a name, `card_number`, divided in each way.
    pub(super) fn add(
        &mut self,
        words: &str,
        suffixes_of: Option<&'static str>,
        rule: RuleId,
        extent: Extent,
    ) {
        for (at, _) in words.match_indices('_') {
            let (Some(around), Some(within)) = (words.get(..at), words.get(at.saturating_add(1)..)) else {
                continue;
            };
            if around.is_empty() || within.is_empty() {
                continue;
            }
            self.around.add(&around.replace('_', ""));
            self.divided.push(Divided {
                around: format!("_{around}_").into(),
                within: format!("_{within}_").into(),
                suffixes_of,
                rule,
                extent,
            });
        }
    }

    /// The end of a name around others, if a name within can be sensitive because of it.
    pub(super) fn parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        let begin = name.ceil_char_boundary(name.len().saturating_sub(MAX_PARENT));
        let end = name.get(begin..)?;
        work::add(end.len());
        if !self.around.may_be_in(end) {
            return None;
        }
        let reads = Self::reads(end);
        let ends = |divided: &Divided| reads.iter().any(|read| read.ends_with(&*divided.around));
        self.divided.iter().any(ends).then_some(end)
    }

    /// Whether a name that consists of several can have one around another. False is certain.
    pub(super) fn may_be_around(&self, name: &str) -> bool {
        self.around.may_be_in(name)
    }

    /// The rules that match `name` within `parent`.
    pub(super) fn find(&self, parent: &str, name: &NameForms, mut found: impl FnMut(RuleId, Extent)) {
        let reads = Self::reads(parent);
        for divided in &self.divided {
            let is_within = |read: &str| {
                read.starts_with(&*divided.within)
                    && !divided
                        .suffixes_of
                        .and_then(|rule| suffix::without(read, rule))
                        .is_some_and(|before| before.starts_with(&*divided.within))
            };
            if reads.iter().any(|read| read.ends_with(&*divided.around)) && name.each().any(is_within) {
                found(divided.rule, divided.extent);
            }
        }
    }

    /// The words of a name around others, in each way in which it can be read: without numbers and fillers at its end,
    /// in the singular.
    fn reads(parent: &str) -> Vec<String> {
        let mut reads = Vec::new();
        for humps in [Humps::Keep, Humps::Split] {
            let all = words(parent, humps);
            let mut read = &*all;
            while let Some((before, last)) = read.strip_suffix('_').and_then(|read| read.rsplit_once('_'))
                && (FILLERS.contains(&last) || last.bytes().all(|byte| byte.is_ascii_digit()))
                && !before.is_empty()
            {
                read = read.get(..before.len().saturating_add(1)).unwrap_or_default();
            }
            if let Some(singular) = read.strip_suffix("s_") {
                reads.push(format!("{singular}_"));
            }
            reads.push(read.to_owned());
        }
        reads.dedup();
        reads
    }
}

/// The names that a name of a form or a dotted name consists of: `items[0][card][number]` of `items`, `card` and
/// `number`.
pub(super) fn segments(name: &str) -> impl Iterator<Item = &str> {
    let is_index = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_digit());
    name.split(['[', ']', '.']).filter(move |segment| !is_index(segment))
}

/// Whether a name consists of several.
pub(super) fn is_segmented(name: &str) -> bool {
    name.bytes().any(|byte| matches!(byte, b'[' | b']' | b'.'))
}
