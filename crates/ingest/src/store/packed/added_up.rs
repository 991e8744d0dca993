//! Rows added up.

use super::form::Loose;
use crate::model::Values;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Sums of rows by a key. Most of the time of adding goes into distributions, so that those of a sum are encoded once, and those of
/// a row alone are not even decoded.
pub(in crate::store) struct AddedUp<'a, K>(BTreeMap<K, Sum<'a>>);

/// The first row of a sum, and the values of all where there are several.
struct Sum<'a> {
    first: Cow<'a, Loose>,
    all: Option<Values>,
}

impl<'a, K: Ord> AddedUp<'a, K> {
    pub(in crate::store) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(in crate::store) fn add(&mut self, key: K, row: Cow<'a, Loose>) {
        match self.0.get_mut(&key) {
            Some(Sum { first, all }) => all.get_or_insert_with(|| first.values()).add(&row.values()),
            None => drop(self.0.insert(key, Sum { first: row, all: None })),
        }
    }

    /// The sums in the order of their keys. Each has the minute, the series and the instance of its first row.
    pub(in crate::store) fn into_rows(self) -> impl Iterator<Item = (K, Loose)> {
        self.0.into_iter().map(|(key, Sum { first, all })| {
            let first = first.into_owned();
            let row = match all {
                Some(all) => first.with(&all),
                None => first,
            };
            (key, row)
        })
    }
}
