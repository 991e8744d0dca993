//! Compare-and-swap access to shared data.

use std::fmt;

use crate::host::{Host, Version};

/// Version of the format of all values, part of every key.
///
/// Two versions of the filter with the same format may use the same values at once. Within a format a value may only
/// grow at its end, as [`super::row`] describes. Any other change, the layout of a [`crate::counters::SeriesKey`]
/// included, needs a new number: the two versions then have separate counters, each with its own epoch.
pub const FORMAT: u32 = 3;

/// Attempts at a compare-and-swap before the work is left for the next tick. Each failure means that another worker
/// succeeded, so only far more workers than Envoy has reach this bound.
pub(super) const ATTEMPTS: usize = 64;

/// Identifies the counters of a plugin among all others in the same shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterSetId(pub u64);

/// A value in shared data that this version of the filter cannot read. It is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value in shared data cannot be read by this version of the filter")]
pub struct Unreadable;

/// Why a value was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Other workers changed it each time.
    #[error("other workers changed a value in shared data each time")]
    Contended,
    /// See [`Unreadable`].
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Makes a value from the present one.
type Change<'a> = dyn FnMut(Option<&[u8]>) -> Result<Vec<u8>, Unreadable> + 'a;

/// The values of one set of counters.
#[derive(Debug)]
pub struct SharedStore {
    prefix: String,
}

impl SharedStore {
    /// Access to the values of these counters; nothing is read or written yet.
    pub fn new(id: CounterSetId) -> Self {
        Self { prefix: format!("gatelens/{FORMAT}/{:016x}/", id.0) }
    }

    /// The full name of a key.
    #[inline(never)]
    pub(super) fn key(&self, name: fmt::Arguments<'_>) -> Vec<u8> {
        format!("{}{name}", self.prefix).into_bytes()
    }

    /// Replaces a value by the result of `change`, and returns the new value.
    ///
    /// # Errors
    /// [`UpdateError`]; then the value is unchanged.
    pub(super) fn update(
        &self,
        host: &impl Host,
        name: fmt::Arguments<'_>,
        mut change: impl FnMut(Option<&[u8]>) -> Result<Vec<u8>, Unreadable>,
    ) -> Result<Vec<u8>, UpdateError> {
        self.update_key(host, &self.key(name), &mut change)
    }

    /// The same for every change, so that the code exists once.
    #[inline(never)]
    fn update_key(
        &self,
        host: &impl Host,
        key: &[u8],
        change: &mut Change<'_>,
    ) -> Result<Vec<u8>, UpdateError> {
        for _ in 0..ATTEMPTS {
            let present = host.shared_get(key);
            let version = present.as_ref().map_or(Version::ABSENT, |(_, version)| *version);
            let value = change(present.as_ref().map(|(value, _)| &value[..]))?;
            if host.shared_set(key, &value, version).is_ok() {
                return Ok(value);
            }
        }
        Err(UpdateError::Contended)
    }
}
