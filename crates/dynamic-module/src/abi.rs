//! Declarations of Envoy's ABI for dynamic modules: the part of it that this module uses.
//!
//! Written from the documentation of version 0.1.0, which Envoy 1.40.0 (version 0.2.0) keeps, and of the functions that 0.2.0
//! adds. The order of the times in [`TimingInfoV2`] is that of Envoy's SDK, and was compared with the program of Envoy 1.40.0.
//! Envoy promises that a version works under the next one. The names are Envoy's without their prefixes
//! `envoy_dynamic_module_type_` and `envoy_dynamic_module_callback_`.

use std::ffi::c_void;

/// The version of the ABI that these declarations belong to, as Envoy compares it: another one is a warning in its log.
pub(crate) const VERSION: &std::ffi::CStr = c"v0.2.0";

/// An object of Envoy's or of this module, which the other side only hands back.
pub type Opaque = *const c_void;

/// Bytes of the side that hands them over. Those of Envoy are valid until the hook returns, or until it is asked to change what
/// they belong to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    pub ptr: *const u8,
    pub length: usize,
}

/// A header of the side that hands it over.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HttpHeader {
    pub key_ptr: *const u8,
    pub key_length: usize,
    pub value_ptr: *const u8,
    pub value_length: usize,
}

/// Nanoseconds since the start of the request. A time is valid if its flag is set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TimingInfoV2 {
    pub start_time_unix_ns: i64,
    pub downstream_connection_begin_ns: i64,
    pub downstream_handshake_start_ns: i64,
    pub downstream_handshake_complete_ns: i64,
    pub last_downstream_header_rx_byte_received_ns: i64,
    pub last_downstream_rx_byte_received_ns: i64,
    pub upstream_connect_start_ns: i64,
    pub upstream_connect_complete_ns: i64,
    pub upstream_handshake_complete_ns: i64,
    pub first_upstream_tx_byte_sent_ns: i64,
    pub last_upstream_tx_byte_sent_ns: i64,
    pub first_upstream_rx_byte_received_ns: i64,
    pub first_upstream_rx_body_byte_received_ns: i64,
    pub last_upstream_rx_byte_received_ns: i64,
    pub first_downstream_tx_byte_sent_ns: i64,
    pub last_downstream_tx_byte_sent_ns: i64,
    pub last_downstream_ack_received_ns: i64,
    pub request_complete_duration_ns: i64,
    pub downstream_connection_end_ns: i64,
    /// In the order of the times. Envoy writes 0 or 1; an integer is valid whatever it writes.
    pub has: [u8; 19],
}

/// Places of the times in [`TimingInfoV2::has`].
pub(crate) const HAS_FIRST_UPSTREAM_TX: usize = 9;
pub(crate) const HAS_LAST_UPSTREAM_RX: usize = 13;
pub(crate) const HAS_REQUEST_COMPLETE: usize = 17;

/// `http_header_type`.
pub(crate) const REQUEST_HEADERS: u32 = 0;
pub(crate) const RESPONSE_HEADERS: u32 = 2;

/// `http_body_type`: the chunk that has just arrived.
pub(crate) const RECEIVED_REQUEST_BODY: u32 = 0;
pub(crate) const RECEIVED_RESPONSE_BODY: u32 = 2;

/// `metadata_source`: the stream's dynamic metadata.
pub(crate) const DYNAMIC_METADATA: u32 = 0;

/// `access_log_type`: the ends of a request. The others are reported before it.
pub(crate) const LOG_NOT_SET: u32 = 0;
pub(crate) const LOG_DOWNSTREAM_END: u32 = 6;
pub(crate) const LOG_UPSTREAM_END: u32 = 9;

/// `log_level`.
pub(crate) const LOG_INFO: u32 = 2;
pub(crate) const LOG_WARN: u32 = 3;
pub(crate) const LOG_ERROR: u32 = 4;

