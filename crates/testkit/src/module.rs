//! The functions that a WebAssembly module imports and exports, read from the binary itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload, TypeRef};

use crate::{Error, Result};

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
    /// [`Error::File`]; [`Error::Unexpected`] when it is not a WebAssembly module.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::file(path))?;
        Self::parse(&bytes).map_err(|error| Error::Unexpected(format!("{}: {error}", path.display())))
    }

    fn parse(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(_) | TypeRef::FuncExact(_) = import.ty {
                            module.imports.insert(import.name.to_owned());
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            module.exports.insert(export.name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(module)
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
            let cut = Module::parse(&bytes[..length]).unwrap_or_default();
            assert!(cut.exports.is_empty(), "{length}");
        }
    }
}
