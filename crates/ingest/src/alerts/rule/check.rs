//! Defects of what people write, and the checks that several keys share.

use super::bounds;
use std::ops::RangeInclusive;

/// A defect of a rule, a receiver or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RuleError {
    /// The key, such as `rules[2].window_minutes`.
    pub path: String,
    /// What is wrong and what was meant.
    pub message: String,
}

impl RuleError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same defect, seen from further up.
    pub(crate) fn under(self, parent: &str) -> Self {
        let path = if self.path.is_empty() { parent.to_owned() } else { format!("{parent}.{}", self.path) };
        Self { path, ..self }
    }
}

/// A name: letters, digits, `-`, `_` or `.`.
pub(crate) fn check_name(key: &str, name: &str) -> Result<(), RuleError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=bounds::NAME_BYTES).contains(&name.len())
        && name.bytes().all(fits)
        && !name.bytes().all(|byte| byte == b'.');
    if is_name {
        return Ok(());
    }
    let message = match name.is_empty() {
        true => "a name is missing".to_owned(),
        false => format!(
            "{name:?} is not a name: write 1 to {} letters, digits, `-`, `_` or `.`",
            bounds::NAME_BYTES
        ),
    };
    Err(RuleError::new(key, message))
}

pub(crate) fn check_text(key: &str, text: &str) -> Result<(), RuleError> {
    if text.len() <= bounds::TEXT_BYTES {
        return Ok(());
    }
    Err(RuleError::new(key, format!("the text is longer than {} bytes", bounds::TEXT_BYTES)))
}

/// The known name that is nearest to an unknown one.
pub(crate) fn meant<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let comparable = if unknown.len() <= 64 { &known[..] } else { &[] };
    let nearest = comparable.iter().map(|name| (strsim::levenshtein(unknown, name), name)).min();
    match nearest {
        Some((near, name)) if near <= 2 => format!("did you mean `{name}`?"),
        _ if known.is_empty() => "there are none".to_owned(),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

pub(super) fn within(key: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), RuleError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(RuleError::new(
        key,
        format!("{value} is not in {least}..={most}: write a number of minutes within it"),
    )
    .for_count(key))
}

impl RuleError {
    /// `max_instances` is not in minutes.
    fn for_count(mut self, key: &str) -> Self {
        if key == "max_instances" {
            self.message = self.message.replace("a number of minutes within it", "a number within it");
        }
        self
    }
}
