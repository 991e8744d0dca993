//! The request log: a request, and the table of its fields.
//!
//! A field is a line of [`RequestEvent`] and a line of [`FIELDS`]. From the table `wire` reads attributes, `store` makes
//! columns, and `query` and the command line make rows. `http/openapi.json` describes it, which a test compares.

use super::scope::is_path;
use super::{Columns, Gateway, Identity, Rejections, SpanPart, Standing};
use gatelens_model::{attribute, value};
use std::sync::Arc;

/// One request to `/v1/logs` or `/v1/traces`.
#[derive(Debug)]
pub(crate) struct RequestBatch {
    pub(crate) identity: Option<Identity>,
    pub(crate) standing: Standing,
    pub(crate) parts: Vec<RequestPart>,
    /// Spans of applications, which may be those of its requests, too.
    pub(crate) spans: Vec<SpanPart>,
    /// Records and spans that are not among the parts.
    pub(crate) rejected: Rejections,
}

/// The requests of one resource.
#[derive(Debug)]
pub(crate) struct RequestPart {
    pub(crate) gateway: Gateway,
    pub(crate) events: Columns,
}

/// One request of the log. What the sender did not report is `None`, or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestEvent {
    /// Start of the request, Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) consumer: String,
    pub(crate) consumer_trusted: bool,
    /// Only where they are news; the table of consumers keeps them.
    pub(crate) consumer_name: Option<String>,
    pub(crate) consumer_group: Option<String>,
    pub(crate) method: String,
    pub(crate) method_original: Option<String>,
    pub(crate) route: String,
    /// Who configured the route: `template`, `route_name` or `sender`; absent for an inferred one.
    pub(crate) route_source: Option<String>,
    /// `outbound`; absent for inbound.
    pub(crate) direction: Option<String>,
    /// Version of the service.
    pub(crate) version: Option<Arc<str>>,
    pub(crate) scheme: Option<String>,
    /// The host that the client asked for.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u64>,
    /// Version of HTTP that the client speaks.
    pub(crate) protocol: Option<String>,
    pub(crate) upstream_cluster: Option<String>,
    /// 0 without a response.
    pub(crate) status: u16,
    pub(crate) error_type: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) client_address: Option<String>,
    pub(crate) client_port: Option<u64>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_bytes: Option<u64>,
    pub(crate) response_bytes: Option<u64>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) upstream_ns: Option<u64>,
    /// Times that the gateway sent the request to an upstream.
    pub(crate) attempts: Option<u64>,
    /// Retries by the gateway.
    pub(crate) resend_count: Option<u64>,
    /// Number of requests for which it stands in a sample, as the bits of an `f64`; absent where that is 1.
    pub(crate) weight_bits: Option<u64>,
    pub(crate) response_flags: Option<String>,
    pub(crate) code_details: Option<String>,
    /// The error that the application reported, and its tags as `name=value` with commas between them.
    pub(crate) reported_error: Option<String>,
    pub(crate) reported_tags: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) grpc_status: Option<u64>,
    /// JSON: an object of lists of values by the header's name, sorted by name.
    pub(crate) request_headers: Option<String>,
    pub(crate) response_headers: Option<String>,
    pub(crate) request_body: Option<String>,
    /// Why a body is absent that could be present.
    pub(crate) request_body_omitted: Option<String>,
    pub(crate) response_body: Option<String>,
    pub(crate) response_body_omitted: Option<String>,
    /// Empty or 16 bytes.
    pub(crate) trace_id: Vec<u8>,
    /// Empty or 8 bytes.
    pub(crate) span_id: Vec<u8>,
}

impl RequestEvent {
    /// `inbound` or `outbound`.
    pub(crate) fn direction(&self) -> &str {
        self.direction.as_deref().unwrap_or(value::INBOUND)
    }

    /// Whether its route was inferred from its path, so that learned patterns may replace it.
    pub(crate) fn has_inferred_route(&self) -> bool {
        self.route_source.is_none() && is_path(&self.route)
    }
}

/// Whether a request counts as an error: status 500 or more, no response, or a gRPC call that failed although HTTP
/// succeeded.
pub(crate) fn is_error(status: u16, grpc_status: Option<u64>) -> bool {
    let is_success = (200..300).contains(&status);
    status == 0 || status >= 500 || (is_success && grpc_status.is_some_and(|status| status != 0))
}

/// The words of a path: runs of letters, digits, `_` and `-`.
pub(crate) fn path_words(path: &str) -> impl Iterator<Item = &str> {
    path.split(|c| !is_of_path_word(c)).filter(|word| !word.is_empty())
}

/// Whether a character is a part of a word of a path.
pub(crate) fn is_of_path_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// A field of the request log beside its time.
pub(crate) struct Field {
    /// Its column in a stored chunk. A number once given stays with its meaning.
    pub(crate) column: u64,
    /// Its name in the API and on the command line.
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    pub(crate) access: Access,
    pub(crate) shown: Shown,
}

