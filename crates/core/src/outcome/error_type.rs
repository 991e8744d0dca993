//! Why a request did not end as it should have.

use std::borrow::Cow;

use super::{GrpcStatus, ResponseFlags, Status};
use crate::config::Direction;

/// Code details of a response as the upstream gave it.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// Beginnings of Envoy's response code details, of the filters that answer requests by themselves.
const BY_DETAILS: [(&str, ErrorType); 11] = [
    ("local_rate_limited", ErrorType::RateLimited),
    ("request_rate_limited", ErrorType::RateLimited),
    ("rate_limiter_error", ErrorType::RateLimiterError),
    ("jwt_authn_access_denied", ErrorType::JwtDenied),
    ("ext_authz_denied", ErrorType::ExtAuthzDenied),
    ("ext_authz_error", ErrorType::ExtAuthzError),
    ("rbac_access_denied", ErrorType::RbacDenied),
    ("request_payload_too_large", ErrorType::PayloadTooLarge),
    ("request_header_timeout", ErrorType::RequestTimeout),
    ("request_overall_timeout", ErrorType::RequestTimeout),
    ("route_not_found", ErrorType::NoRoute),
];

/// The end of a request: its status, and that of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The HTTP status.
    pub status: Status,
    /// The status of the call, if it was one of gRPC and came to its end.
    pub grpc_status: Option<GrpcStatus>,
}

impl Ending {
    /// Whether it counts as an error: status 500 and above, no response, or a success of HTTP around a gRPC call that
    /// failed.
    pub fn is_error(self) -> bool {
        self.status.is_error() || self.is_failed_call()
    }

    fn is_failed_call(self) -> bool {
        self.status.is_success() && self.grpc_status.is_some_and(|status| status != GrpcStatus::OK)
    }
}

