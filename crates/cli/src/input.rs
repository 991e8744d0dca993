//! Files that the command line names; `-` is the standard input.

use std::io::{self, Read};
use std::path::Path;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub(crate) struct InputError {
    name: String,
    source: io::Error,
}

/// The name of a file in messages.
pub(crate) fn name(file: &Path) -> String {
    if is_standard(file) { "standard input".to_owned() } else { file.display().to_string() }
}

/// The content of a file.
///
/// # Errors
/// [`InputError`] with the system's reason.
pub(crate) fn bytes(file: &Path) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    let read = if is_standard(file) {
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map_err(|source| InputError { name: name(file), source })
}

/// The content of a file of text.
///
/// # Errors
/// As [`bytes`], and for a file that is not UTF-8.
pub(crate) fn text(file: &Path) -> Result<String, InputError> {
    String::from_utf8(bytes(file)?).map_err(|_| {
        let source = io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8");
        InputError { name: name(file), source }
    })
}

fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}
