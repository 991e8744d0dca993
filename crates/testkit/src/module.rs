//! What a WebAssembly module asks of its host and offers to it, read from the binary itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{Error, Result};

const TYPE_OF_FUNCTION: u8 = 0;
const TYPE_OF_TABLE: u8 = 1;
const TYPE_OF_MEMORY: u8 = 2;
const TYPE_OF_GLOBAL: u8 = 3;

/// Names of the functions that cross the border of a module.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Called by the module.
    pub imports: BTreeSet<String>,
    /// Offered by the module.
    pub exports: BTreeSet<String>,
}

impl Module {
    /// Reads a binary module.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Unexpected`] when it is no WebAssembly, or uses what the 1.0 format does not have.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::file(path))?;
        let malformed = || Error::Unexpected(format!("{}: no WebAssembly 1.0 module", path.display()));
        Self::parse(&bytes).ok_or_else(malformed)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = Cursor(bytes.strip_prefix(b"\0asm\x01\0\0\0")?);
        let mut module = Self::default();
        while !rest.0.is_empty() {
            let id = rest.byte()?;
            let size = rest.number()?;
            let mut section = Cursor(rest.take(size)?);
            match id {
                2 => module.read_imports(&mut section)?,
                7 => module.read_exports(&mut section)?,
                _ => {}
            }
        }
        Some(module)
    }

    fn read_imports(&mut self, section: &mut Cursor<'_>) -> Option<()> {
        for _ in 0..section.number()? {
            let (_, name) = (section.name()?, section.name()?);
            match section.byte()? {
                TYPE_OF_FUNCTION => {
                    section.number()?;
                    self.imports.insert(name);
                }
                TYPE_OF_TABLE => {
                    section.byte()?;
                    section.limits()?;
                }
                TYPE_OF_MEMORY => section.limits()?,
                TYPE_OF_GLOBAL => drop(section.take(2)?),
                _ => return None,
            }
        }
        Some(())
    }

    fn read_exports(&mut self, section: &mut Cursor<'_>) -> Option<()> {
        for _ in 0..section.number()? {
            let (name, kind) = (section.name()?, section.byte()?);
            section.number()?;
            if kind == TYPE_OF_FUNCTION {
                self.exports.insert(name);
            }
        }
        Some(())
    }
}

/// What is left to read; every method takes from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// An unsigned LEB128 of at most 32 bits.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn name(&mut self) -> Option<String> {
        let length = self.number()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn limits(&mut self) -> Option<()> {
        let has_maximum = self.byte()? & 1 == 1;
        self.number()?;
        if has_maximum {
            self.number()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_beside_other_things() {
        // (module (import "env" "log" (func (type 0))) (import "env" "mem" (memory 1 2)) (export "run" (func 0)))
        let bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x17\x02\x03env\x03log\0\0\x03env\x03mem\x02\x01\x01\x02\x07\x07\x01\x03run\0\0";
        let module = Module::parse(bytes).unwrap();
        assert_eq!(module.imports.into_iter().collect::<Vec<_>>(), ["log"]);
        assert_eq!(module.exports.into_iter().collect::<Vec<_>>(), ["run"]);
        for length in 0..bytes.len() {
            assert!(
                Module::parse(&bytes[..length]).is_none_or(|module| module.exports.is_empty()),
                "{length}"
            );
        }
    }
}
