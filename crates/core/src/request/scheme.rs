//! The scheme of a request.

/// The value of `url.scheme`: a closed list, because a client chooses the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// The request had none, because the gateway could not parse it.
    #[default]
    Absent,
    /// `http`.
    Http,
    /// `https`.
    Https,
    /// Any other, `_OTHER`.
    Other,
}

impl Scheme {
    /// From the pseudo-header `:scheme`. Schemes are case-insensitive (RFC 3986, section 3.1).
    pub fn new(name: &[u8]) -> Self {
        match name {
            b"" => Self::Absent,
            _ if name.eq_ignore_ascii_case(b"http") => Self::Http,
            _ if name.eq_ignore_ascii_case(b"https") => Self::Https,
            _ => Self::Other,
        }
    }

    /// The value of `url.scheme`; `None` where it is absent.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Absent => None,
            Self::Http => Some("http"),
            Self::Https => Some("https"),
            Self::Other => Some("_OTHER"),
        }
    }

    /// The port of an authority that names none.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Absent | Self::Other => None,
        }
    }

    /// Two bits for a series key.
    pub(crate) fn to_bits(self) -> u8 {
        self as u8
    }

    /// Reads the lowest two bits.
    pub(crate) fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Absent,
            1 => Self::Http,
            2 => Self::Https,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scheme;

    #[test]
    fn schemes_are_a_closed_list() {
        let check = |name: &str, scheme: Scheme, shown: Option<&str>| {
            assert_eq!(Scheme::new(name.as_bytes()), scheme, "{name}");
            assert_eq!(scheme.name(), shown);
            assert_eq!(Scheme::from_bits(scheme.to_bits()), scheme);
        };
        check("", Scheme::Absent, None);
        check("http", Scheme::Http, Some("http"));
        check("HTTPS", Scheme::Https, Some("https"));
        check("gopher", Scheme::Other, Some("_OTHER"));
    }
}
