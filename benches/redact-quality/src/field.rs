//! The fields of an API, as its types describe them.

use std::collections::{BTreeMap, BTreeSet};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    /// One of some words.
    Enumeration,
    Object,
}

/// A field within an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    /// The name of the field that holds the object; empty where it is the whole body.
    pub(crate) around: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) list: bool,
}

/// The type of a field, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) enum Type {
    Known(Kind),
    /// A type that is described elsewhere.
    Named(String),
}

/// The types of an API.
#[derive(Debug, Default)]
pub(crate) struct Types {
    /// For each type its fields: name, type, whether it is a list.
    pub(crate) objects: BTreeMap<String, Vec<(String, Type, bool)>>,
    /// Types that are one of some words.
    pub(crate) enumerations: BTreeSet<String>,
    /// Other names of simple types.
    pub(crate) simple: BTreeMap<String, Kind>,
}

/// Names around an object that are looked at.
const MAX_AROUND: usize = 4;

impl Types {
    /// Every field, once for each name around it.
    pub(crate) fn fields(&self) -> BTreeSet<Field> {
        let mut around: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for fields in self.objects.values() {
            for (name, kind, _) in fields {
                if let Type::Named(named) = kind {
                    around.entry(named).or_default().insert(name);
                }
            }
        }
        let mut all = BTreeSet::new();
        for (object, fields) in &self.objects {
            let names: Vec<&str> = around
                .get(&**object)
                .map(|names| names.iter().copied().take(MAX_AROUND).collect())
                .unwrap_or_else(|| vec![""]);
            for (name, kind, list) in fields {
                for around in &names {
                    all.insert(Field {
                        around: (*around).to_owned(),
                        name: name.clone(),
                        kind: self.kind(kind),
                        list: *list,
                    });
                }
            }
        }
        all
    }

    fn kind(&self, kind: &Type) -> Kind {
        match kind {
            Type::Known(kind) => *kind,
            Type::Named(name) if self.enumerations.contains(name) => Kind::Enumeration,
            Type::Named(name) => self.simple.get(name).copied().unwrap_or(Kind::Object),
        }
    }
}
