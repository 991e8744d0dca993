//! Character sets of text.

use gatelens_model::OmissionReason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Ascii,
    Latin1,
}

impl Charset {
    /// By its name (IANA, in any case); without one UTF-8.
    pub(super) fn named(name: Option<&str>) -> Result<Self, OmissionReason> {
        let Some(name) = name else { return Ok(Self::Utf8) };
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Ok(Self::Utf8),
            "us-ascii" | "ascii" => Ok(Self::Ascii),
            "iso-8859-1" | "latin1" | "iso8859-1" | "iso_8859-1" => Ok(Self::Latin1),
            _ => Err(OmissionReason::UnsupportedCharset),
        }
    }

    pub(super) fn decode(self, bytes: Vec<u8>) -> Result<String, OmissionReason> {
        match self {
            Self::Latin1 => Ok(bytes.into_iter().map(char::from).collect()),
            Self::Ascii if !bytes.is_ascii() => Err(OmissionReason::InvalidUtf8),
            Self::Utf8 | Self::Ascii => String::from_utf8(bytes).map_err(|_| OmissionReason::InvalidUtf8),
        }
    }
}
