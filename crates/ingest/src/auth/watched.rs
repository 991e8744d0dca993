//! A file that may change while the service runs.

use super::AccessError;
use crate::sync::lock;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A larger file is refused.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A parsed file. While the file is wrong or missing, the last good content stays in force, and the log has the fault.
pub(crate) struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> Result<T, String>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
}

/// The file at the last look at it.
#[derive(PartialEq, Eq)]
enum Seen {
    Content(String),
    Missing(io::ErrorKind),
}

impl<T> Watched<T> {
    /// Reads a file that must be good now.
    pub(crate) fn open(path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<Self, AccessError> {
        let path = path.to_owned();
        let text = match read(&path) {
            Ok(text) => text,
            Err(source) => return Err(AccessError::Unreadable { path, source }),
        };
        match parse(&text) {
            Ok(value) => Ok(Self {
                path,
                parse,
                current: RwLock::new(Arc::new(value)),
                seen: Mutex::new(Seen::Content(text)),
            }),
            Err(message) => Err(AccessError::Wrong { path, message }),
        }
    }

    /// The last good content.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again. The content is compared and not its times: files that are replaced by links, such as those
    /// of a Kubernetes Secret, and clocks with coarse ticks would deceive.
    pub(crate) fn refresh(&self) {
        let (now, fault) = match read(&self.path) {
            Ok(text) => (Seen::Content(text), None),
            Err(error) => (Seen::Missing(error.kind()), Some(error.to_string())),
        };
        let mut seen = lock(&self.seen);
        if *seen == now {
            return;
        }
        let file = self.path.display();
        let parsed = match &now {
            Seen::Content(text) => (self.parse)(text),
            Seen::Missing(_) => Err(fault.unwrap_or_default()),
        };
        match parsed {
            Ok(value) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                tracing::info!(%file, "the changed file is in force");
            }
            Err(fault) => {
                tracing::error!(%file, %fault, "the changed file is wrong; its last good content stays in force")
            }
        }
        *seen = now;
    }
}

/// Reads YAML. The error has the place and not the lines around it: the log must not have the hash of a password, nor a
/// secret that stands in the wrong place.
pub(super) fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_in_force_and_a_wrong_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let parse = |text: &str| text.trim().parse::<u32>().map_err(|error| error.to_string());
        assert!(matches!(Watched::open(&path, parse), Err(AccessError::Unreadable { .. })));
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(Watched::open(&path, parse), Err(AccessError::Wrong { .. })));
        std::fs::write(&path, "1").unwrap();
        let file = Watched::open(&path, parse).unwrap();
        let check = |content: &str, expected: u32| {
            std::fs::write(&path, content).unwrap();
            file.refresh();
            assert_eq!(*file.get(), expected, "{content}");
        };
        check("2", 2);
        check("two", 2);
        check("3", 3);
        std::fs::remove_file(&path).unwrap();
        file.refresh();
        assert_eq!(*file.get(), 3);
        check("3", 3);
        check("4", 4);
    }
}
