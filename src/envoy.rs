//! The host traits for Envoy: the only file that makes a host call.
//!
//! Reads are raw calls of the proxy-wasm ABI beside the SDK, because the SDK panics on statuses that it does not know
//! and on header names that are not UTF-8. Callouts go through the SDK, whose dispatcher would panic on the answer to a
//! callout that it does not know.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::ptr::null_mut;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::pairs::Pairs;
use gatelens_core::host::{
    Callout, CalloutAnswer, CalloutId, Callouts, Certificate, Clock, Conflict, DispatchError, InfoNeeds, Log,
    LogLevel, PluginIdentity, Setup, SharedData, SoleHeader, Stream, StreamInfo, Version,
};
use gatelens_core::request::protocol::Protocol;
use gatelens_core::scrape::Reply;
use gatelens_model::Message;
use gatelens_model::route_patterns::VERSION_HEADER;
use proxy_wasm::types::Status;

use crate::expression::{ABSENT_HEADER, Expression, Expressions, Values};

/// The statuses that mean success; every other number is a failure, whatever its name.
const OK: i32 = 0;

const REQUEST_HEADERS: i32 = 0;
const RESPONSE_HEADERS: i32 = 2;
const REQUEST_BODY: i32 = 0;
const RESPONSE_BODY: i32 = 1;
const CALLOUT_RESPONSE_BODY: i32 = 4;
const CALLOUT_RESPONSE_HEADERS: i32 = 6;
const PLUGIN_CONFIGURATION: i32 = 7;

/// The gateway chooses it where a gRPC client asked.
const NO_GRPC_STATUS: i32 = -1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: i32, message: *const u8, size: usize) -> i32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    fn proxy_get_buffer_bytes(
        kind: i32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_get_header_map_pairs(kind: i32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_get_header_map_value(
        kind: i32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_remove_header_map_value(kind: i32, name: *const u8, name_size: usize) -> i32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> i32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        data: *const u8,
        size: usize,
        version: u32,
    ) -> i32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> i32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
    fn proxy_done() -> i32;
}

/// Envoy did not take a response.
#[derive(Debug)]
pub(crate) struct Refused;

/// The gateway, as one root context sees it.
#[derive(Debug, Default)]
pub(crate) struct Envoy {
    /// For the values of a [`StreamInfo`]; they belong to the root context.
    expressions: Expressions,
}

impl Envoy {
    /// Lets Envoy end a root context that asked it to wait.
    pub(crate) fn finish(&self) {
        // SAFETY: no arguments; a status other than success means that nobody waited.
        unsafe { proxy_done() };
    }

    /// Answers the request whose headers arrive.
    ///
    /// # Errors
    /// Envoy refuses, for example because the allow-list of capabilities lacks this function.
    pub(crate) fn reply(&self, reply: &Reply) -> Result<(), Refused> {
        let header = pair("content-type", reply.content_type);
        let (body, details) = (reply.body.as_bytes(), "gatelens_scrape");
        // SAFETY: all slices outlive the call.
        let status = unsafe {
            proxy_send_local_response(
                u32::from(reply.status),
                details.as_ptr(),
                details.len(),
                body.as_ptr(),
                body.len(),
                header.as_ptr(),
                header.len(),
                NO_GRPC_STATUS,
            )
        };
        if status == OK { Ok(()) } else { Err(Refused) }
    }

    fn foreign_function(&self, name: &str, argument: &[u8]) -> Option<Vec<u8>> {
        // SAFETY: both slices outlive the call.
        returned(|data, size| unsafe {
            proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                argument.as_ptr(),
                argument.len(),
                data,
                size,
            )
        })
    }

    /// One property by its path, in Envoy's own encoding.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.joined_property(&path.join("\0"))
    }

    /// One property by its path, whose segments zero bytes separate.
    fn joined_property(&self, path: &str) -> Option<Vec<u8>> {
        // SAFETY: the path outlives the call.
        returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
    }

    fn number(&self, attribute: Attribute) -> Option<u64> {
        number(&self.property(&attribute.path())?)
    }

    fn bytes(&self, attribute: Attribute) -> Option<Bytes> {
        self.property(&attribute.path()).map(Bytes::Buffer)
    }

    fn protocol(&self) -> Option<Protocol> {
        Protocol::from_name(&self.property(&Attribute::Protocol.path())?)
    }

    fn evaluated_info(&self) -> Option<StreamInfo<Bytes>> {
        let chosen = self.expressions.next();
        if let Some(info) = self.evaluate(chosen) {
            self.expressions.suited(chosen);
            return Some(info);
        }
        if chosen == Values::Any {
            return None;
        }
        let info = self.evaluate(Values::Any)?;
        self.expressions.did_not_suit(chosen, &info);
        Some(info)
    }

    fn evaluate(&self, values: Values) -> Option<StreamInfo<Bytes>> {
        let buffer = self.foreign_function("expr_evaluate", &self.expressions.of(values)?)?;
        let needs = self.expressions.needs();
        // A list comes as pairs whose second halves are empty.
        let list = Rc::new(Pairs::from_host(buffer));
        let mut parts = list.names();
        let mut next = || parts.next();
        let part = |value: &[u8]| Bytes::Part { list: Rc::clone(&list), place: list.place(value) };
        // In the order of `Values::expression`.
        Some(StreamInfo {
            duration_ns: number(next()?),
            request_bytes: number(next()?),
            response_bytes: number(next()?),
            response_flags: number(next()?),
            attempts: number(next()?),
            protocol: if needs.protocol { Protocol::from_name(next()?) } else { None },
            client_address: if needs.client_address { Some(part(next()?)) } else { None },
            response_code: number(next()?),
            upstream_ns: number(next()?),
            upstream_cluster: if needs.upstream_cluster {
                Some(next()?).filter(|name| !name.is_empty()).map(part)
            } else {
                None
            },
            code_details: if values == Values::Usual { None } else { Some(part(next()?)) },
            response_header: match next() {
                None => SoleHeader::Unread,
                Some(ABSENT_HEADER) => SoleHeader::Absent,
                Some(value) => SoleHeader::Values(part(value)),
            },
        })
    }

    fn compile(&self, expression: &str) -> Option<Expression> {
        self.foreign_function("expr_create", expression.as_bytes())?.try_into().ok()
    }
}

