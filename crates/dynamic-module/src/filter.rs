//! The HTTP filter: one object for each stream. It never delays or changes a stream, except that it removes response headers that
//! the application writes for it, and that the endpoint for Prometheus answers.

use std::cell::Cell;
use std::rc::Rc;

use gatelens_core::filter::{EndStream, StreamFilter};
use gatelens_core::scrape::Scraper;
use gatelens_model::Message;

use crate::abi::{self, Buffer, HttpHeader, Opaque};
use crate::delivery::{self, Kind, callout_done};
use crate::guard::guarded;
use crate::host::{At, Envoy};
use crate::isolate::{Configuration, Confined, Slot, configuration, give_up, shared};
use crate::stream::body_kind;

/// A stream, as Envoy keeps it.
struct Filter {
    /// `None` without a configuration.
    stream: Option<Confined<Stream>>,
    /// A hook of it has panicked: the others do nothing.
    is_off: Cell<bool>,
}

struct Stream {
    slot: Rc<Slot>,
    role: Role,
}

enum Role {
    Counts(StreamFilter),
    Answers(Rc<Scraper>),
}

/// A configuration of a filter, which can also send.
struct FilterConfig {
    configuration: *const Configuration,
    envoy: Opaque,
}

impl Filter {
    /// Does the work of a hook.
    ///
    /// # Safety
    /// The pointers must be those of the hook.
    unsafe fn on<T>(
        filter: Opaque,
        envoy: Opaque,
        work: impl FnOnce(&Envoy<'_>, &mut Role) -> T,
    ) -> Option<T> {
        // SAFETY: the caller's promise.
        let filter = unsafe { filter.cast::<Self>().as_ref() }?;
        if filter.is_off.get() {
            return None;
        }
        let stream = filter.stream.as_ref()?;
        let result = guarded(|| {
            stream.with(|stream| {
                // SAFETY: the hook lasts longer than this.
                let host = unsafe { Envoy::at(&stream.slot, At::Filter(envoy)) };
                work(&host, &mut stream.role)
            })
        });
        filter.is_off.set(result.is_none());
        result.flatten()
    }

    /// # Safety
    /// As [`Self::on`].
    unsafe fn counts(filter: Opaque, envoy: Opaque, work: impl FnOnce(&Envoy<'_>, &mut StreamFilter)) -> u32 {
        let count = |host: &Envoy<'_>, role: &mut Role| match role {
            Role::Counts(filter) => work(host, filter),
            Role::Answers(_) => {}
        };
        // SAFETY: the caller's promise.
        unsafe { Self::on(filter, envoy, count) };
        abi::CONTINUE
    }
}

fn end_stream(end_of_stream: bool) -> EndStream {
    if end_of_stream { EndStream::Yes } else { EndStream::No }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config_envoy_ptr: Opaque,
    name: Buffer,
    config: Buffer,
) -> Opaque {
    let begin = || {
        // SAFETY: Envoy's texts are valid in the hook.
        let configuration = unsafe { configuration(name, config) };
        if configuration.is_null() {
            return std::ptr::null();
        }
        // SAFETY: the pointer is Envoy's, and `…_config_destroy` removes it.
        unsafe { delivery::add(Kind::Filter, config_envoy_ptr, None) };
        Box::into_raw(Box::new(FilterConfig { configuration, envoy: config_envoy_ptr })).cast_const().cast()
    };
    guarded(begin).unwrap_or(std::ptr::null())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: Opaque) {
    guarded(|| {
        if !config.is_null() {
            // SAFETY: the pointer is that of `…_config_new`, and Envoy does not use it again.
            let config = unsafe { Box::from_raw(config.cast_mut().cast::<FilterConfig>()) };
            delivery::remove(config.envoy);
            // SAFETY: so is the one within.
            unsafe { give_up(config.configuration) };
        }
    });
}

/// Never null, because Envoy would close the stream: without a configuration the filter does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: Opaque,
    _filter_envoy_ptr: Opaque,
) -> Opaque {
    let begin = || {
        // SAFETY: the pointer is that of `…_config_new`.
        let configuration = unsafe { shared(config.cast::<FilterConfig>().as_ref()?.configuration) }?;
        Confined::new(|state| {
            let slot = state.attach(&configuration)?;
            let role = slot.plugin(|plugin| match plugin.scraper() {
                Some(scraper) => Role::Answers(scraper),
                None => Role::Counts(StreamFilter::new(plugin.active())),
            })?;
            Some(Stream { slot, role })
        })
    };
    let stream = guarded(begin).flatten();
    Box::into_raw(Box::new(Filter { stream, is_off: Cell::new(false) })).cast_const().cast()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
    end_of_stream: bool,
) -> u32 {
    let work = |host: &Envoy<'_>, role: &mut Role| match role {
        Role::Counts(filter) => {
            filter.headers(host, Message::Request, end_stream(end_of_stream));
            None
        }
        Role::Answers(scraper) => Some(scraper.reply(host)),
    };
    // SAFETY: the pointers are those of the hook.
    let Some(reply) = unsafe { Filter::on(filter, filter_envoy_ptr, work) }.flatten() else {
        return abi::CONTINUE;
    };
    let header = [HttpHeader::of("content-type", reply.content_type)];
    let (body, details) = (Buffer::of(reply.body.as_bytes()), Buffer::of(b"gatelens_scrape"));
    // Outside of the isolate, because Envoy calls this filter's hooks for the response at once.
    // SAFETY: all texts outlive the call, and the pointer is that of the hook.
    unsafe {
        abi::filter_send_response(filter_envoy_ptr, reply.status.into(), header.as_ptr(), 1, body, details);
    }
    abi::STOP_ITERATION
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
    end_of_stream: bool,
) -> u32 {
    let end = end_stream(end_of_stream);
    // SAFETY: the pointers are those of the hook.
    unsafe {
        Filter::counts(filter, filter_envoy_ptr, |host, filter| filter.headers(host, Message::Response, end))
    }
}

