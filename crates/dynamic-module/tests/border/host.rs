//! A fake Envoy: the functions that the module calls, over streams that a test makes up.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gatelens_dynamic_module::abi::{Buffer, HttpHeader, Opaque, TimingInfoV2};
use gatelens_dynamic_module::bootstrap;

/// All lines of the log.
pub(crate) static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Requests that the module has sent, with their ids: target and body.
pub(crate) static SENT: Mutex<Vec<(u64, String, Vec<u8>)>> = Mutex::new(Vec::new());

/// The module asked for a hook on the main thread.
pub(crate) static IS_SCHEDULED: AtomicBool = AtomicBool::new(false);

/// What becomes of the next requests.
pub(crate) static CALLOUTS: Mutex<Outcome> = Mutex::new(Outcome::Taken);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    /// The response comes within the call, and then there is no request.
    AnsweredAtOnce,
    NoCluster,
    Unavailable,
}

/// A stream, as hostile as a test wants it.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) request: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) response: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    /// By attribute; others are absent.
    pub(crate) texts: Vec<(u32, Vec<u8>)>,
    pub(crate) numbers: Vec<(u32, u64)>,
    pub(crate) timing: TimingInfoV2,
    pub(crate) chunks: Vec<Vec<u8>>,
    /// Sizes are given and nothing comes.
    pub(crate) lies: bool,
}

impl Stream {
    pub(crate) fn pointer(&self) -> Opaque {
        std::ptr::from_ref(self).cast()
    }
}

fn stream<'a>(pointer: Opaque) -> &'a Stream {
    // SAFETY: the tests hand over nothing but streams.
    unsafe { &*pointer.cast::<Stream>() }
}

fn text(buffer: Buffer) -> Vec<u8> {
    // SAFETY: the module's bytes are valid in the call.
    match buffer.ptr.is_null() {
        true => Vec::new(),
        false => unsafe { std::slice::from_raw_parts(buffer.ptr, buffer.length) }.to_vec(),
    }
}

fn buffer(bytes: &[u8]) -> Buffer {
    // Envoy gives no address for nothing.
    let ptr = if bytes.is_empty() { std::ptr::null() } else { bytes.as_ptr() };
    Buffer { ptr, length: bytes.len() }
}

fn give(bytes: Option<&[u8]>, result: *mut Buffer) -> bool {
    // SAFETY: the module's place for the result.
    unsafe { *result = bytes.map_or(Buffer { ptr: std::ptr::null(), length: 0 }, buffer) };
    bytes.is_some()
}

fn attribute(pointer: Opaque, id: u32, result: *mut Buffer) -> bool {
    let known = stream(pointer).texts.iter().find(|(known, _)| *known == id);
    give(known.map(|(_, text)| &text[..]), result)
}

fn number(pointer: Opaque, id: u32, result: *mut u64) -> bool {
    let known = stream(pointer).numbers.iter().find(|(known, _)| *known == id);
    if let Some((_, number)) = known {
        // SAFETY: the module's place for the result.
        unsafe { *result = *number };
    }
    known.is_some()
}

fn size(pointer: Opaque, kind: u32) -> usize {
    if kind == 0 { stream(pointer).request.len() } else { stream(pointer).response.borrow().len() }
}

fn headers(pointer: Opaque, kind: u32, result: *mut HttpHeader) -> bool {
    let stream = stream(pointer);
    let response = stream.response.borrow();
    let all = if kind == 0 { &stream.request } else { &*response };
    for (index, (name, value)) in all.iter().enumerate() {
        let (name, value) = (buffer(name), buffer(value));
        let header = HttpHeader {
            key_ptr: name.ptr,
            key_length: name.length,
            value_ptr: value.ptr,
            value_length: value.length,
        };
        // SAFETY: the module has room for as many as `size` returned.
        unsafe { *result.add(index) = header };
    }
    !stream.lies
}

fn header(pointer: Opaque, kind: u32, key: Buffer, result: *mut Buffer) -> bool {
    let (stream, key) = (stream(pointer), text(key));
    let response = stream.response.borrow();
    let all = if kind == 0 { &stream.request } else { &*response };
    give(all.iter().find(|(name, _)| *name == key).map(|(_, value)| &value[..]), result)
}

