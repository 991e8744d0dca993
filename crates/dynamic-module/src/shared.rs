//! The map that all isolates of the process share.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use gatelens_core::host::{Conflict, Version};

type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

static VALUES: RwLock<Option<Values>> = RwLock::new(None);

/// A value with its version.
pub(crate) fn get(key: &[u8]) -> Option<(Vec<u8>, Version)> {
    let values = VALUES.read().unwrap_or_else(PoisonError::into_inner);
    let (value, version) = values.as_ref()?.get(key)?;
    Some((value.clone(), Version(*version)))
}

/// Replaces a value if its version is still `expected`, or creates it.
pub(crate) fn set(key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict> {
    let mut values = VALUES.write().unwrap_or_else(PoisonError::into_inner);
    let values = values.get_or_insert_default();
    match values.get_mut(key) {
        Some((_, version)) if *version != expected.0 => Err(Conflict),
        Some((present, version)) => {
            value.clone_into(present);
            // Zero is never a version, and the largest number stands for an absent value.
            *version = version.wrapping_add(1) % Version::ABSENT.0;
            *version = (*version).max(1);
            Ok(())
        }
        None => {
            values.insert(key.to_vec(), (value.to_vec(), 1));
            Ok(())
        }
    }
}