impl Clock for Envoy {
    fn now(&self) -> u64 {
        let mut time = 0;
        // SAFETY: the host writes one integer.
        unsafe { proxy_get_current_time_nanoseconds(&mut time) };
        time
    }

    fn random(&self) -> u64 {
        // The standard library seeds this from WASI's random_get, and differently each time.
        RandomState::new().hash_one(self.now())
    }
}

impl Log for Envoy {
    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Debug | LogLevel::Info => 2,
            LogLevel::Warn => 3,
            LogLevel::Error => 4,
        };
        let message = format!("gatelens: {message}");
        // SAFETY: the message outlives the call.
        unsafe { proxy_log(level, message.as_ptr(), message.len()) };
    }
}

impl Setup for Envoy {
    fn plugin_configuration(&self) -> Vec<u8> {
        // SAFETY: see `returned`.
        returned(|data, size| unsafe {
            proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX >> 1, data, size)
        })
        .unwrap_or_default()
    }

    fn plugin_identity(&self) -> PluginIdentity {
        let named = |path: &[&str]| {
            self.property(path).map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default()
        };
        let node_id = named(&["xds", "node", "id"]);
        PluginIdentity {
            node_id: if node_id.is_empty() { named(&["node", "id"]) } else { node_id },
            name: named(&["plugin_name"]),
            root_id: named(&["plugin_root_id"]),
        }
    }

    /// Has Envoy compile the expressions; without them each attribute is asked for by itself.
    fn prepare_info(&self, needs: InfoNeeds<'_>) {
        // Other characters of names would need escapes.
        let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let needs = InfoNeeds { response_header: needs.response_header.filter(is_plain), ..needs };
        self.expressions.compile(needs, |expression| self.compile(expression));
    }

    fn set_tick_period(&self, period: Duration) {
        let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        // SAFETY: no pointers.
        unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
    }
}

