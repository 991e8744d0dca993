//! Texts that points share, each kept once for a batch.

use std::collections::HashSet;
use std::sync::Arc;

/// The texts of a batch.
#[derive(Default)]
pub(super) struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// The text, as all others of this batch that are equal.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;
    use std::sync::Arc;

    #[test]
    fn equal_texts_are_one() {
        let mut texts = Texts::default();
        let [a, b, c] = ["/a", "/a", "/b"].map(|text| texts.share(text));
        assert!(Arc::ptr_eq(&a, &b) && !Arc::ptr_eq(&a, &c));
        assert_eq!((&*a, &*c), ("/a", "/b"));
    }
}
