//! The display name and the group of a consumer.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::text::clean;
use super::{ANONYMOUS, MAX_LABEL_CHARS, Sighting, credential, property};
use crate::host::Stream;

/// The sources of names and groups.
#[derive(Debug, Default)]
pub struct Labels {
    /// By consumer ID; takes precedence.
    pub directory: HashMap<Box<str>, Label>,
    /// The source of names.
    pub name: Option<LabelSource>,
    /// The source of groups.
    pub group: Option<LabelSource>,
}

/// A source of names or of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelSource {
    /// A request header, in lower case.
    Header(Box<str>),
    /// Dynamic metadata: the name of a filter, then keys.
    Metadata(Box<[Box<str>]>),
}

/// A name and a group, each at most [`MAX_LABEL_CHARS`] characters; empty when unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The display name.
    pub name: String,
    /// The group.
    pub group: String,
}

impl Labels {
    /// The name and the group of the consumer with this ID. Nobody has neither.
    pub fn of<S: Stream>(&self, id: &str, request: &Sighting<'_, S>) -> Label {
        if self.name.is_none() && self.group.is_none() && self.directory.is_empty() || id == ANONYMOUS {
            return Label::default();
        }
        let mut label = self.directory.get(id).cloned().unwrap_or_default();
        let sources = [(&mut label.name, &self.name), (&mut label.group, &self.group)];
        for (field, source) in sources {
            if let Some(source) = source
                && field.is_empty()
            {
                *field = source.text(request).unwrap_or_default();
            }
        }
        label
    }
}

impl Label {
    /// Makes a label out of texts as they are written.
    pub fn new(name: &str, group: &str) -> Self {
        let cleaned = |text: &str| clean(text.as_bytes(), MAX_LABEL_CHARS).unwrap_or_default().into_owned();
        Self { name: cleaned(name), group: cleaned(group) }
    }

    /// Whether neither is known.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty() && self.group.is_empty()
    }
}

impl LabelSource {
    fn text<S: Stream>(&self, request: &Sighting<'_, S>) -> Option<String> {
        match self {
            Self::Header(name) => {
                clean(credential::header(request.headers, name)?, MAX_LABEL_CHARS).map(Cow::into_owned)
            }
            Self::Metadata(path) => {
                let value = property::text(request.host.metadata(path)?.as_ref())?;
                clean(&value, MAX_LABEL_CHARS).map(Cow::into_owned)
            }
        }
    }
}
