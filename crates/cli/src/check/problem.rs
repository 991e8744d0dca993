//! One finding of a check.

use std::fmt;

use super::yaml::Place;

/// One defect of a file, or one part of it that may not be meant.
#[derive(Clone)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// Path from the root of the plugin's configuration; empty when it is about something else.
    pub(super) path: String,
    pub(super) place: Place,
    pub(super) message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// The filter would refuse the configuration.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
    /// There was nothing to check.
    Note,
}

impl Problem {
    pub(super) fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: String::new(), place, message: message.into() }
    }

    pub(super) fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    pub(super) fn note(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(place, message) }
    }

    pub(super) fn about(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
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