fn callout(config: Opaque, id: *mut u64, headers: *const HttpHeader, count: usize, body: Buffer) -> u32 {
    // SAFETY: the module's headers are valid in the call.
    let headers = unsafe { std::slice::from_raw_parts(headers, count) };
    let of = |wanted: &[u8]| {
        headers.iter().find_map(|header| {
            let name = text(Buffer { ptr: header.key_ptr, length: header.key_length });
            let value = text(Buffer { ptr: header.value_ptr, length: header.value_length });
            (name == wanted).then(|| String::from_utf8_lossy(&value).into_owned())
        })
    };
    assert!(of(b":method").is_some() && of(b":authority").is_some(), "Envoy refuses it otherwise");
    let fresh = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    match *CALLOUTS.lock().unwrap() {
        Outcome::NoCluster => 2,
        Outcome::Unavailable => 4,
        Outcome::AnsweredAtOnce => {
            answer(config, fresh, 0, &[(":status", "503")], &[]);
            4
        }
        Outcome::Taken => {
            SENT.lock().unwrap().push((fresh, of(b":path").unwrap_or_default(), text(body)));
            // SAFETY: the module's place for the result.
            unsafe { *id = fresh };
            0
        }
    }
}

/// Hands a response over, as Envoy's bootstrap extension does.
pub(crate) fn answer(config: Opaque, id: u64, result: u32, headers: &[(&str, &str)], chunks: &[&[u8]]) {
    let headers: Vec<HttpHeader> = headers
        .iter()
        .map(|(name, value)| HttpHeader {
            key_ptr: name.as_ptr(),
            key_length: name.len(),
            value_ptr: value.as_ptr(),
            value_length: value.len(),
        })
        .collect();
    let chunks: Vec<Buffer> = chunks.iter().map(|chunk| buffer(chunk)).collect();
    let (first, count) =
        (if headers.is_empty() { std::ptr::null() } else { headers.as_ptr() }, headers.len());
    let (body, pieces) = (if chunks.is_empty() { std::ptr::null() } else { chunks.as_ptr() }, chunks.len());
    // SAFETY: all of it lives longer than the call.
    unsafe {
        bootstrap::envoy_dynamic_module_on_bootstrap_extension_http_callout_done(
            config, config, id, result, first, count, body, pieces,
        );
    }
}

/// Defines Envoy's functions.
macro_rules! envoy {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $type),*) $(-> $result)? $body)*
    };
}