/// `http_callout_init_result`.
pub(crate) const CALLOUT_SUCCESS: u32 = 0;
pub(crate) const CALLOUT_MISSING_HEADERS: u32 = 1;
pub(crate) const CALLOUT_CLUSTER_NOT_FOUND: u32 = 2;

/// The status of every hook that sees a part of a message.
pub(crate) const CONTINUE: u32 = 0;
pub(crate) const STOP_ITERATION: u32 = 1;

/// `attribute_id`.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Attribute {
    Protocol = 10,
    RequestSize = 13,
    ResponseCode = 15,
    CodeDetails = 16,
    ResponseFlags = 17,
    GrpcStatus = 18,
    ResponseSize = 21,
    SourceAddress = 24,
    SourcePort = 25,
    CertificateSubject = 33,
    UriSan = 37,
    Attempts = 53,
    RouteName = 61,
}

impl Buffer {
    pub(crate) const EMPTY: Self = Self { ptr: std::ptr::null(), length: 0 };

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }

    /// # Safety
    /// The bytes must be valid for `'a`, unless the length is zero.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { slice((self.ptr, self.length)) }
    }
}

impl HttpHeader {
    pub(crate) const EMPTY: Self =
        Self { key_ptr: std::ptr::null(), key_length: 0, value_ptr: std::ptr::null(), value_length: 0 };

    pub(crate) fn of(name: &str, value: &str) -> Self {
        Self {
            key_ptr: name.as_ptr(),
            key_length: name.len(),
            value_ptr: value.as_ptr(),
            value_length: value.len(),
        }
    }

    /// # Safety
    /// As [`Buffer::bytes`], for both texts.
    pub(crate) unsafe fn pair<'a>(&self) -> (&'a [u8], &'a [u8]) {
        let name = Buffer { ptr: self.key_ptr, length: self.key_length };
        let value = Buffer { ptr: self.value_ptr, length: self.value_length };
        // SAFETY: the caller's promise.
        unsafe { (name.bytes(), value.bytes()) }
    }
}

/// An array of Envoy's.
///
/// # Safety
/// The array must be valid for `'a`, unless its address is null.
pub(crate) unsafe fn slice<'a, T>((pointer, size): (*const T, usize)) -> &'a [T] {
    if pointer.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(pointer, size) }
}