macro_rules! error_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal when $flags:expr;)*) => {
        /// Why a request did not end as it should have; the values of `error.type`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ErrorType {
            /// The upstream itself answered so; the name is the status code.
            Upstream,
            /// The gRPC call failed; the name is that of its status.
            Call,
            $($(#[$doc])* $variant,)*
        }

        impl ErrorType {
            /// In the order in which flags decide: the first whose flag is set.
            const BY_FLAG: &'static [(ErrorType, u64)] = &[$((ErrorType::$variant, $flags)),*];

            /// All that have a name of their own, for the byte of a series key.
            const NAMED: &'static [ErrorType] = &[$(ErrorType::$variant),*];

            /// The value of `error.type` of a request that ended so.
            pub fn name(self, ending: Ending) -> Cow<'static, str> {
                match self {
                    ErrorType::Upstream => Cow::Owned(ending.status.0.to_string()),
                    ErrorType::Call => Cow::Borrowed(ending.grpc_status.unwrap_or(GrpcStatus::UNKNOWN).name()),
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
    /// RL: the rate limiter refused the request.
    RateLimited = "rate_limited" when 1 << 11;
    /// UAEX, or 401: the gateway refused the request for want of a credential that it accepts, and its code details do not
    /// tell which filter did.
    Unauthorized = "unauthorized" when 1 << 12;
    /// FI: a fault was injected on purpose.
    FaultInjected = "fault_injected" when 1 << 10;
    /// OM: Envoy's overload manager.
    Overload = "overload" when 1 << 25;
    /// LR: Envoy reset the stream.
    LocalReset = "local_reset" when 1 << 3;
    /// The filter `jwt_authn` refused the request.
    JwtDenied = "jwt_authn_access_denied" when 0;
    /// The service of `ext_authz` refused the request.
    ExtAuthzDenied = "ext_authz_denied" when 0;
    /// The service of `ext_authz` could not be asked.
    ExtAuthzError = "ext_authz_error" when 0;
    /// A policy of the filter `rbac` refused the request.
    RbacDenied = "rbac_access_denied" when 0;
    /// The request, or its headers, was larger than the gateway allows.
    PayloadTooLarge = "payload_too_large" when 0;
    /// The request did not arrive within the gateway's bounds of time.
    RequestTimeout = "request_timeout" when 0;
    /// Any other answer of the gateway's own.
    GatewayError = "gateway_error" when 0;
    /// There was no response, and no flag shows why.
    NoResponse = "no_response" when 0;
    /// RLSE: the service of the rate limiter could not be asked.
    RateLimiterError = "rate_limiter_error" when 1 << 13;
}

impl ErrorType {
    /// Why the request did not end as it should have; `None` when it did.
    ///
    /// A response of the gateway's own has a cause from 400 on. One of the upstream's has one from 500 on; towards an
    /// upstream, that is outbound, from 400 on, as the conventions have it. A failed gRPC call has one at any status.
    pub fn new(
        direction: Direction,
        ending: Ending,
        flags: ResponseFlags,
        code_details: &[u8],
    ) -> Option<Self> {
        let Ending { status, .. } = ending;
        let is_call = ending.is_failed_call();
        if !is_call && !status.is_error() && !status.is_client_error() {
            return None;
        }
        let of_upstream = || match (is_call, direction) {
            (true, _) => Some(ErrorType::Call),
            (false, Direction::Inbound) => status.is_error().then_some(ErrorType::Upstream),
            (false, Direction::Outbound) => Some(ErrorType::Upstream),
        };
        if code_details == VIA_UPSTREAM {
            return of_upstream();
        }
        // Details name a filter more exactly than flags, which some filters share and others do not set.
        if let Some(error) = Self::of_details(code_details) {
            return Some(error);
        }
        let flagged = Self::BY_FLAG.iter().find(|(_, bits)| flags.contains(ResponseFlags(*bits)));
        if let Some((error, _)) = flagged {
            return Some(*error);
        }
        if !status.is_error() && (code_details.is_empty() || flags.contains(ResponseFlags::CLIENT_LEFT)) {
            // The client left, before a response or within it, or the host has no details.
            return of_upstream();
        }
        Some(match status.0 {
            0 => ErrorType::NoResponse,
            401 => ErrorType::Unauthorized,
            408 => ErrorType::RequestTimeout,
            413 | 431 => ErrorType::PayloadTooLarge,
            429 => ErrorType::RateLimited,
            _ => ErrorType::GatewayError,
        })
    }

    /// By the beginning of Envoy's response code details, where these name the cause.
    fn of_details(code_details: &[u8]) -> Option<Self> {
        let found = BY_DETAILS.iter().find(|(details, _)| code_details.starts_with(details.as_bytes()));
        found.map(|(_, error)| *error)
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
            2 => Some(Some(ErrorType::Call)),
            other => Self::NAMED.get(usize::from(other).wrapping_sub(3)).copied().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(code: Option<u64>, flags: u64, grpc: Option<u64>) -> Ending {
        Ending { status: Status::new(code, ResponseFlags(flags)), grpc_status: grpc.map(GrpcStatus::new) }
    }

    fn check_in(direction: Direction, ending: Ending, flags: u64, details: &str, cause: Option<&str>) {
        let error = ErrorType::new(direction, ending, ResponseFlags(flags), details.as_bytes());
        let name = error.map(|error| error.name(ending));
        assert_eq!(name.as_deref(), cause, "{direction:?} {ending:?} {flags:x} {details}");
        assert_eq!(ErrorType::from_byte(ErrorType::to_byte(error)), Some(error));
    }

    #[test]
    fn status_and_cause_of_the_ways_a_request_can_end() {
        let check = |code: Option<u64>, flags: u64, details: &str, status: u16, cause: Option<&str>| {
            let ending = ending(code, flags, None);
            assert_eq!(ending.status, Status(status), "{code:?} {flags:x}");
            check_in(Direction::Inbound, ending, flags, details, cause);
        };
        let refused = "upstream_reset_before_response_started{connection_failure}";
        check(Some(200), 0, "via_upstream", 200, None);
        check(Some(302), 0, "direct_response", 302, None);
        check(Some(404), 0, "via_upstream", 404, None);
        check(Some(404), 0, "", 404, None);
        check(Some(503), 0, "via_upstream", 503, Some("503"));
        check(Some(503), 0x20, refused, 503, Some("upstream_connection_failure"));
        check(Some(503), 0x20 | 0x8000, "", 503, Some("upstream_connection_failure"));
        check(Some(503), 2, "no_healthy_upstream", 503, Some("no_healthy_upstream"));
        check(Some(504), 4, "response_timeout", 504, Some("upstream_request_timeout"));
        check(Some(500), 0, "direct_response", 500, Some("gateway_error"));
        check(None, 0x4000, "downstream_remote_disconnect", 499, None);
        check(Some(0), 0x4000, "", 499, None);
        check(Some(404), 0x4000, "downstream_remote_disconnect", 404, None);
        check(Some(200), 0x4000, "via_upstream", 200, None);
        check(None, 0, "", 0, Some("no_response"));
        check(None, 0x40, "", 0, Some("upstream_connection_termination"));
    }

    #[test]
    fn responses_of_the_gateway_to_what_the_client_did_have_a_cause() {
        let check = |code: u64, flags: u64, details: &str, cause: &str| {
            let ending = ending(Some(code), flags, None);
            assert!(!ending.is_error());
            check_in(Direction::Inbound, ending, flags, details, Some(cause));
        };
        check(429, 0x800, "local_rate_limited", "rate_limited");
        check(429, 0x800, "request_rate_limited", "rate_limited");
        check(429, 0, "of_another_filter", "rate_limited");
        check(429, 0x2000, "rate_limiter_error", "rate_limiter_error");
        check(429, 0x2000, "", "rate_limiter_error");
        check(401, 0x1000, "jwt_authn_access_denied{Jwt_is_missing}", "jwt_authn_access_denied");
        check(403, 0x1000, "ext_authz_denied", "ext_authz_denied");
        check(403, 0x1000, "ext_authz_error", "ext_authz_error");
        check(401, 0x1000, "", "unauthorized");
        check(401, 0, "no_credential_found_for_basic_auth", "unauthorized");
        check(403, 0, "rbac_access_denied_matched_policy[none]", "rbac_access_denied");
        check(404, 0x100, "route_not_found", "no_route");
        check(413, 0, "request_payload_too_large", "payload_too_large");
        check(431, 0, "headers_too_large_somewhere", "payload_too_large");
        check(408, 0, "request_overall_timeout", "request_timeout");
        check(408, 0x10000, "stream_idle_timeout", "stream_idle_timeout");
        check(400, 0x40000, "http1.codec_error", "downstream_protocol_error");
        check(418, 0x400, "fault_filter_abort", "fault_injected");
        check(403, 0, "direct_response", "gateway_error");
    }

    #[test]
    fn a_failed_call_is_an_error_with_the_name_of_its_status() {
        let check = |grpc: u64, flags: u64, details: &str, cause: Option<&str>| {
            let ending = ending(Some(200), flags, Some(grpc));
            assert_eq!(ending.is_error(), grpc != 0);
            check_in(Direction::Inbound, ending, flags, details, cause);
        };
        check(0, 0, "via_upstream", None);
        check(14, 0, "via_upstream", Some("UNAVAILABLE"));
        check(1_000, 0, "via_upstream", Some("UNKNOWN"));
        check(14, 0x20, "upstream_reset_before_response_started", Some("upstream_connection_failure"));
        check(14, 0x800, "local_rate_limited", Some("rate_limited"));
        check(7, 0, "rbac_access_denied_matched_policy[none]", Some("rbac_access_denied"));
        check(1, 0x4000, "downstream_remote_disconnect", Some("CANCELLED"));
        // Where HTTP failed too, its status is the reason.
        let both = ending(Some(404), 0, Some(12));
        assert!(!both.is_error());
        check_in(Direction::Inbound, both, 0, "via_upstream", None);
    }

    #[test]
    fn every_cause_is_documented() {
        let text = include_str!("../../../../docs/wire.md");
        for error in ErrorType::NAMED {
            let name = error.name(ending(None, 0, None));
            assert!(text.contains(&format!("`{name}`")), "docs/wire.md lacks `{name}`");
        }
    }

    #[test]
    fn towards_an_upstream_each_status_from_400_on_has_a_cause() {
        let check = |code: Option<u64>, flags: u64, details: &str, cause: Option<&str>| {
            check_in(Direction::Outbound, ending(code, flags, None), flags, details, cause);
        };
        check(Some(200), 0, "via_upstream", None);
        check(Some(404), 0, "via_upstream", Some("404"));
        check(Some(503), 0, "via_upstream", Some("503"));
        check(Some(404), 0x100, "route_not_found", Some("no_route"));
        check(None, 0x4000, "downstream_remote_disconnect", Some("499"));
    }
}
