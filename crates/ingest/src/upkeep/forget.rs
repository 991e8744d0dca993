//! Removes the data of senders, environments or consumers, with or without a service at work.

use super::control::{self, Order};
use crate::store::{self, METRICS_FILE, StoreError};
use std::path::{Path, PathBuf};

pub use crate::store::{Deed, Forgotten, Selection};

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Nothing is selected.
    #[error("nothing is selected: give --instance, --environment or --consumer")]
    Empty,
    /// There is no store.
    #[error("{path} has no data of gatelens: give the directory of `gatelens serve --data`", path = .0.display())]
    NoData(PathBuf),
    /// The service at work refused.
    #[error("the service could not: {0}")]
    Service(String),
    /// The files have a fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Removes what a selection takes from a data directory, or counts it. A service at work does it itself.
///
/// # Errors
/// [`ForgetError`]. After a fault in a file, those before it have been worked on.
pub fn forget(data: &Path, selection: &Selection, deed: Deed) -> Result<Forgotten, ForgetError> {
    if selection.is_empty() {
        return Err(ForgetError::Empty);
    }
    if !data.join(METRICS_FILE).exists() {
        return Err(ForgetError::NoData(data.to_owned()));
    }
    match control::order(data, &Order::Forget { selection: selection.clone(), deed }) {
        Some(outcome) => outcome.map_err(ForgetError::Service),
        None => Ok(store::forget_offline(data, selection, deed)?),
    }
}
