//! The directory of consumers: the names, groups and notes that people gave them. An entry is about an ID, in all services and
//! environments. Its name and its group win over those that gateways report, and both are kept.

pub(crate) mod csv;

use crate::store::Refused;
use gatelens_model::value;
use serde::{Deserialize, Serialize};

/// Longest ID, in characters, as in the filter.
const MAX_ID_CHARS: usize = 128;
/// Longest name and longest group, in characters, as in the filter.
const MAX_LABEL_CHARS: usize = 64;
const MAX_NOTE_CHARS: usize = 500;
/// Most entries.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// What people wrote about a consumer. An empty text is none: then that of the gateways holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) note: String,
}

/// An entry: the ID of a consumer, and the details.
pub(crate) type Entry = (String, Details);

/// A change of the directory.
#[derive(Debug)]
pub(crate) enum Change {
    /// Writes entries; others stay.
    Put { entries: Vec<Entry>, by: String },
    /// Removes the entry of an ID.
    Remove { id: String },
}

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("{message}")]
    Entry { field: &'static str, message: String },
    #[error("{wrong}, the first: line {line}: {message}: correct the file and import it again")]
    Csv { line: u64, message: String, wrong: String },
    #[error("there is no entry of {0:?}")]
    Unknown(String),
    #[error("the directory would have more than {MAX_ENTRIES} entries: remove some")]
    Full,
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// There is no such entry.
    Unknown,
    /// There would be too many.
    Full,
}

impl Details {
    /// Whether nothing is written.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An entry with its texts trimmed.
///
/// # Errors
/// When a text is too long or has control characters, when nothing is written about the ID, and when the ID is a reserved one.
pub(crate) fn checked(id: &str, details: &Details) -> Result<Entry, DirectoryError> {
    let refused = |field, message: &str| DirectoryError::Entry { field, message: message.to_owned() };
    let text = |field: &'static str, text: &str, most: usize| {
        let text = text.trim();
        if text.chars().count() > most {
            return Err(refused(field, &format!("{field} has more than {most} characters: shorten it")));
        }
        if text.chars().any(char::is_control) {
            let message = format!("{field} has a control character, such as a line end: remove it");
            return Err(refused(field, &message));
        }
        Ok(text.to_owned())
    };
    let id = text("id", id, MAX_ID_CHARS)?;
    if id.is_empty() {
        return Err(refused("id", "id is empty: write the ID of the consumer"));
    }
    if [value::ANONYMOUS, value::OVERFLOW].contains(&&*id) {
        return Err(refused("id", &format!("{id} is no consumer: it stands for requests without a name")));
    }
    let details = Details {
        name: text("name", &details.name, MAX_LABEL_CHARS)?,
        group: text("group", &details.group, MAX_LABEL_CHARS)?,
        note: text("note", &details.note, MAX_NOTE_CHARS)?,
    };
    if details.is_empty() {
        return Err(refused("name", "the entry is empty: write a name, a group or a note"));
    }
    Ok((id, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_trimmed_and_bounded() {
        let details = |name: &str| Details { name: name.to_owned(), ..Details::default() };
        let check = |id: &str, name: &str, expected: Result<(&str, &str), &str>| {
            let found = checked(id, &details(name));
            let found = found.as_ref().map(|(id, details)| (&**id, &*details.name));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(DirectoryError::Entry { field, .. }), Err(expected)) => assert_eq!(*field, expected),
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
        };
        check(" acme ", " Acme, Inc. ", Ok(("acme", "Acme, Inc.")));
        check(&"é".repeat(128), &"é".repeat(64), Ok((&"é".repeat(128), &"é".repeat(64))));
        check(&"x".repeat(129), "A", Err("id"));
        check("acme", &"x".repeat(65), Err("name"));
        check("acme", "a\nb", Err("name"));
        check("acme", "  ", Err("name"));
        check("", "A", Err("id"));
        check("anonymous", "A", Err("id"));
        check("__overflow__", "A", Err("id"));
    }
}
