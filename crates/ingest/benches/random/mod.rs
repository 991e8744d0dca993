//! Numbers for made-up requests.

/// A generator that gives the same numbers each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// SplitMix64, because identifiers of real traces do not compress.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
