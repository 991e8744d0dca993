//! Names of metrics and attributes, as `docs/wire.md` has them.

pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const ENVIRONMENT: &str = "deployment.environment.name";
pub(super) const INSTANCE: &str = "service.instance.id";
pub(super) const VERSION: &str = "gatelens.version";
pub(super) const CONFIG_HASH: &str = "gatelens.config_hash";
pub(super) const DIRECTION: &str = "gatelens.direction";
/// The names of the configuration's tags go on from here.
pub(super) const TAGS: &str = "gatelens.tags.";

pub(super) const UPSTREAM_DURATION: &str = "gatelens.upstream.duration";
pub(super) const GATEWAY_DURATION: &str = "gatelens.gateway.duration";
pub(super) const SERIES: &str = "gatelens.series";
pub(super) const CAPTURED: &str = "gatelens.events.captured";
pub(super) const EVENTS: &str = "gatelens.events";
pub(super) const FATE: &str = "gatelens.event.fate";
pub(super) const SENT: &str = "sent";
pub(super) const QUEUE: &str = "gatelens.queue.size";
pub(super) const EXPORT_FAILURES: &str = "gatelens.export.failures";
pub(super) const MACHINES: &str = "gatelens.workers";
pub(super) const MACHINES_LOST: &str = "gatelens.workers.lost";
pub(super) const BUSY_TIME: &str = "gatelens.busy_time";
pub(super) const INTERVAL: &str = "gatelens.interval";
pub(super) const REDACTION_HITS: &str = "gatelens.redaction.hits";
pub(super) const REDACTION_RULE: &str = "gatelens.redaction.rule";
pub(super) const BODIES: &str = "gatelens.bodies";
pub(super) const BODY_MESSAGE: &str = "gatelens.body.message";
pub(super) const BODY_FATE: &str = "gatelens.body.fate";
pub(super) const REQUEST: &str = "request";
pub(super) const RESPONSE: &str = "response";
pub(super) const BODY_CAPTURED: &str = "captured";
pub(super) const SERVER_ACTIVE: &str = "http.server.active_requests";
pub(super) const CLIENT_ACTIVE: &str = "http.client.active_requests";
pub(super) const SERVER: &str = "http.server.";
pub(super) const CLIENT: &str = "http.client.";
pub(super) const REQUEST_DURATION: &str = "request.duration";
pub(super) const REQUEST_SIZE: &str = "request.body.size";
pub(super) const RESPONSE_SIZE: &str = "response.body.size";

pub(super) const CONSUMER: &str = "gatelens.consumer.id";
/// Who called, where a sender follows the conventions alone.
pub(super) const ENDUSER: &str = "enduser.id";
pub(super) const METHOD: &str = "http.request.method";
pub(super) const ROUTE: &str = "http.route";
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const OVERFLOW: &str = "otel.metric.overflow";

pub(super) const EVENT: &str = "gatelens.request";
pub(super) const TRUSTED: &str = "gatelens.consumer.trusted";
pub(super) const METHOD_ORIGINAL: &str = "http.request.method_original";
pub(super) const PATH: &str = "url.path";
pub(super) const QUERY: &str = "url.query";
pub(super) const CLIENT_ADDRESS: &str = "client.address";
pub(super) const CLIENT_PORT: &str = "client.port";
pub(super) const USER_AGENT: &str = "user_agent.original";
pub(super) const REQUEST_BYTES: &str = "http.request.body.size";
pub(super) const RESPONSE_BYTES: &str = "http.response.body.size";
pub(super) const DURATION_NS: &str = "gatelens.duration_ns";
pub(super) const UPSTREAM_NS: &str = "gatelens.upstream.duration_ns";
pub(super) const RESEND_COUNT: &str = "http.request.resend_count";
pub(super) const RESPONSE_FLAGS: &str = "gatelens.response_flags";
pub(super) const CODE_DETAILS: &str = "gatelens.response_code_details";
pub(super) const REQUEST_ID: &str = "gatelens.request_id";
pub(super) const GRPC_STATUS: &str = "rpc.grpc.status_code";
/// The names of captured headers go on from here.
pub(super) const REQUEST_HEADER: &str = "http.request.header.";
pub(super) const RESPONSE_HEADER: &str = "http.response.header.";
pub(super) const REQUEST_BODY: &str = "gatelens.request.body.content";
pub(super) const RESPONSE_BODY: &str = "gatelens.response.body.content";
pub(super) const REQUEST_BODY_OMITTED: &str = "gatelens.request.body.omitted";
pub(super) const RESPONSE_BODY_OMITTED: &str = "gatelens.response.body.omitted";
/// Why a body is not kept that is longer than this service keeps.
pub(super) const TOO_LARGE: &str = "too_large";

pub(super) const INBOUND: &str = "inbound";
pub(super) const OUTBOUND: &str = "outbound";
pub(super) const ANONYMOUS: &str = "anonymous";
pub(super) const UNMATCHED: &str = "__unmatched__";
pub(super) const OTHER_METHOD: &str = "_OTHER";
/// What a series beyond the sender's cap shows as consumer, method and route.
pub(super) const OVERFLOW_VALUE: &str = "__overflow__";
