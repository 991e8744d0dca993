//! The bootstrap extension: it sends for all access loggers and HTTP filters of the process, and holds the end of the process back
//! until everything is delivered.

use std::ffi::c_void;

use gatelens_core::host::LogLevel;
use serde::Deserialize;

use crate::abi::{self, Buffer, HttpHeader, Opaque};
use crate::delivery::{self, Kind, callout_done};
use crate::guard::guarded;
use crate::host;

/// Name of Envoy's counter of panics.
const PANICS: &str = "gatelens_panics";

/// The configuration of the extension: a JSON object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// `service.instance.id`: Envoy does not give its `node.id` to dynamic modules.
    #[serde(default)]
    instance: String,
}

/// A function of Envoy's that the extension calls when the process may end.
type EventCallback = unsafe extern "C" fn(*mut c_void);

/// Holds the end of the process back until it is dropped, whatever drops it: Envoy would wait for ever otherwise.
pub(crate) struct Completion {
    callback: EventCallback,
    context: *mut c_void,
}

// SAFETY: only the main thread makes and drops it.
unsafe impl Send for Completion {}

impl Drop for Completion {
    fn drop(&mut self) {
        // SAFETY: Envoy's own function and argument, called once.
        unsafe { (self.callback)(self.context) };
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_bootstrap_extension_config_new(
    config_envoy_ptr: Opaque,
    _name: Buffer,
    config: Buffer,
) -> Opaque {
    let begin = || {
        // SAFETY: Envoy's text is valid in the hook.
        let text = unsafe { config.bytes() };
        let options =
            if text.trim_ascii().is_empty() { Ok(Options::default()) } else { serde_json::from_slice(text) };
        match options {
            Ok(Options { instance }) => delivery::set_instance(instance),
            Err(error) => {
                let message = format!("the configuration of the bootstrap extension is refused: {error}");
                host::log(LogLevel::Error, &message);
                return std::ptr::null();
            }
        }
        let mut counter = 0;
        // SAFETY: the name outlives the call, and the pointers are valid.
        let result = unsafe {
            let name = Buffer::of(PANICS.as_bytes());
            abi::bootstrap_define_counter(config_envoy_ptr, name, std::ptr::null(), 0, &mut counter)
        };
        // SAFETY: the pointer is Envoy's, and `…_config_destroy` removes it.
        unsafe { delivery::add(Kind::Bootstrap, config_envoy_ptr, (result == 0).then_some(counter)) };
        // SAFETY: the pointer is Envoy's. Nothing here needs time before Envoy serves.
        unsafe { abi::bootstrap_init_complete(config_envoy_ptr) };
        // This module has no state of its own for it.
        config_envoy_ptr
    };
    guarded(begin).unwrap_or(std::ptr::null())
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_config_destroy(config: Opaque) {
    guarded(|| delivery::remove(config));
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_new(
    config: Opaque,
    _extension_envoy_ptr: Opaque,
) -> Opaque {
    config
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_server_initialized(
    _extension_envoy_ptr: Opaque,
    config: Opaque,
) {
    guarded(|| delivery::ready(config));
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_worker_thread_initialized(
    _extension_envoy_ptr: Opaque,
    _extension: Opaque,
) {
}

/// Envoy still serves, and ticks go on.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_drain_started(
    _extension_envoy_ptr: Opaque,
    _extension: Opaque,
) {
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_bootstrap_extension_shutdown(
    _extension_envoy_ptr: Opaque,
    _extension: Opaque,
    callback: EventCallback,
    context: *mut c_void,
) {
    let completion = Completion { callback, context };
    guarded(|| delivery::leave(completion));
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_destroy(_extension: Opaque) {}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_config_scheduled(
    _config_envoy_ptr: Opaque,
    _config: Opaque,
    _event: u64,
) {
    guarded(delivery::round);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_bootstrap_extension_http_callout_done(
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

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_timer_fired(
    _config_envoy_ptr: Opaque,
    _config: Opaque,
    _timer: Opaque,
) {
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_file_changed(
    _config_envoy_ptr: Opaque,
    _config: Opaque,
    _path: Buffer,
    _events: u32,
) {
}

#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_bootstrap_extension_admin_request(
    _config_envoy_ptr: Opaque,
    _config: Opaque,
    _method: Buffer,
    _path: Buffer,
    _body: Buffer,
) -> u32 {
    404
}

/// Declares hooks that Envoy demands and that have nothing to do here.
macro_rules! unused {
    ($($hook:ident)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $hook(_config_envoy_ptr: Opaque, _config: Opaque, _name: Buffer) {})*
    };
}

unused! {
    envoy_dynamic_module_on_bootstrap_extension_cluster_add_or_update
    envoy_dynamic_module_on_bootstrap_extension_cluster_removal
    envoy_dynamic_module_on_bootstrap_extension_listener_add_or_update
    envoy_dynamic_module_on_bootstrap_extension_listener_removal
}
