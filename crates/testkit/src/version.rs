//! The version of the Envoy under test.

use std::fmt;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Error, Result, paths};

/// A version of Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The minor version: 40 of 1.40.2. The major one is always 1.
    pub minor: u32,
    /// The patch version: 2 of 1.40.2.
    pub patch: u32,
}

impl Version {
    /// The first version that reads the allow-list under `vm_config`.
    pub const ALLOW_LIST_MOVES: Version = Version { minor: 40, patch: 0 };

    /// The first version whose ABI the dynamic module is built for.
    pub const DYNAMIC_MODULE: Version = Version { minor: 40, patch: 0 };

    /// The version of [`paths::envoy`], which the variable `ENVOY` selects.
    ///
    /// # Errors
    /// [`Error::Missing`] without an Envoy; [`Error::Unexpected`] when it does not print its version.
    pub fn under_test() -> Result<Self> {
        static KNOWN: OnceLock<Version> = OnceLock::new();
        if let Some(known) = KNOWN.get() {
            return Ok(*known);
        }
        let output = Command::new(paths::envoy()?).arg("--version").output();
        let text = output.map_err(Error::io("asking Envoy for its version"))?.stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        let version = parse(&text).ok_or(Error::Unexpected(text))?;
        Ok(*KNOWN.get_or_init(|| version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// Reads `<path of the binary>  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse(text: &str) -> Option<Version> {
    let (_, version) = text.split_once(" version: ")?;
    let mut numbers = version.split('/').nth(1)?.split(['.', '-']);
    if numbers.next() != Some("1") {
        return None;
    }
    let mut number = || numbers.next()?.parse().ok();
    Some(Version { minor: number()?, patch: number()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |number: &str| {
            parse(&format!("\n/usr/bin/envoy  version: 0a1b/{number}/Clean/RELEASE/BoringSSL\n\n"))
        };
        assert_eq!(read("1.40.0"), Some(Version::ALLOW_LIST_MOVES));
        assert_eq!(read("1.41.2-dev"), Some(Version { minor: 41, patch: 2 }));
        assert_eq!(read("2.0.0"), None);
        assert_eq!(parse("envoy"), None);
        assert!(read("1.39.3") < read("1.40.0") && read("1.40.0") < read("1.40.1"));
    }
}
