//! Pseudonyms: a keyed hash in place of a value that must not leave the gateway in clear.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::text::clean;

/// Bytes of the hash that a pseudonym shows, two hex digits each. Among a million consumers two share a pseudonym with a
/// probability of 1 to 37 million.
const SHOWN_BYTES: usize = 8;

/// Makes pseudonyms with one key. The key is neither printed nor compared.
#[derive(Clone)]
pub struct Pseudonymizer {
    /// The state after the key, so that a request does not hash the key again.
    keyed: Hmac<Sha256>,
}

impl Pseudonymizer {
    /// Takes the key; any length will do, RFC 2104. `None` never happens.
    pub fn new(key: &str) -> Option<Self> {
        Some(Self { keyed: Hmac::new_from_slice(key.as_bytes()).ok()? })
    }

    /// The first `keep_prefix` characters of the value, then 16 hex digits: the first 64 bits of its HMAC-SHA-256. A value
    /// with fewer than twice as many characters keeps none, because they would be most of it.
    pub fn pseudonym(&self, value: &[u8], keep_prefix: usize) -> String {
        let mut keyed = self.keyed.clone();
        keyed.update(value);
        let hash = keyed.finalize().into_bytes();
        let mut id = String::new();
        if keep_prefix > 0 {
            let text = String::from_utf8_lossy(value.get(..1_024).unwrap_or(value));
            if text.chars().nth(keep_prefix.saturating_mul(2).saturating_sub(1)).is_some() {
                let prefix: String = text.chars().take(keep_prefix).collect();
                id = clean(prefix.as_bytes(), keep_prefix).unwrap_or_default().into_owned();
            }
        }
        for byte in hash.iter().take(SHOWN_BYTES) {
            for nibble in [byte >> 4, byte & 15] {
                id.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        id
    }
}

impl fmt::Debug for Pseudonymizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected digits are those of `printf %s VALUE | openssl dgst -sha256 -hmac KEY`.
    #[test]
    fn a_pseudonym_is_the_head_of_the_hmac() {
        let check = |key: &str, value: &str, keep_prefix: usize, id: &str| {
            assert_eq!(
                Pseudonymizer::new(key).unwrap().pseudonym(value.as_bytes(), keep_prefix),
                id,
                "{value}"
            );
        };
        check("Jefe", "what do ya want for nothing?", 0, "5bdcc146bf60754e");
        check("k3y", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", 6, "sk_livd1a1b7e0075a9efe");
        check("k3y", "abcdefghijkl", 6, "abcdef0fb2434e8c3d5a5a");
        check("k3y", "abcdefghijk", 6, "3e14160939a7488a");
        check("k3y", "", 0, "6debfeadd8df80dd");
    }
}
