//! Hashes that stay the same over versions and machines: FNV-1a, and a finalizer for it. They are identities and protect
//! nothing.

/// The state before the first byte.
pub const START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a (64 bits): the state after more bytes.
pub fn fnv1a(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finalizer of MurmurHash3: texts that differ in their last byte alone differ in the upper bits, too, which FNV-1a
/// leaves poor.
pub fn mix(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
