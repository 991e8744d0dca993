//! Copies the counters and the request log of a data directory to a store on ClickHouse.

use crate::clickhouse::{ClickHouse, ClickHouseConfig};
use crate::limits::Limits;
use crate::store::contents::Contents;
use crate::store::{METRICS_FILE, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::clickhouse::Copied;

/// Why a copy is not complete.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no store.
    #[error("{path} has no data of gatelens: give the directory of `gatelens serve --data`", path = .0.display())]
    NoData(PathBuf),
    /// The files cannot be read, or a service uses them.
    #[error(transparent)]
    Files(StoreError),
    /// The server cannot be reached, refuses, or has tables of a newer version.
    #[error("cannot use the store {address}: {source}; repeat the command, which counts nothing twice")]
    Server {
        /// Its address.
        address: String,
        /// The error.
        source: StoreError,
    },
    /// The system has no threads or files left.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// Copies counts, counters' states and the log of a directory that no service uses. It may be repeated: whatever was copied
/// before counts once. `progress` gets the name of each part.
///
/// # Errors
/// [`CopyError`]. A part is copied then.
pub fn copy(
    data: &Path,
    store: &ClickHouseConfig,
    limits: &Limits,
    progress: impl FnMut(&str),
) -> Result<Copied, CopyError> {
    if !data.join(METRICS_FILE).exists() {
        return Err(CopyError::NoData(data.to_owned()));
    }
    let mut contents = Contents::open(data).map_err(CopyError::Files)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let copied = runtime.map_err(CopyError::Runtime)?.block_on(async {
        let server = ClickHouse::open(store, Arc::default(), limits).await?;
        server.copy(&mut contents, progress).await
    });
    copied.map_err(|source| match source {
        source @ (StoreError::ClickHouse(_)
        | StoreError::NewerTables { .. }
        | StoreError::NotOnCluster { .. }) => {
            CopyError::Server { address: store.address.to_string(), source }
        }
        source => CopyError::Files(source),
    })
}
