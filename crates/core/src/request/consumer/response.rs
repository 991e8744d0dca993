//! Response headers that the application writes for the filter: they name the caller, or report about the request.

use crate::host::Stream;

/// These response headers, as a filter found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResponseNames {
    /// No filter saw the response headers: they are read when the stream ends, and reach the client.
    #[default]
    Unseen,
    /// They were read: the position in `RequestPlan::response_headers`, and the value. A filter has removed those that it found.
    Read(Vec<(usize, Vec<u8>)>),
}

impl ResponseNames {
    /// Reads these headers and removes them from the response. Valid when the response headers arrive.
    pub fn remove<S: Stream>(host: &S, names: &[Box<str>]) -> Self {
        Self::read_each(host, names, |name| host.remove_response_header(name))
    }

    /// Reads these headers when the stream has ended, and leaves them.
    pub fn read<S: Stream>(host: &S, names: &[Box<str>]) -> Self {
        Self::read_each(host, names, |_| ())
    }

    fn read_each<S: Stream>(host: &S, names: &[Box<str>], after: impl Fn(&str)) -> Self {
        let mut found = Vec::new();
        for (position, name) in names.iter().enumerate() {
            if let Some(value) = host.response_header(name) {
                after(name);
                found.push((position, value.as_ref().to_vec()));
            }
        }
        Self::Read(found)
    }

    /// The value of the header at this position, where it was read.
    pub(crate) fn known(&self, position: usize) -> Option<&[u8]> {
        let Self::Read(found) = self else { return None };
        found.iter().find(|(known, _)| *known == position).map(|(_, value)| &**value)
    }

    /// The value of the header at this position, from the host where no filter saw it.
    pub(super) fn value<S: Stream>(&self, host: &S, position: usize, name: &str) -> Option<Vec<u8>> {
        match self {
            Self::Unseen => host.response_header(name).map(|value| value.as_ref().to_vec()),
            Self::Read(_) => self.known(position).map(<[u8]>::to_vec),
        }
    }
}
