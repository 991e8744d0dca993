//! Masking until nothing changes any more.
//!
//! Odd input reads differently when a part of it is masked: a name can appear where there was a value. Everything that
//! is masked in place is therefore masked again until it stays the same, by this one rule.

use std::borrow::{Borrow, Cow};

/// How often a value is masked at most. A value that the last of these passes still changes is masked whole.
pub(super) const MAX_PASSES: usize = 4;

/// Which of the passes over a value this is. Rules count their hits in the first one, where they see what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    First,
    Again,
}

/// Applies `mask` until it returns `None` or the value as it is. `None` when [`MAX_PASSES`] do not suffice: the caller
/// must mask the whole value.
pub(super) fn until_stable<'v, T: ToOwned + PartialEq + ?Sized>(
    value: &'v T,
    mut mask: impl FnMut(&T, Pass) -> Option<T::Owned>,
) -> Option<Cow<'v, T>> {
    let mut last = Cow::Borrowed(value);
    let mut pass = Pass::First;
    for _ in 0..MAX_PASSES {
        match mask(&last, pass) {
            Some(masked) if masked.borrow() != &*last => last = Cow::Owned(masked),
            _ => return Some(last),
        }
        pass = Pass::Again;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_masked_until_it_stays_the_same() {
        let check = |length: usize, stable: Option<&str>| {
            let value = "a".repeat(length);
            let mut passes = Vec::new();
            let masked = until_stable(&*value, |value: &str, pass| {
                passes.push(pass);
                value.strip_suffix('a').map(str::to_owned)
            });
            assert_eq!(masked.as_deref(), stable, "{length}");
            assert_eq!(passes.len(), MAX_PASSES.min(length + 1), "{length}");
            assert_eq!(passes[0], Pass::First);
            assert!(passes[1..].iter().all(|pass| *pass == Pass::Again));
        };
        check(0, Some(""));
        check(1, Some(""));
        check(3, Some(""));
        check(4, None);
        check(9, None);
        assert!(matches!(until_stable("x", |_, _| Some("x".to_owned())), Some(Cow::Borrowed("x"))));
    }
}
