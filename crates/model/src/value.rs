//! Values with a meaning of their own, in place of a name that a client or an operator could have chosen.

/// `event_name` of a log record about a request.
pub const EVENT_NAME: &str = "gatelens.request";

/// Name of the instrumentation scope of all that a gateway sends.
pub const SCOPE: &str = "gatelens";

/// Consumer of a request for which no source names one.
pub const ANONYMOUS: &str = "anonymous";

/// Route of a request that matches no template and must not get an inferred one.
pub const UNMATCHED: &str = "__unmatched__";

/// Shown in place of a consumer, method, route or rule beyond a cap.
pub const OVERFLOW: &str = "__overflow__";

/// A method that is not one of the known ones (OpenTelemetry's convention).
pub const OTHER_METHOD: &str = "_OTHER";

/// A host that is neither a name nor an address.
pub const OTHER_HOST: &str = "_OTHER";

/// Direction of calls to the applications.
pub const INBOUND: &str = "inbound";

/// Direction of calls that the applications make.
pub const OUTBOUND: &str = "outbound";

/// Fate of a body that is in the log.
pub const BODY_CAPTURED: &str = "captured";