/// A chunk of a body passes.
///
/// # Safety
/// The pointers must be those of the hook.
unsafe fn body(filter: Opaque, envoy: Opaque, message: Message, end_of_stream: bool) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        Filter::counts(filter, envoy, |host, filter| {
            let size = abi::filter_body_size(envoy, body_kind(message));
            filter.body(host, message, size, end_stream(end_of_stream));
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: the pointers are those of the hook.
    unsafe { body(filter, filter_envoy_ptr, Message::Request, end_of_stream) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: the pointers are those of the hook.
    unsafe { body(filter, filter_envoy_ptr, Message::Response, end_of_stream) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
) -> u32 {
    // SAFETY: the pointers are those of the hook.
    unsafe { Filter::counts(filter, filter_envoy_ptr, |_, filter| filter.trailers(Message::Request)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
) -> u32 {
    // SAFETY: the pointers are those of the hook.
    unsafe { Filter::counts(filter, filter_envoy_ptr, |_, filter| filter.trailers(Message::Response)) }
}

/// The stream has ended; access loggers come after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    filter_envoy_ptr: Opaque,
    filter: Opaque,
) {
    // SAFETY: the pointers are those of the hook.
    unsafe { Filter::counts(filter, filter_envoy_ptr, |host, filter| filter.log(host)) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: Opaque) {
    if !filter.is_null() {
        // SAFETY: the pointer is that of `…_new`, and Envoy does not use it again.
        guarded(|| drop(unsafe { Box::from_raw(filter.cast_mut().cast::<Filter>()) }));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    _config_envoy_ptr: Opaque,
    _config: Opaque,
    _event: u64,
) {
    guarded(delivery::round);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    config_envoy_ptr: Opaque,
    _config: Opaque,
    id: u64,
    result: u32,
    headers: *const HttpHeader,
    headers_size: usize,
    chunks: *const Buffer,
    chunks_size: usize,
) {
    // SAFETY: they are Envoy's arguments.
    unsafe { callout_done(config_envoy_ptr, id, result, (headers, headers_size), (chunks, chunks_size)) };
}

/// Declares hooks that Envoy demands of a filter and never calls of this one, which has no callouts, streams or schedulers of a
/// single request's own.
macro_rules! unused {
    ($($hook:ident($($argument:ident: $type:ty),*);)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $hook(_filter_envoy_ptr: Opaque, _filter: Opaque $(, $argument: $type)*) {})*
    };
}

unused! {
    envoy_dynamic_module_on_http_filter_http_callout_done(_id: u64, _result: u32, _headers: *const HttpHeader, _size: usize, _chunks: *const Buffer, _chunks_size: usize);
    envoy_dynamic_module_on_http_filter_http_stream_headers(_id: u64, _headers: *const HttpHeader, _size: usize, _end: bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(_id: u64, _data: *const Buffer, _size: usize, _end: bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(_id: u64, _trailers: *const HttpHeader, _size: usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(_id: u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(_id: u64, _reason: u32);
    envoy_dynamic_module_on_http_filter_scheduled(_event: u64);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark();
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark();
}
