//! Content codings: gzip and deflate, inflated within bounds.

use gatelens_model::OmissionReason;

use crate::work;
use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Output per byte of input beyond which data counts as a decompression bomb. JSON reaches 10 to 30, deflate at most
/// 1,032.
const MAX_RATIO: usize = 100;

/// Output up to which the ratio is not checked, bytes.
const RATIO_FREE: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentCoding {
    Identity,
    Gzip,
    Deflate,
}

impl ContentCoding {
    /// The one coding that the values of `content-encoding` name.
    pub(super) fn of_values<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Self, OmissionReason> {
        let mut encoding = Self::Identity;
        for name in values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
            let next = match name.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Self::Gzip,
                b"deflate" => Self::Deflate,
                _ => return Err(OmissionReason::UnknownEncoding),
            };
            if encoding != Self::Identity {
                return Err(OmissionReason::UnknownEncoding);
            }
            encoding = next;
        }
        Ok(encoding)
    }

    /// The most bytes that this number of bytes is decoded to.
    pub(super) fn max_decoded_bytes(self, bytes: usize) -> usize {
        match self {
            Self::Identity => bytes,
            Self::Gzip | Self::Deflate => max_inflated_bytes(bytes),
        }
    }

    /// Decodes a complete body to at most `max_bytes`.
    pub(super) fn decode(self, bytes: Vec<u8>, max_bytes: usize) -> Result<Vec<u8>, OmissionReason> {
        match self {
            Self::Identity => Ok(bytes),
            Self::Gzip => inflate(MultiGzDecoder::new(&bytes[..]), bytes.len(), max_bytes),
            // RFC 9110, section 8.4.1.2, means zlib, but some senders use raw deflate.
            Self::Deflate if is_zlib(&bytes) => {
                let mut rest = &bytes[..];
                let out = inflate(ZlibDecoder::new(&mut rest), bytes.len(), max_bytes)?;
                if rest.is_empty() { Ok(out) } else { Err(OmissionReason::Malformed) }
            }
            Self::Deflate => {
                let mut rest = &bytes[..];
                let out = inflate(DeflateDecoder::new(&mut rest), bytes.len(), max_bytes)?;
                if rest.is_empty() { Ok(out) } else { Err(OmissionReason::Malformed) }
            }
        }
    }
}

fn inflate(mut decoder: impl Read, input: usize, max_bytes: usize) -> Result<Vec<u8>, OmissionReason> {
    let by_ratio = max_inflated_bytes(input);
    let most = max_bytes.min(by_ratio);
    let mut out = Vec::new();
    let mut buffer = [0u8; 4_096];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(out),
            Ok(count) => {
                work::add(count);
                out.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(OmissionReason::Truncated);
            }
            Err(_) => return Err(OmissionReason::Malformed),
        }
        if out.len() > most {
            return Err(if by_ratio < max_bytes {
                OmissionReason::InflateBound
            } else {
                OmissionReason::TooLarge
            });
        }
    }
}

/// The most bytes that this number of bytes is inflated to.
fn max_inflated_bytes(input: usize) -> usize {
    input.saturating_mul(MAX_RATIO).max(RATIO_FREE)
}

/// RFC 1950, section 2.2: method 8 and a header that is a multiple of 31.
fn is_zlib(bytes: &[u8]) -> bool {
    let Some([method, flags]) = bytes.first_chunk::<2>() else { return false };
    let header = u16::from_be_bytes([*method, *flags]);
    method & 0x0f == 8 && header.checked_rem(31) == Some(0)
}
