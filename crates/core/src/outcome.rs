//! How a request ended: status, response flags, `error.type`; and its method.

mod error_type;
mod grpc;

pub use error_type::{Ending, ErrorType};
pub use grpc::GrpcStatus;

/// The status of a request as it is counted.
///
/// Without a response it is 499 if the client left, which is not an error, and 0 otherwise, which is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u16);

impl Status {
    /// The client left before a response.
    pub const CLIENT_ABORT: Status = Status(499);
    /// There was no response.
    pub const NO_ANSWER: Status = Status(0);

    /// From the response's code, if there was one, and the flags.
    pub fn new(code: Option<u64>, flags: ResponseFlags) -> Self {
        match code.and_then(|code| u16::try_from(code).ok()).filter(|code| *code != 0) {
            Some(code) => Status(code),
            None if flags.contains(ResponseFlags::CLIENT_LEFT) => Self::CLIENT_ABORT,
            None => Self::NO_ANSWER,
        }
    }

    /// Whether it counts as an error by itself: 500 and above, or no response. See [`Ending::is_error`].
    pub fn is_error(self) -> bool {
        self.0 >= 500 || self == Self::NO_ANSWER
    }

    fn is_success(self) -> bool {
        (200..300).contains(&self.0)
    }

    fn is_client_error(self) -> bool {
        (400..500).contains(&self.0)
    }

    /// The code for `http.response.status_code`; `None` when there was no response.
    pub fn code(self) -> Option<u16> {
        (self != Self::NO_ANSWER).then_some(self.0)
    }
}

/// Envoy's response flags, as the bit mask of `response.flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFlags(pub u64);

/// Envoy's short names by bit, in the order of its `CoreResponseFlag`.
const FLAG_NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX",
    "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
];

impl ResponseFlags {
    /// DC or DR: the downstream connection was closed, or the client reset its stream.
    pub const CLIENT_LEFT: ResponseFlags = ResponseFlags(1 << 14 | 1 << 28);

    /// The time that passed belongs to the client or to nobody: it left (DC, DR), broke the protocol (DPE), or the stream
    /// was idle (SI) or open (DT) for too long.
    pub const NOT_THE_GATEWAYS_TIME: ResponseFlags =
        ResponseFlags(Self::CLIENT_LEFT.0 | 1 << 16 | 1 << 18 | 1 << 22);

    /// Whether any of the given flags is set.
    pub fn contains(self, any_of: ResponseFlags) -> bool {
        self.0 & any_of.0 != 0
    }

    /// Envoy's short names, separated by commas: `UF,URX`. A flag newer than this list is not named.
    pub fn write_names(self, out: &mut String) {
        let mut left = self.0;
        while left != 0 {
            let name = FLAG_NAMES.get(left.trailing_zeros() as usize);
            left &= left.wrapping_sub(1);
            let Some(name) = name else { continue };
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(name);
        }
    }
}

/// The method of a request, from a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(u8);

/// RFC 9110's eight, PATCH (RFC 5789) and QUERY; methods are case-sensitive.
const METHODS: [&str; 11] =
    ["_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

impl Method {
    /// Any method that is not on the list, and none at all.
    pub const OTHER: Method = Method(0);

    /// The method of that name.
    pub fn new(name: &[u8]) -> Self {
        let position = METHODS.iter().skip(1).position(|known| known.as_bytes() == name);
        position.map_or(Self::OTHER, |position| Method(position.wrapping_add(1) as u8))
    }

    /// All of them, [`Method::OTHER`] first.
    pub fn all() -> impl Iterator<Item = Method> {
        (0..METHODS.len()).map(|byte| Method(byte as u8))
    }

    /// The value of `http.request.method`.
    pub fn name(self) -> &'static str {
        METHODS.get(usize::from(self.0)).copied().unwrap_or("_OTHER")
    }

    pub(crate) fn to_byte(self) -> u8 {
        self.0
    }

    /// `None` for a byte that only a newer version of the filter can read.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        (usize::from(byte) < METHODS.len()).then_some(Method(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_as_envoy_names_them() {
        let check = |bits: u64, names: &str| {
            let mut out = String::new();
            ResponseFlags(bits).write_names(&mut out);
            assert_eq!(out, names);
        };
        check(0, "");
        check(0x20 | 0x8000, "UF,URX");
        check(0x4000, "DC");
        check(0x40000, "DPE");
        check(0x800000, "UPE");
        check(0x1000000, "NC");
        check(1 << 60, "");
    }

    #[test]
    fn methods_outside_the_list_are_other() {
        for name in METHODS {
            assert_eq!(Method::new(name.as_bytes()).name(), name);
            assert_eq!(
                Method::from_byte(Method::new(name.as_bytes()).to_byte()).map(Method::name),
                Some(name)
            );
        }
        assert_eq!(Method::new(b"get"), Method::OTHER);
        assert_eq!(Method::new(b"\xe9"), Method::OTHER);
        assert_eq!(Method::from_byte(200), None, "that of a newer version");
    }
}
