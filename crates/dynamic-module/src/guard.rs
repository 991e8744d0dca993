//! The border that no panic crosses: one that did would end the gateway.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::host;
use gatelens_core::host::LogLevel;

/// Panics that were caught and that [`take_panics`] has not returned.
static NEW_PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics that were caught, ever.
static ALL_PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs the work of a hook. `None` if it panicked: the panic is counted, and logged if its number is a power of two.
///
/// The state that the work was changing is used again. Nothing there relies on two changes happening together: the core
/// expects a worker that stops halfway, because that is how one in a Wasm VM ends.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    if result.is_none() {
        NEW_PANICS.fetch_add(1, Ordering::Relaxed);
        let number = ALL_PANICS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if number.is_power_of_two() {
            host::log(
                LogLevel::Error,
                &format!(
                    "a panic of the module was caught, number {number}; the counts and the log can lack its stream"
                ),
            );
        }
    }
    result
}

/// Takes a lock, also after a panic within it: see [`guarded`].
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of panics since the last call.
pub(crate) fn take_panics() -> u64 {
    NEW_PANICS.swap(0, Ordering::Relaxed)
}
