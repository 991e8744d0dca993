//! The error of a refused configuration.

use std::fmt;

use super::locate::{self, Step};

/// The message about a missing key, around its name.
const MISSING_BEFORE: &str = "the key `";
const MISSING_BEHIND: &str = "` is missing; add it";

/// Stands before the name that an unknown key probably stands for.
const MEANT: &str = "; did you mean `";

/// A refused configuration: the place of the defect, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// JSON path from the root, `routes.templates[3]`; empty for the whole text.
    pub path: String,
    /// Line, from 1; 0 when the text is empty.
    pub line: usize,
    /// Column in characters, from 1; 0 when the text is empty.
    pub column: usize,
    /// The defect, and what to do.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} (line {}, column {})", self.message, self.line, self.column)
    }
}

/// A defect found by a rule, not yet located in the text.
#[derive(Debug)]
pub struct Problem {
    steps: Vec<Step>,
    message: String,
}

impl Problem {
    /// A problem of the value at these steps from the root.
    pub fn new(steps: impl IntoIterator<Item = Step>, message: impl Into<String>) -> Self {
        Self { steps: steps.into_iter().collect(), message: message.into() }
    }

    /// The object at these steps lacks a key.
    pub fn missing(steps: impl IntoIterator<Item = Step>, key: &str) -> Self {
        Self::new(steps, format!("{MISSING_BEFORE}{key}{MISSING_BEHIND}"))
    }

    /// The same problem of a section that stands elsewhere than its check expects: these steps in place of the first one.
    #[must_use]
    pub fn moved(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.splice(..self.steps.len().min(1), steps);
        self
    }

    /// Finds its line and column in the text.
    #[inline(never)]
    pub fn locate(self, text: &str) -> ConfigError {
        let (line, column) = locate::position(text, &self.steps);
        ConfigError { path: locate::display(&self.steps), line, column, message: self.message }
    }
}

impl ConfigError {
    /// The key that an object lacks, if that is the defect.
    pub(super) fn missing_key(&self) -> Option<&str> {
        self.message.strip_prefix(MISSING_BEFORE)?.strip_suffix(MISSING_BEHIND)
    }

    /// The name that an unknown key probably stands for.
    pub(super) fn meant_key(&self) -> Option<&str> {
        self.message.strip_prefix("unknown key ")?.split_once(MEANT)?.1.strip_suffix("`?")
    }

    pub(super) fn empty() -> Self {
        Self {
            path: String::new(),
            line: 0,
            column: 0,
            message: "the plugin configuration is empty; write at least \
                      {\"version\": 1, \"ingest\": {\"cluster\": \"gatelens_ingest\"}}"
                .into(),
        }
    }

    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        Self {
            path: String::new(),
            line: error.line(),
            column: error.column(),
            message: without_position(&error.to_string()).to_owned(),
        }
    }

    pub(super) fn from_serde(text: &str, error: &serde_json::Error) -> Self {
        if !error.is_data() {
            return Self::from_json(error);
        }
        Self::at(text, error, locate::steps_to(text, error.line(), error.column()))
    }

    /// The same, where the types of the values refuse values, too: serde_json then knows only where their object or
    /// array ends.
    pub(super) fn from_path(text: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let inner = error.inner();
        if !inner.is_data() {
            return Self::from_json(inner);
        }
        let steps = error.path().iter().filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
            serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
            _ => None,
        });
        Self::at(text, inner, steps.collect())
    }

    fn at(text: &str, error: &serde_json::Error, mut steps: Vec<Step>) -> Self {
        let mut message = without_position(&error.to_string()).to_owned();
        if let Some((unknown, known)) = names_of(&message, "unknown field ") {
            if steps.last() != Some(&Step::Key(unknown.clone())) {
                steps.push(Step::Key(unknown.clone()));
            }
            message = unknown_key(&unknown, &known);
        } else if let Some((unknown, known)) = names_of(&message, "unknown variant ") {
            message = unknown_value(&unknown, &known);
        } else if let Some((missing, _)) = names_of(&message, "missing field ") {
            message = format!("{MISSING_BEFORE}{missing}{MISSING_BEHIND}");
        }
        // Serde's message about a wrong type contains the value, which here may be a credential.
        let of_section = match &steps[..] {
            [Step::Key(list), Step::Index(_), of @ ..] if list == "destinations" => of,
            [Step::Key(section), of @ ..] if section == "ingest" => of,
            _ => &[],
        };
        if of_section == [Step::from("headers")] && message.starts_with("invalid type") {
            message = "the headers are not an object; write {\"name\": \"value\"}".to_owned();
        }
        let (line, column) = match locate::position(text, &steps) {
            (1, 1) => (error.line(), error.column()),
            found => found,
        };
        Self { path: locate::display(&steps), line, column, message }
    }
}

/// serde_json ends its messages with the position, which is cut off here.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(before, _)| before)
}

/// Splits serde's messages about names: the unknown name and the expected names.
fn names_of(message: &str, kind: &str) -> Option<(String, Vec<String>)> {
    let mut names = message.strip_prefix(kind)?.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((names.next()?, names.collect()))
}

fn unknown_key(unknown: &str, known: &[String]) -> String {
    match nearest(unknown, known) {
        Some(near) => format!("unknown key `{unknown}`{MEANT}{near}`?"),
        None => format!("unknown key `{unknown}`; expected one of {}", list(known)),
    }
}

fn unknown_value(unknown: &str, known: &[String]) -> String {
    match nearest(unknown, known) {
        Some(near) => format!("unknown value `{unknown}`; did you mean `{near}`?"),
        None => format!("unknown value `{unknown}`; expected one of {}", list(known)),
    }
}

fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    let distance = |candidate: &String| strsim::damerau_levenshtein(name, candidate);
    let within_reach = name.chars().count().div_ceil(3);
    known
        .iter()
        .filter(|candidate| distance(candidate) <= within_reach)
        .min_by_key(|candidate| distance(candidate))
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
