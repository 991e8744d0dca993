//! The epoch: one life of the counters.

use super::store::SharedStore;
use crate::host::{Conflict, Host, Version};

/// One life of the counters: from the first start of the plugin in a process to the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Random.
    pub id: u64,
    /// Its beginning, nanoseconds since the Unix epoch.
    pub start_ns: u64,
}

/// The epoch in progress; begins one if there is none.
pub fn open(host: &impl Host, store: &SharedStore) -> Epoch {
    let fresh = Epoch { id: host.random(), start_ns: host.now() };
    let key = store.key(format_args!("epoch"));
    let encoded = [fresh.id.to_le_bytes(), fresh.start_ns.to_le_bytes()].concat();
    let present = match host.shared_set(&key, &encoded, Version::ABSENT) {
        Ok(()) => None,
        Err(Conflict) => host.shared_get(&key).and_then(|(value, _)| decode(&value)),
    };
    present.unwrap_or(fresh)
}

/// Whether an epoch is in progress.
pub fn is_open(host: &impl Host, store: &SharedStore) -> bool {
    host.shared_get(&store.key(format_args!("epoch"))).is_some()
}

/// Reads both numbers; a newer version may have appended more.
fn decode(value: &[u8]) -> Option<Epoch> {
    let (id, rest) = value.split_first_chunk::<8>()?;
    let (start_ns, _) = rest.split_first_chunk::<8>()?;
    Some(Epoch { id: u64::from_le_bytes(*id), start_ns: u64::from_le_bytes(*start_ns) })
}
