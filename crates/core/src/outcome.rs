//! How a request ended: status, response flags, `error.type`; and its method.

mod grpc;

use std::borrow::Cow;

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

    /// Whether it counts as an error: 500 and above, or no response.
    pub fn is_error(self) -> bool {
        self.0 >= 500 || self == Self::NO_ANSWER
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
        for (bit, name) in FLAG_NAMES.iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                if !out.is_empty() {
                    out.push(',');
                }
                out.push_str(name);
            }
        }
    }
}

macro_rules! error_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal when $flags:expr;)*) => {
        /// Why a request is an error; the values of `error.type`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ErrorType {
            /// The upstream itself answered so; the name is the status code.
            Upstream,
            $($(#[$doc])* $variant,)*
        }

        impl ErrorType {
            /// In the order in which flags decide: the first whose flag is set.
            const BY_FLAG: &'static [(ErrorType, u64)] = &[$((ErrorType::$variant, $flags)),*];

            /// All that are not [`ErrorType::Upstream`], for the byte of a series key.
            const NAMED: &'static [ErrorType] = &[$(ErrorType::$variant),*];

            /// The value of `error.type`.
            pub fn name(self, status: Status) -> Cow<'static, str> {
                match self {
                    ErrorType::Upstream => Cow::Owned(status.0.to_string()),
                    $(ErrorType::$variant => Cow::Borrowed($name),)*
                }
            }
        }
    };
}

error_types! {
    /// UH: the cluster has no healthy host.
    NoHealthyUpstream = "no_healthy_upstream" when 1 << 1;
    /// UF, DF: no connection to the upstream could be made.
    UpstreamConnectionFailure = "upstream_connection_failure" when 1 << 5 | 1 << 26;
    /// UPE: the upstream broke the protocol.
    UpstreamProtocolError = "upstream_protocol_error" when 1 << 23;
    /// UC: the upstream closed the connection.
    UpstreamConnectionTermination = "upstream_connection_termination" when 1 << 6;
    /// UT: the upstream did not answer in time.
    UpstreamRequestTimeout = "upstream_request_timeout" when 1 << 2;
    /// UR: the upstream reset the stream.
    UpstreamRemoteReset = "upstream_remote_reset" when 1 << 4;
    /// UO: a circuit breaker was open.
    UpstreamOverflow = "upstream_overflow" when 1 << 7 | 1 << 27 | 1 << 29;
    /// NR: no route matched.
    NoRoute = "no_route" when 1 << 8;
    /// NC: the route's cluster does not exist.
    NoCluster = "no_cluster" when 1 << 24;
    /// DPE: the client broke the protocol.
    DownstreamProtocolError = "downstream_protocol_error" when 1 << 18;
    /// SI: the stream was idle for too long.
    StreamIdleTimeout = "stream_idle_timeout" when 1 << 16;
    /// DT, UMSDR: the request or stream took longer than allowed.
    DurationTimeout = "duration_timeout" when 1 << 22 | 1 << 19;
    /// RL, RLSE: the rate limiter, or its service, refused the request.
    RateLimited = "rate_limited" when 1 << 11 | 1 << 13;
    /// UAEX: the external authorization service refused the request.
    Unauthorized = "unauthorized" when 1 << 12;
    /// FI: a fault was injected on purpose.
    FaultInjected = "fault_injected" when 1 << 10;
    /// OM: Envoy's overload manager.
    Overload = "overload" when 1 << 25;
    /// LR: Envoy reset the stream.
    LocalReset = "local_reset" when 1 << 3;
    /// Any other answer of the gateway's own.
    GatewayError = "gateway_error" when 0;
    /// There was no response, and no flag shows why.
    NoResponse = "no_response" when 0;
}

impl ErrorType {
    /// Why the request is an error; `None` when it is not an error.
    pub fn new(status: Status, flags: ResponseFlags, code_details: &[u8]) -> Option<Self> {
        if !status.is_error() {
            return None;
        }
        if code_details == b"via_upstream" {
            return Some(ErrorType::Upstream);
        }
        let flagged = Self::BY_FLAG.iter().find(|(_, bits)| flags.contains(ResponseFlags(*bits)));
        Some(match flagged {
            Some((error, _)) => *error,
            None if status == Status::NO_ANSWER => ErrorType::NoResponse,
            None => ErrorType::GatewayError,
        })
    }

    /// One byte for a series key; zero is left for "no error".
    pub(crate) fn to_byte(error: Option<Self>) -> u8 {
        error.map_or(0, |error| (error as u8).wrapping_add(1))
    }

    /// `None` for a byte that only a newer version of the filter can read.
    pub(crate) fn from_byte(byte: u8) -> Option<Option<Self>> {
        match byte {
            0 => Some(None),
            1 => Some(Some(ErrorType::Upstream)),
            other => Self::NAMED.get(usize::from(other).wrapping_sub(2)).copied().map(Some),
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
    fn status_and_cause_of_the_ways_a_request_can_end() {
        let check = |code: Option<u64>, flags: u64, details: &str, status: u16, cause: Option<&str>| {
            let flags = ResponseFlags(flags);
            let got = Status::new(code, flags);
            assert_eq!(got, Status(status), "{code:?} {flags:?}");
            let error = ErrorType::new(got, flags, details.as_bytes());
            assert_eq!(
                error.map(|e| e.name(got).into_owned()).as_deref(),
                cause,
                "{code:?} {flags:?} {details}"
            );
            assert_eq!(ErrorType::from_byte(ErrorType::to_byte(error)), Some(error));
        };
        check(Some(200), 0, "via_upstream", 200, None);
        check(Some(404), 0, "via_upstream", 404, None);
        check(Some(503), 0, "via_upstream", 503, Some("503"));
        check(
            Some(503),
            0x20,
            "upstream_reset_before_response_started{connection_failure}",
            503,
            Some("upstream_connection_failure"),
        );
        check(Some(503), 0x20 | 0x8000, "", 503, Some("upstream_connection_failure"));
        check(Some(503), 2, "no_healthy_upstream", 503, Some("no_healthy_upstream"));
        check(Some(504), 4, "response_timeout", 504, Some("upstream_request_timeout"));
        check(Some(500), 0, "direct_response", 500, Some("gateway_error"));
        check(Some(400), 0x40000, "http1.codec_error", 400, None);
        check(None, 0x4000, "downstream_remote_disconnect", 499, None);
        check(Some(0), 0x4000, "", 499, None);
        check(Some(200), 0x4000, "via_upstream", 200, None);
        check(None, 0, "", 0, Some("no_response"));
        check(None, 0x40, "", 0, Some("upstream_connection_termination"));
    }

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