/// Where the value of a field comes from in a record or span.
pub(crate) enum Source {
    /// An attribute, no longer than a label.
    Text(&'static str),
    /// An attribute, no longer than a query.
    Query(&'static str),
    /// An attribute that is present on every request; without it, this value.
    Label(&'static str, &'static str),
    /// `http.route`, else `url.template`, else `__unmatched__`.
    Route,
    /// The caller: `gatelens.consumer.id`, else `enduser.id`, else `anonymous`.
    Consumer,
    /// Who configured the route: an attribute of our gateways; other senders configure it themselves.
    ConfiguredBy,
    /// The direction that the sender's resource states, where it is not inbound.
    Direction,
    /// The version of the service that the sender's resource states.
    Version,
    /// The number of attempts, or that of retries before the last one.
    Attempts(&'static str, &'static str),
    /// A whole number.
    Number(&'static str),
    /// The weight in a sample: more than 1.
    Weight(&'static str),
    /// A whole number below 1,000; without it, 0.
    Status(&'static str),
    /// The name of a gRPC status as its number: the first attribute, or the second, which has the number itself.
    GrpcStatus(&'static str, &'static str),
    /// `true` or absent.
    Flag(&'static str),
    /// All attributes whose names begin so.
    Headers(&'static str),
    /// The content of a body.
    Body(&'static str),
    /// Why the body with this content, the first, is absent: the second, or that it is too large.
    BodyOmitted(&'static str, &'static str),
    /// The trace id of the record itself.
    TraceId,
    /// The span id of the record itself.
    SpanId,
}

/// How to read and write a field.
pub(crate) enum Access {
    Text(fn(&RequestEvent) -> Option<&[u8]>, fn(&mut RequestEvent, Vec<u8>)),
    Number(fn(&RequestEvent) -> Option<u64>, fn(&mut RequestEvent, u64)),
}

/// How a row of the API shows a field.
#[derive(Clone, Copy)]
pub(crate) enum Shown {
    /// A text or a whole number.
    Plain,
    /// A text; where it is absent, this one.
    Or(&'static str),
    /// Nanoseconds as milliseconds.
    Milliseconds,
    /// The bits of an `f64` as a number; 1 where it is absent.
    Weight,
    /// Bytes as hex digits.
    Hex,
    /// `true` where it is present.
    Flag,
    /// JSON as it is.
    Json,
}

/// A text that may be absent.
macro_rules! text {
    ($column:literal, $field:ident, $source:expr) => {
        text!($column, $field, $source, Shown::Plain)
    };
    ($column:literal, $field:ident, $source:expr, $shown:expr) => {
        Field {
            column: $column,
            name: stringify!($field),
            source: $source,
            access: Access::Text(
                |event| event.$field.as_deref().map(str::as_bytes),
                |event, bytes| event.$field = Some(string(bytes).into()),
            ),
            shown: $shown,
        }
    };
}

/// A text that every request has.
macro_rules! label {
    ($column:literal, $field:ident, $source:expr) => {
        Field {
            column: $column,
            name: stringify!($field),
            source: $source,
            access: Access::Text(
                |event| Some(event.$field.as_bytes()),
                |event, bytes| event.$field = string(bytes),
            ),
            shown: Shown::Plain,
        }
    };
}

/// Bytes; none where they are empty.
macro_rules! id {
    ($column:literal, $field:ident, $source:expr) => {
        Field {
            column: $column,
            name: stringify!($field),
            source: $source,
            access: Access::Text(
                |event| Some(event.$field.as_slice()).filter(|bytes| !bytes.is_empty()),
                |event, bytes| event.$field = bytes,
            ),
            shown: Shown::Hex,
        }
    };
}

/// A number that may be absent.
macro_rules! number {
    ($column:literal, $field:ident, $attribute:expr) => {
        number!($column, $field, stringify!($field), $attribute, Shown::Plain)
    };
    ($column:literal, $field:ident, $name:expr, $attribute:expr, $shown:expr) => {
        Field {
            column: $column,
            name: $name,
            source: Source::Number($attribute),
            access: Access::Number(|event| event.$field, |event, number| event.$field = Some(number)),
            shown: $shown,
        }
    };
}

/// The number of a gRPC status, from senders that follow older conventions.
const OLD_GRPC_STATUS_CODE: &str = "rpc.grpc.status_code";

/// All fields beside the time, in the order in which the command line prints them.
pub(crate) const FIELDS: [Field; 43] = [
    label!(2, consumer, Source::Consumer),
    Field {
        column: 16,
        name: "consumer_trusted",
        source: Source::Flag(attribute::CONSUMER_TRUSTED),
        access: Access::Text(
            |event| event.consumer_trusted.then_some(b"1"),
            |event, _| event.consumer_trusted = true,
        ),
        shown: Shown::Flag,
    },
    text!(60, consumer_name, Source::Text(attribute::CONSUMER_NAME)),
    text!(61, consumer_group, Source::Text(attribute::CONSUMER_GROUP)),
    label!(3, method, Source::Label(attribute::METHOD, value::OTHER_METHOD)),
    text!(4, method_original, Source::Text(attribute::METHOD_ORIGINAL)),
    label!(5, route, Source::Route),
    text!(30, route_source, Source::ConfiguredBy),
    text!(40, scheme, Source::Text(attribute::URL_SCHEME)),
    text!(41, host, Source::Text(attribute::SERVER_ADDRESS)),
    number!(42, port, attribute::SERVER_PORT),
    text!(7, path, Source::Text(attribute::URL_PATH)),
    text!(8, query, Source::Query(attribute::URL_QUERY)),
    Field {
        column: 32,
        name: "status",
        source: Source::Status(attribute::STATUS_CODE),
        access: Access::Number(
            |event| Some(u64::from(event.status)),
            |event, number| event.status = number as u16,
        ),
        shown: Shown::Plain,
    },
    Field {
        column: 39,
        name: "grpc_status",
        source: Source::GrpcStatus(attribute::RPC_STATUS_CODE, OLD_GRPC_STATUS_CODE),
        access: Access::Number(|event| event.grpc_status, |event, number| event.grpc_status = Some(number)),
        shown: Shown::Plain,
    },
    number!(36, duration_ns, "duration_ms", attribute::DURATION_NS, Shown::Milliseconds),
    number!(37, upstream_ns, "upstream_ms", attribute::UPSTREAM_DURATION_NS, Shown::Milliseconds),
    Field {
        column: 43,
        name: "attempts",
        source: Source::Attempts(attribute::ATTEMPTS, attribute::RESEND_COUNT),
        access: Access::Number(|event| event.attempts, |event, number| event.attempts = Some(number)),
        shown: Shown::Plain,
    },
    number!(38, resend_count, attribute::RESEND_COUNT),
    text!(44, upstream_cluster, Source::Text(attribute::UPSTREAM_CLUSTER)),
    Field {
        column: 47,
        name: "weight",
        source: Source::Weight(attribute::SAMPLE_WEIGHT),
        access: Access::Number(|event| event.weight_bits, |event, bits| event.weight_bits = Some(bits)),
        shown: Shown::Weight,
    },
    number!(34, request_bytes, attribute::REQUEST_BODY_SIZE),
    number!(35, response_bytes, attribute::RESPONSE_BODY_SIZE),
    text!(45, protocol, Source::Text(attribute::PROTOCOL_VERSION)),
    text!(9, client_address, Source::Text(attribute::CLIENT_ADDRESS)),
    number!(33, client_port, attribute::CLIENT_PORT),
    text!(10, user_agent, Source::Text(attribute::USER_AGENT)),
    text!(13, request_id, Source::Text(attribute::REQUEST_ID)),
    id!(14, trace_id, Source::TraceId),
    id!(15, span_id, Source::SpanId),
    text!(11, response_flags, Source::Text(attribute::RESPONSE_FLAGS)),
    text!(12, code_details, Source::Text(attribute::RESPONSE_CODE_DETAILS)),
    text!(70, reported_error, Source::Query(attribute::REPORTED_ERROR)),
    text!(71, reported_tags, Source::Query(attribute::REPORTED_TAGS)),
    text!(6, error_type, Source::Text(attribute::ERROR_TYPE)),
    text!(46, direction, Source::Direction, Shown::Or(value::INBOUND)),
    text!(48, version, Source::Version),
    text!(17, request_headers, Source::Headers(attribute::REQUEST_HEADER), Shown::Json),
    text!(18, response_headers, Source::Headers(attribute::RESPONSE_HEADER), Shown::Json),
    text!(19, request_body, Source::Body(attribute::REQUEST_BODY)),
    text!(
        20,
        request_body_omitted,
        Source::BodyOmitted(attribute::REQUEST_BODY, attribute::REQUEST_BODY_OMITTED)
    ),
    text!(21, response_body, Source::Body(attribute::RESPONSE_BODY)),
    text!(
        22,
        response_body_omitted,
        Source::BodyOmitted(attribute::RESPONSE_BODY, attribute::RESPONSE_BODY_OMITTED)
    ),
];

/// The keys of a row of `requests`, in the order in which the command line prints them.
pub fn columns() -> Vec<&'static str> {
    let fields = FIELDS.iter().map(|field| field.name);
    std::iter::once("time").chain(fields).chain(["gateway", "service", "environment"]).collect()
}

/// Stored text that is damaged stays readable.
fn string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_field_has_a_column_and_a_name_of_its_own() {
        let columns: BTreeSet<u64> = FIELDS.iter().map(|field| field.column).collect();
        // Columns 0 and 1 are the number of requests and their times.
        assert_eq!((columns.len(), columns.first()), (FIELDS.len(), Some(&2)));
        let names: BTreeSet<&str> = super::columns().into_iter().collect();
        assert_eq!(names.len(), FIELDS.len() + 4);
    }
}
