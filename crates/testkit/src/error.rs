use std::fmt;
use std::io;
use std::path::PathBuf;

/// What goes wrong in the harness.
///
/// Its `Debug` is its message, so that an `unwrap` in a test reads as a sentence.
#[derive(thiserror::Error)]
pub enum Error {
    /// An artefact that a make target builds is not there.
    #[error("{path} is missing: run `{target}`", path = path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The command that builds it.
        target: &'static str,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A connection failed or its peer broke the protocol.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A process ended before it was ready.
    #[error("{name} ended ({status}); the end of its log:\n{log}")]
    Exited {
        /// Which process.
        name: String,
        /// Its exit status.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// Something awaited did not come about.
    #[error("gave up after {seconds} s waiting for {what}\n{log}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// The last lines of the log of whoever should have done it; may be empty.
        log: String,
    },
    /// A configuration or an answer is not what the harness understands.
    #[error("{0}")]
    Unexpected(String),
}

/// The result of everything in the harness.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// [`Error::File`] about this path, for `map_err`.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