impl SharedData for Envoy {
    fn shared_get(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        let mut version = 0;
        // SAFETY: the key outlives the call.
        let value = returned(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version)
        })?;
        Some((value, Version(version)))
    }

    fn shared_set(&self, key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict> {
        // SAFETY: both slices outlive the call.
        let status = unsafe {
            proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), expected.0)
        };
        if status == OK { Ok(()) } else { Err(Conflict) }
    }
}

impl Callouts for Envoy {
    fn dispatch(&self, request: &Callout<'_>) -> Result<CalloutId, DispatchError> {
        let headers = request.headers.to_vec();
        proxy_wasm::hostcalls::dispatch_http_call(
            request.cluster,
            headers,
            Some(request.body),
            Vec::new(),
            request.timeout,
        )
        .map(CalloutId)
        .map_err(|status| match status {
            Status::BadArgument => DispatchError::Refused,
            _ => DispatchError::Unavailable,
        })
    }

    fn callout_answer(&self) -> CalloutAnswer {
        let header = |name: &str| header(CALLOUT_RESPONSE_HEADERS, name);
        let status = header(":status").and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
        // SAFETY: see `returned`.
        let body = returned(|data, size| unsafe {
            proxy_get_buffer_bytes(CALLOUT_RESPONSE_BODY, 0, CalloutAnswer::MAX_BODY, data, size)
        });
        CalloutAnswer {
            status,
            retry_after: header("retry-after").unwrap_or_default(),
            route_patterns: header(VERSION_HEADER).unwrap_or_default(),
            body: body.unwrap_or_default(),
        }
    }

    fn callout_body(&self, most: usize) -> Vec<u8> {
        // SAFETY: see `returned`.
        let body = returned(|data, size| unsafe {
            proxy_get_buffer_bytes(CALLOUT_RESPONSE_BODY, 0, most, data, size)
        });
        body.unwrap_or_default()
    }
}

impl Stream for Envoy {
    type Headers = Pairs;
    type Bytes = Bytes;

    fn info(&self) -> StreamInfo<Bytes> {
        let needs = self.expressions.needs();
        self.evaluated_info().unwrap_or_else(|| StreamInfo {
            duration_ns: self.number(Attribute::RequestDuration),
            request_bytes: self.number(Attribute::RequestSize),
            response_bytes: self.number(Attribute::ResponseSize),
            response_flags: self.number(Attribute::ResponseFlags),
            client_address: if needs.client_address { self.bytes(Attribute::SourceAddress) } else { None },
            upstream_ns: self.number(Attribute::UpstreamLatency),
            attempts: self.number(Attribute::Attempts),
            upstream_cluster: if needs.upstream_cluster { self.bytes(Attribute::ClusterName) } else { None },
            protocol: if needs.protocol { self.protocol() } else { None },
            response_code: self.number(Attribute::ResponseCode),
            code_details: None,
            response_header: SoleHeader::Unread,
        })
    }

    fn request_headers(&self) -> Pairs {
        header_map(REQUEST_HEADERS)
    }

    fn response_headers(&self) -> Pairs {
        header_map(RESPONSE_HEADERS)
    }

    fn code_details(&self) -> Option<Bytes> {
        self.bytes(Attribute::CodeDetails)
    }

    fn grpc_status(&self) -> Option<u64> {
        self.number(Attribute::GrpcStatus)
    }

    fn route_name(&self) -> Option<Bytes> {
        self.bytes(Attribute::RouteName)
    }

    fn metadata(&self, path: &[Box<str>]) -> Option<Bytes> {
        let mut joined = String::from("metadata\0filter_metadata");
        for name in path {
            joined.push('\0');
            joined.push_str(name);
        }
        self.joined_property(&joined).map(Bytes::Buffer)
    }

    fn certificate(&self, part: Certificate) -> Option<Bytes> {
        self.bytes(match part {
            Certificate::UriSan => Attribute::UriSan,
            Certificate::Subject => Attribute::CertificateSubject,
        })
    }

    fn response_header(&self, name: &str) -> Option<Bytes> {
        header(RESPONSE_HEADERS, name).map(Bytes::Buffer)
    }

