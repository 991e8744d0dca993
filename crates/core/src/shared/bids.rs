//! Names that wait for a slot where none is free: workers write them, the leader takes them.
//!
//! The value of `waiting` has a section for each name: a byte for its dimension, its requests, the name.

use gatelens_model::varint;

use super::row::{put_section, take_section};
use super::store::SharedStore;
use crate::counters::{Bid, NameKind};
use crate::host::Host;

/// Maximum number of names of a dimension that one worker writes.
pub const MAX_BIDS: usize = 16;

/// Maximum number of names in the value.
const MAX_WRITTEN: usize = 512;

/// Adds the names that wait on this worker. What cannot be written now is written again later.
pub fn put(host: &impl Host, store: &SharedStore, bids: &[Bid]) {
    if bids.is_empty() {
        return;
    }
    let _ = store.update(host, format_args!("waiting"), |present| {
        let mut all = decode(present.unwrap_or_default());
        for bid in bids {
            let has_room = all.len() < MAX_WRITTEN;
            match all.iter_mut().find(|known| known.kind == bid.kind && known.name == bid.name) {
                Some(known) => known.requests = known.requests.max(bid.requests),
                None if has_room => all.push(bid.clone()),
                None => {}
            }
        }
        Ok(encode(&all))
    });
}

/// Takes the names that all workers have written.
pub fn take(host: &impl Host, store: &SharedStore) -> Vec<Bid> {
    let is_empty =
        host.shared_get(&store.key(format_args!("waiting"))).is_none_or(|(value, _)| value.is_empty());
    let mut taken = Vec::new();
    if !is_empty {
        let _ = store.update(host, format_args!("waiting"), |present| {
            taken = decode(present.unwrap_or_default());
            Ok(Vec::new())
        });
    }
    taken
}

fn encode(bids: &[Bid]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    for bid in bids {
        section.clear();
        let kind = NameKind::ALL.iter().position(|kind| *kind == bid.kind).unwrap_or_default();
        section.push(kind as u8);
        varint::put(&mut section, bid.requests);
        section.extend_from_slice(bid.name.as_bytes());
        put_section(&mut out, &section);
    }
    out
}

/// Names that this version cannot read are left out.
fn decode(mut value: &[u8]) -> Vec<Bid> {
    let mut bids = Vec::new();
    while let Ok(section) = take_section(&mut value) {
        bids.extend(read(section));
    }
    bids
}

fn read(section: &[u8]) -> Option<Bid> {
    let (kind, mut rest) = section.split_first()?;
    let kind = *NameKind::ALL.get(usize::from(*kind))?;
    let requests = varint::take(&mut rest)?;
    Some(Bid { kind, name: std::str::from_utf8(rest).ok()?.into(), requests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_come_back() {
        let bid = |kind, name: &str, requests| Bid { kind, name: name.into(), requests };
        let bids = [bid(NameKind::Route, "/a", 300), bid(NameKind::Consumer, "", 4)];
        assert_eq!(decode(&encode(&bids)), bids);
        let encoded = encode(&bids);
        for length in 0..encoded.len() {
            assert!(decode(&encoded[..length]).len() < 2, "{length} bytes");
        }
    }
}
