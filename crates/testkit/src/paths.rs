//! Where the built artefacts are: an environment variable says, else the place where `make` leaves them.

use std::env;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The filter: `GATELENS_WASM`, else `target/gatelens.wasm`.
///
/// # Errors
/// [`Error::Missing`].
pub fn wasm() -> Result<PathBuf> {
    artefact("GATELENS_WASM", &["target/gatelens.wasm"], "make wasm")
}

/// The filter that traps on request, for the tests of that: `GATELENS_TRAP_WASM`, else `target/gatelens-trap.wasm`.
///
/// # Errors
/// [`Error::Missing`].
pub fn trap_wasm() -> Result<PathBuf> {
    artefact("GATELENS_TRAP_WASM", &["target/gatelens-trap.wasm"], "make wasm-trap")
}

/// The SDK's no-op filter: `GATELENS_NOOP_WASM`, else `target/gatelens-noop.wasm`.
///
/// # Errors
/// [`Error::Missing`].
pub fn noop_wasm() -> Result<PathBuf> {
    artefact("GATELENS_NOOP_WASM", &["target/gatelens-noop.wasm"], "make noop")
}

/// The dynamic module: `GATELENS_NATIVE`, else that of `make native`, else that of the tests.
///
/// # Errors
/// [`Error::Missing`].
pub fn native() -> Result<PathBuf> {
    let places = ["target/release/libgatelens.so", "target/debug/libgatelens_dynamic_module.so"];
    artefact("GATELENS_NATIVE", &places, "make native")
}

/// The service: `GATELENS_BIN`, else `target/release/gatelens`, else `target/debug/gatelens`.
///
/// # Errors
/// [`Error::Missing`].
pub fn gatelens() -> Result<PathBuf> {
    artefact("GATELENS_BIN", &["target/release/gatelens", "target/debug/gatelens"], "make build")
}

/// Envoy: `ENVOY`, else `.venv/bin/envoy`, else `envoy` on the `PATH`.
///
/// # Errors
/// [`Error::Missing`].
pub fn envoy() -> Result<PathBuf> {
    artefact("ENVOY", &[".venv/bin/envoy"], "make envoy").or_else(|missing| {
        let path = env::var_os("PATH").unwrap_or_default();
        let found =
            env::split_paths(&path).map(|directory| directory.join("envoy")).find(|file| file.is_file());
        // A path that was asked for by name is never replaced by another.
        if env::var_os("ENVOY").is_some() { Err(missing) } else { found.ok_or(missing) }
    })
}

/// The collector `rotel`, another maker's receiver of OTLP: `ROTEL`, else that of `make rotel`.
///
/// # Errors
/// [`Error::Missing`].
pub fn rotel() -> Result<PathBuf> {
    let root = workspace_root().join(".venv-rotel/lib");
    let found = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| {
        Some(entry.ok()?.path().join("site-packages/rotel/rotel-agent")).filter(|path| path.is_file())
    });
    let place = found.into_iter().next().unwrap_or_else(|| PathBuf::from(".venv-rotel"));
    artefact("ROTEL", &[&place.to_string_lossy()], "make rotel")
}

/// The Python that has ClickHouse's engine: `CHDB`, else that of `make chdb`.
///
/// # Errors
/// [`Error::Missing`].
pub fn chdb() -> Result<PathBuf> {
    // Without the mark, the packages are not complete.
    artefact("CHDB", &[".venv-chdb/.installed"], "make chdb").map(|path| match path.ends_with(".installed") {
        true => path.with_file_name("bin").join("python"),
        false => path,
    })
}

fn artefact(variable: &str, places: &[&str], target: &'static str) -> Result<PathBuf> {
    let root = workspace_root();
    let candidates: Vec<PathBuf> = match env::var_os(variable) {
        // Relative to the root, as everything here is; an absolute one stays as it is.
        Some(path) => vec![root.join(path)],
        None => places.iter().map(|place| root.join(place)).collect(),
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(Error::Missing { path: candidates.into_iter().next().unwrap_or(root), target }),
    }
}
