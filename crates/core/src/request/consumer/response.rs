//! Response headers in which the application names the caller.

use crate::host::Stream;

/// The response headers among the sources, as a filter found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResponseNames {
    /// No filter saw the response headers: they are read when the stream ends, and reach the client.
    #[default]
    Unseen,
    /// A filter saw them and removed those that it found: the position in `ConsumerPlan::response_headers`, and the value.
    Removed(Vec<(usize, Vec<u8>)>),
}

impl ResponseNames {
    /// Reads these headers and removes them from the response. Valid when the response headers arrive.
    pub fn remove<S: Stream>(host: &S, names: &[Box<str>]) -> Self {
        let mut removed = Vec::new();
        for (position, name) in names.iter().enumerate() {
            if let Some(value) = host.response_header(name) {
                host.remove_response_header(name);
                removed.push((position, value.as_ref().to_vec()));
            }
        }
        Self::Removed(removed)
    }

    /// The value of the header at this position, from the host where no filter saw it.
    pub(super) fn value<S: Stream>(&self, host: &S, position: usize, name: &str) -> Option<Vec<u8>> {
        match self {
            Self::Unseen => host.response_header(name).map(|value| value.as_ref().to_vec()),
            Self::Removed(removed) => {
                let (_, value) = removed.iter().find(|(known, _)| *known == position)?;
                Some(value.clone())
            }
        }
    }
}
