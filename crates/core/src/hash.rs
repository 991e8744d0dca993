//! A stable 64-bit hash (FNV-1a) for identities that processes and versions of the filter must agree on.
//! It has no key: it must never cover a credential, which could be guessed from the published hash.

use gatelens_model::hash;

/// Hashes the parts together with their boundaries.
pub(crate) fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    parts.into_iter().fold(hash::START, |state, part| {
        hash::fnv1a(hash::fnv1a(state, &(part.len() as u64).to_le_bytes()), part)
    })
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn boundaries_between_parts_matter() {
        let hash = |parts: &[&str]| fnv1a(parts.iter().map(|p| p.as_bytes()));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(hash(&["ab", "c"]), hash(&["ab", "c"]));
    }
}
