//! W3C trace context, level 2: the `traceparent` header.

/// The ids of a valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// Never all zero.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

/// The identifiers of the spans of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanIds {
    /// The trace: the caller's, or one that begins here.
    pub trace: [u8; 16],
    /// The span of the gateway.
    pub gateway: [u8; 8],
    /// The span of its upstream call.
    pub upstream: [u8; 8],
}

impl SpanIds {
    /// New ones in the trace of the caller; without one, in a new trace. `random` gives 64 random bits.
    pub fn new(caller: Option<TraceContext>, random: impl Fn() -> u64) -> Self {
        // An identifier must not be all zero.
        let id = || (random() | 1).to_be_bytes();
        let new_trace = || (u128::from(random()) << 64 | u128::from(random() | 1)).to_be_bytes();
        let trace = caller.map_or_else(new_trace, |caller| caller.trace_id);
        Self { trace, gateway: id(), upstream: id() }
    }
}

impl TraceContext {
    /// Whether the caller records its trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Reads a header value; `None` if the recommendation calls it invalid.
    ///
    /// A version above 00 may carry more fields after the flags; `ff` is forbidden. Upper-case digits are invalid.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if let Some(fields) = value.strip_prefix(b"00-") {
            return Self::of_version_0(fields);
        }
        let mut fields = value.splitn(5, |byte| *byte == b'-');
        let [version] = hex::<1>(fields.next()?)?;
        let trace_id = hex::<16>(fields.next()?)?;
        let span_id = hex::<8>(fields.next()?)?;
        let [flags] = hex::<1>(fields.next()?)?;
        // Version 0 is read above.
        let well_formed = !matches!(version, 0x00 | 0xff);
        (well_formed && trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, flags })
    }

    /// The fields behind the version 00, all of which have a fixed length.
    fn of_version_0(fields: &[u8]) -> Option<Self> {
        let (trace_id, rest) = fields.split_first_chunk::<32>()?;
        let (span_id, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<16>()?;
        let (trace_id, span_id) = (hex::<16>(trace_id)?, hex::<8>(span_id)?);
        let [flags] = hex::<1>(rest.strip_prefix(b"-")?)?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, flags })
    }
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    // No digit has the bits above the lowest four, so one look at all of them tells the others.
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (nibble(*high), nibble(*low));
        seen |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    (seen <= 0xf).then_some(bytes)
}

/// The value of a digit; above 15 for any other byte.
#[inline]
fn nibble(digit: u8) -> u8 {
    static VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let mut rest: &mut [u8] = &mut values;
        let mut byte = 0u8;
        while let [value, others @ ..] = rest {
            match byte {
                b'0'..=b'9' => *value = byte.wrapping_sub(b'0'),
                b'a'..=b'f' => *value = byte.wrapping_sub(b'a').wrapping_add(10),
                _ => {}
            }
            byte = byte.wrapping_add(1);
            rest = others;
        }
        values
    };
    VALUES.get(usize::from(digit)).copied().unwrap_or(0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_recommendation_calls_valid_is_read_and_nothing_else() {
        let check = |value: &str, valid: bool| {
            assert_eq!(TraceContext::parse(value.as_bytes()).is_some(), valid, "{value}");
        };
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false);
        check("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false);
        check("", false);
    }
}
