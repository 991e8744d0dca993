//! One look at the bytes of a value that is not JSON by its kind: what masking can find there at all.
//!
//! Most paths, IDs and user agents have none of the signs that parameters, URLs with credentials and JSON need. They pass
//! without a search for each of these.

/// The signs in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs(u8);

/// A byte without which a value holds no parameter, userinfo, JSON or percent-encoding, and anything except ASCII.
const STRUCTURE: u8 = 1;

/// A byte that begins a query or a fragment.
const QUERY: u8 = 2;

/// A semicolon, which begins matrix parameters in a path.
const SEMICOLON: u8 = 4;

/// The sign that each byte is.
static SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    let mut rest: &mut [u8] = &mut signs;
    let mut byte = 0u8;
    while let [sign, others @ ..] = rest {
        *sign = match byte {
            b'=' | b'%' | b'@' | b'{' | b'[' | b'"' | 0x80.. => STRUCTURE,
            b'?' | b'#' => QUERY,
            b';' => SEMICOLON,
            _ => 0,
        };
        byte = byte.wrapping_add(1);
        rest = others;
    }
    signs
};

impl Signs {
    #[inline]
    pub(super) fn of(value: &[u8]) -> Self {
        let sign = |byte: &u8| SIGNS.get(usize::from(*byte)).copied().unwrap_or(STRUCTURE);
        Self(value.iter().fold(0, |signs, byte| signs | sign(byte)))
    }

    /// Whether a path, or text in a parameter, has none: no parameters, no userinfo, no JSON, nothing encoded.
    pub(super) fn are_absent(self) -> bool {
        self.0 & (STRUCTURE | SEMICOLON) == 0
    }

    /// Whether a header has none. A semicolon separates parameters only in a URL.
    pub(super) fn are_absent_in_header(self, value: &[u8]) -> bool {
        let may_be_url = || value.starts_with(b"/") || value.windows(2).any(|two| two == b"//");
        self.0 & (STRUCTURE | QUERY) == 0 && (self.0 & SEMICOLON == 0 || !may_be_url())
    }
}
