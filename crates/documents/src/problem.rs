//! One finding of a check.

use std::fmt;

use serde_json::{Value, json};

use crate::yaml::Place;

/// One defect of a file, or one part of it that may not be meant.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Path from the root of the configuration or document; empty when it is about something else.
    pub path: String,
    /// Where it is in the file.
    pub place: Place,
    /// What is wrong, then what to do.
    pub message: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What was read is refused, or a part of it is of no use.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
    /// There was nothing to check.
    Note,
}

impl Problem {
    /// A defect.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: String::new(), place, message: message.into() }
    }

    /// Perhaps a defect.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// No defect.
    pub fn note(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(place, message) }
    }

    /// The same at a path.
    pub fn about(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// `FILE:LINE:COLUMN: error: PATH: message`, without a line end.
    pub fn line(&self, file: &str) -> String {
        let Self { severity, path, place, message } = self;
        let separator = if path.is_empty() { "" } else { ": " };
        format!("{file}:{place}: {severity}: {path}{separator}{message}")
    }

    /// The same as an object, without the file.
    pub fn json(&self) -> Value {
        let Self { severity, path, place, message } = self;
        json!({"severity": severity.to_string(), "path": path, "line": place.line, "column": place.column,
               "message": message})
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}