/// Declares functions of Envoy's under their names without the prefix that all of them have.
macro_rules! callbacks {
    ($($name:ident = $symbol:literal ($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        unsafe extern "C" {
            $(#[link_name = concat!("envoy_dynamic_module_callback_", $symbol)]
            pub(crate) fn $name($($argument: $type),*) $(-> $result)?;)*
        }
    };
}

callbacks! {
    log = "log"(level: u32, message: Buffer);

    logger_headers_size = "access_logger_get_headers_size"(logger: Opaque, kind: u32) -> usize;
    logger_headers = "access_logger_get_headers"(logger: Opaque, kind: u32, result: *mut HttpHeader) -> bool;
    logger_header = "access_logger_get_header_value"(logger: Opaque, kind: u32, key: Buffer, result: *mut Buffer, index: usize, total: *mut usize) -> bool;
    logger_timing = "access_logger_get_timing_info_v2"(logger: Opaque, timing: *mut TimingInfoV2);
    logger_text = "access_logger_get_attribute_string"(logger: Opaque, attribute: u32, result: *mut Buffer) -> bool;
    logger_number = "access_logger_get_attribute_int"(logger: Opaque, attribute: u32, result: *mut u64) -> bool;
    logger_cluster = "access_logger_get_upstream_cluster"(logger: Opaque, result: *mut Buffer) -> bool;
    logger_metadata_text = "access_logger_get_dynamic_metadata"(logger: Opaque, filter: Buffer, path: Buffer, result: *mut Buffer) -> bool;
    logger_metadata_number = "access_logger_get_dynamic_metadata_number"(logger: Opaque, filter: Buffer, path: Buffer, result: *mut f64) -> bool;
    logger_metadata_bool = "access_logger_get_dynamic_metadata_bool"(logger: Opaque, filter: Buffer, path: Buffer, result: *mut bool) -> bool;

    filter_headers_size = "http_get_headers_size"(filter: Opaque, kind: u32) -> usize;
    filter_headers = "http_get_headers"(filter: Opaque, kind: u32, result: *mut HttpHeader) -> bool;
    filter_header = "http_get_header"(filter: Opaque, kind: u32, key: Buffer, result: *mut Buffer, index: usize, total: *mut usize) -> bool;
    filter_set_header = "http_set_header"(filter: Opaque, kind: u32, key: Buffer, value: Buffer) -> bool;
    filter_timing = "http_get_timing_info"(filter: Opaque, timing: *mut TimingInfoV2);
    filter_text = "http_filter_get_attribute_string"(filter: Opaque, attribute: u32, result: *mut Buffer) -> bool;
    filter_number = "http_filter_get_attribute_int"(filter: Opaque, attribute: u32, result: *mut u64) -> bool;
    filter_cluster = "http_get_cluster_name"(filter: Opaque, result: *mut Buffer) -> bool;
    filter_metadata_text = "http_get_metadata_string"(filter: Opaque, source: u32, namespace: Buffer, key: Buffer, result: *mut Buffer) -> bool;
    filter_metadata_number = "http_get_metadata_number"(filter: Opaque, source: u32, namespace: Buffer, key: Buffer, result: *mut f64) -> bool;
    filter_metadata_bool = "http_get_metadata_bool"(filter: Opaque, source: u32, namespace: Buffer, key: Buffer, result: *mut bool) -> bool;
    filter_body_size = "http_get_body_size"(filter: Opaque, kind: u32) -> usize;
    filter_body_chunks_size = "http_get_body_chunks_size"(filter: Opaque, kind: u32) -> usize;
    filter_body_chunks = "http_get_body_chunks"(filter: Opaque, kind: u32, result: *mut Buffer) -> bool;
    filter_send_response = "http_send_response"(filter: Opaque, status: u32, headers: *const HttpHeader, headers_size: usize, body: Buffer, details: Buffer);

    filter_config_callout = "http_filter_config_http_callout"(config: Opaque, id: *mut u64, cluster: Buffer, headers: *const HttpHeader, headers_size: usize, body: Buffer, timeout_ms: u64) -> u32;
    filter_config_scheduler_new = "http_filter_config_scheduler_new"(config: Opaque) -> *mut c_void;
    filter_config_scheduler_commit = "http_filter_config_scheduler_commit"(scheduler: *mut c_void, event: u64);
    filter_config_scheduler_delete = "http_filter_config_scheduler_delete"(scheduler: *mut c_void);

    bootstrap_callout = "bootstrap_extension_http_callout"(config: Opaque, id: *mut u64, cluster: Buffer, headers: *const HttpHeader, headers_size: usize, body: Buffer, timeout_ms: u64) -> u32;
    bootstrap_scheduler_new = "bootstrap_extension_config_scheduler_new"(config: Opaque) -> *mut c_void;
    bootstrap_scheduler_commit = "bootstrap_extension_config_scheduler_commit"(scheduler: *mut c_void, event: u64);
    bootstrap_scheduler_delete = "bootstrap_extension_config_scheduler_delete"(scheduler: *mut c_void);
    bootstrap_define_counter = "bootstrap_extension_config_define_counter"(config: Opaque, name: Buffer, labels: *const Buffer, labels_size: usize, id: *mut usize) -> u32;
    bootstrap_add_to_counter = "bootstrap_extension_config_increment_counter"(config: Opaque, id: usize, labels: *const Buffer, labels_size: usize, value: u64) -> u32;
    bootstrap_init_complete = "bootstrap_extension_config_signal_init_complete"(config: Opaque);
}