envoy! {
    envoy_dynamic_module_callback_log(_level: u32, message: Buffer) {
        LOG.lock().unwrap().push(String::from_utf8(text(message)).unwrap());
    }

    envoy_dynamic_module_callback_access_logger_get_headers_size(at: Opaque, kind: u32) -> usize { size(at, kind) }
    envoy_dynamic_module_callback_access_logger_get_headers(at: Opaque, kind: u32, result: *mut HttpHeader) -> bool { headers(at, kind, result) }
    envoy_dynamic_module_callback_access_logger_get_header_value(at: Opaque, kind: u32, key: Buffer, result: *mut Buffer, _index: usize, _total: *mut usize) -> bool { header(at, kind, key, result) }
    envoy_dynamic_module_callback_access_logger_get_timing_info_v2(at: Opaque, result: *mut TimingInfoV2) {
        // SAFETY: the module's place for the result.
        unsafe { *result = stream(at).timing };
    }
    envoy_dynamic_module_callback_access_logger_get_attribute_string(at: Opaque, id: u32, result: *mut Buffer) -> bool { attribute(at, id, result) }
    envoy_dynamic_module_callback_access_logger_get_attribute_int(at: Opaque, id: u32, result: *mut u64) -> bool { number(at, id, result) }
    envoy_dynamic_module_callback_access_logger_get_upstream_cluster(at: Opaque, result: *mut Buffer) -> bool { attribute(at, 57, result) }
    envoy_dynamic_module_callback_access_logger_get_dynamic_metadata(at: Opaque, _filter: Buffer, _path: Buffer, result: *mut Buffer) -> bool { attribute(at, 1_000, result) }
    envoy_dynamic_module_callback_access_logger_get_dynamic_metadata_number(_at: Opaque, _filter: Buffer, _path: Buffer, result: *mut f64) -> bool {
        // SAFETY: the module's place for the result.
        unsafe { *result = f64::NAN };
        true
    }
    envoy_dynamic_module_callback_access_logger_get_dynamic_metadata_bool(_at: Opaque, _filter: Buffer, _path: Buffer, _result: *mut bool) -> bool { false }

    envoy_dynamic_module_callback_http_get_headers_size(at: Opaque, kind: u32) -> usize { size(at, kind) }
    envoy_dynamic_module_callback_http_get_headers(at: Opaque, kind: u32, result: *mut HttpHeader) -> bool { headers(at, kind, result) }
    envoy_dynamic_module_callback_http_get_header(at: Opaque, kind: u32, key: Buffer, result: *mut Buffer, _index: usize, _total: *mut usize) -> bool { header(at, kind, key, result) }
    envoy_dynamic_module_callback_http_set_header(at: Opaque, _kind: u32, key: Buffer, value: Buffer) -> bool {
        assert!(value.ptr.is_null(), "headers are only removed");
        let key = text(key);
        // The texts are freed: whoever still uses them is found out.
        stream(at).response.borrow_mut().retain(|(name, _)| *name != key);
        true
    }
    envoy_dynamic_module_callback_http_get_timing_info(at: Opaque, result: *mut TimingInfoV2) {
        // SAFETY: the module's place for the result.
        unsafe { *result = stream(at).timing };
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_string(at: Opaque, id: u32, result: *mut Buffer) -> bool { attribute(at, id, result) }
    envoy_dynamic_module_callback_http_filter_get_attribute_int(at: Opaque, id: u32, result: *mut u64) -> bool { number(at, id, result) }
    envoy_dynamic_module_callback_http_get_cluster_name(at: Opaque, result: *mut Buffer) -> bool { attribute(at, 57, result) }
    envoy_dynamic_module_callback_http_get_metadata_string(at: Opaque, _source: u32, _namespace: Buffer, _key: Buffer, result: *mut Buffer) -> bool { attribute(at, 1_000, result) }
    envoy_dynamic_module_callback_http_get_metadata_number(_at: Opaque, _source: u32, _namespace: Buffer, _key: Buffer, _result: *mut f64) -> bool { false }
    envoy_dynamic_module_callback_http_get_metadata_bool(_at: Opaque, _source: u32, _namespace: Buffer, _key: Buffer, result: *mut bool) -> bool {
        // SAFETY: the module's place for the result.
        unsafe { *result = true };
        true
    }
    envoy_dynamic_module_callback_http_get_body_size(at: Opaque, _kind: u32) -> usize { stream(at).chunks.iter().map(Vec::len).sum() }
    envoy_dynamic_module_callback_http_get_body_chunks_size(at: Opaque, _kind: u32) -> usize { stream(at).chunks.len() }
    envoy_dynamic_module_callback_http_get_body_chunks(at: Opaque, _kind: u32, result: *mut Buffer) -> bool {
        for (index, chunk) in stream(at).chunks.iter().enumerate() {
            // SAFETY: the module has room for as many as the function above returned.
            unsafe { *result.add(index) = buffer(chunk) };
        }
        !stream(at).lies
    }
    envoy_dynamic_module_callback_http_send_response(_at: Opaque, _status: u32, _headers: *const HttpHeader, _size: usize, body: Buffer, _details: Buffer) {
        LOG.lock().unwrap().push(String::from_utf8(text(body)).unwrap());
    }

    envoy_dynamic_module_callback_http_filter_config_http_callout(config: Opaque, id: *mut u64, _cluster: Buffer, headers: *const HttpHeader, size: usize, body: Buffer, _timeout: u64) -> u32 { callout(config, id, headers, size, body) }
    envoy_dynamic_module_callback_http_filter_config_scheduler_new(_config: Opaque) -> *mut c_void { Box::into_raw(Box::new(0_u64)).cast() }
    envoy_dynamic_module_callback_http_filter_config_scheduler_commit(_scheduler: *mut c_void, _event: u64) { IS_SCHEDULED.store(true, Ordering::Release); }
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: *mut c_void) {
        // SAFETY: made above, and deleted once.
        drop(unsafe { Box::from_raw(scheduler.cast::<u64>()) });
    }
    envoy_dynamic_module_callback_bootstrap_extension_http_callout(config: Opaque, id: *mut u64, _cluster: Buffer, headers: *const HttpHeader, size: usize, body: Buffer, _timeout: u64) -> u32 { callout(config, id, headers, size, body) }
    envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_new(_config: Opaque) -> *mut c_void { Box::into_raw(Box::new(0_u64)).cast() }
    envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_commit(_scheduler: *mut c_void, _event: u64) { IS_SCHEDULED.store(true, Ordering::Release); }
    envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_delete(scheduler: *mut c_void) {
        // SAFETY: made above, and deleted once.
        drop(unsafe { Box::from_raw(scheduler.cast::<u64>()) });
    }
    envoy_dynamic_module_callback_bootstrap_extension_config_define_counter(_config: Opaque, _name: Buffer, _labels: *const Buffer, _size: usize, id: *mut usize) -> u32 {
        // SAFETY: the module's place for the result.
        unsafe { *id = 7 };
        0
    }
    envoy_dynamic_module_callback_bootstrap_extension_config_increment_counter(_config: Opaque, id: usize, _labels: *const Buffer, _size: usize, value: u64) -> u32 {
        LOG.lock().unwrap().push(format!("counter {id} + {value}"));
        0
    }
    envoy_dynamic_module_callback_bootstrap_extension_config_signal_init_complete(_config: Opaque) {}
}