    fn remove_response_header(&self, name: &str) {
        // SAFETY: the name outlives the call. On failure the header stays.
        unsafe { proxy_remove_header_map_value(RESPONSE_HEADERS, name.as_ptr(), name.len()) };
    }

    fn body_chunk(&self, message: Message, part: Range<usize>) -> Vec<u8> {
        let kind = match message {
            Message::Request => REQUEST_BODY,
            Message::Response => RESPONSE_BODY,
        };
        // SAFETY: see `returned`.
        returned(|data, size| unsafe { proxy_get_buffer_bytes(kind, part.start, part.len(), data, size) })
            .unwrap_or_default()
    }
}

/// Bytes in a buffer of Envoy's, which is not copied.
pub(crate) enum Bytes {
    /// The whole buffer.
    Buffer(Vec<u8>),
    /// One value of an evaluated list, which all of them share.
    Part { list: Rc<Pairs>, place: Range<usize> },
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Bytes::Buffer(buffer) => buffer,
            Bytes::Part { list, place } => list.at(place.clone()),
        }
    }
}

/// Envoy's attributes of a stream that are read one by one.
#[derive(Clone, Copy)]
enum Attribute {
    RequestDuration,
    RequestSize,
    ResponseSize,
    ResponseFlags,
    SourceAddress,
    UpstreamLatency,
    Attempts,
    ResponseCode,
    CodeDetails,
    GrpcStatus,
    RouteName,
    ClusterName,
    Protocol,
    UriSan,
    CertificateSubject,
}

impl Attribute {
    fn path(self) -> [&'static str; 2] {
        match self {
            Attribute::RequestDuration => ["request", "duration"],
            Attribute::RequestSize => ["request", "size"],
            Attribute::ResponseSize => ["response", "size"],
            Attribute::ResponseFlags => ["response", "flags"],
            Attribute::SourceAddress => ["source", "address"],
            Attribute::UpstreamLatency => ["response", "backend_latency"],
            Attribute::Attempts => ["upstream", "request_attempt_count"],
            Attribute::ResponseCode => ["response", "code"],
            Attribute::CodeDetails => ["response", "code_details"],
            Attribute::GrpcStatus => ["response", "grpc_status"],
            Attribute::RouteName => ["xds", "route_name"],
            Attribute::ClusterName => ["xds", "cluster_name"],
            Attribute::Protocol => ["request", "protocol"],
            Attribute::UriSan => ["connection", "uri_san_peer_certificate"],
            Attribute::CertificateSubject => ["connection", "subject_peer_certificate"],
        }
    }
}

/// Envoy encodes integers and durations as little-endian 64-bit integers. A negative one is absent.
fn number(bytes: &[u8]) -> Option<u64> {
    u64::try_from(i64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// One header as a header map of the proxy-wasm ABI: the number of pairs, the sizes, then both texts, each with a zero byte.
fn pair(name: &str, value: &str) -> Vec<u8> {
    let mut map = Vec::new();
    for number in [1, name.len(), value.len()] {
        map.extend(u32::try_from(number).unwrap_or_default().to_le_bytes());
    }
    for text in [name, value] {
        map.extend_from_slice(text.as_bytes());
        map.push(0);
    }
    map
}

/// The first value of a header.
fn header(kind: i32, name: &str) -> Option<Vec<u8>> {
    // SAFETY: the name outlives the call.
    returned(|data, size| unsafe { proxy_get_header_map_value(kind, name.as_ptr(), name.len(), data, size) })
}

fn header_map(kind: i32) -> Pairs {
    // SAFETY: see `returned`.
    let buffer = returned(|data, size| unsafe { proxy_get_header_map_pairs(kind, data, size) });
    Pairs::from_host(buffer.unwrap_or_default())
}

/// Makes a host call that returns a buffer, and takes the buffer over.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Option<Vec<u8>> {
    let mut data: *mut u8 = null_mut();
    let mut size = 0usize;
    if call(&mut data, &mut size) != OK {
        return None;
    }
    if data.is_null() || size == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the host had this module's allocator (the SDK's `proxy_on_memory_allocate`, which boxes a slice of
    // exactly that many bytes) make the buffer, filled it, and does not keep it.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}
