//! The access logger: one object for each configuration on each thread.

use std::rc::Rc;

use gatelens_core::host::LogLevel;

use crate::abi::{self, Buffer, Opaque};
use crate::delivery;
use crate::guard::guarded;
use crate::host::{self, At, Envoy};
use crate::isolate::{Confined, Slot, configuration, give_up, shared};

const NO_SENDER: &str = "an access logger of a dynamic module needs the bootstrap extension of the same module, because Envoy gives \
    access loggers neither a timer nor requests of their own: add `bootstrap_extensions` as in docs/dynamic-module.md";

/// A logger, as Envoy keeps it.
type Logger = Confined<Rc<Slot>>;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_access_logger_config_new(
    _config_envoy_ptr: Opaque,
    name: Buffer,
    config: Buffer,
) -> Opaque {
    let begin = || {
        if !delivery::is_possible() {
            host::log(LogLevel::Error, NO_SENDER);
            return std::ptr::null();
        }
        // SAFETY: Envoy's texts are valid in the hook.
        unsafe { configuration(name, config) }.cast()
    };
    guarded(begin).unwrap_or(std::ptr::null())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_access_logger_config_destroy(config: Opaque) {
    // SAFETY: the pointer is that of `…_config_new`, and Envoy does not use it again.
    guarded(|| unsafe { give_up(config.cast()) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_access_logger_new(
    config: Opaque,
    _logger_envoy_ptr: Opaque,
) -> Opaque {
    let begin = || {
        // SAFETY: the pointer is that of `…_config_new`.
        let configuration = unsafe { shared(config.cast()) }?;
        let logger = Logger::new(|state| state.attach(&configuration))?;
        Some(Box::into_raw(Box::new(logger)).cast_const().cast())
    };
    guarded(begin).flatten().unwrap_or(std::ptr::null())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_access_logger_log(
    logger_envoy_ptr: Opaque,
    logger: Opaque,
    kind: u32,
) {
    if !matches!(kind, abi::LOG_NOT_SET | abi::LOG_DOWNSTREAM_END | abi::LOG_UPSTREAM_END) {
        return;
    }
    guarded(|| {
        // SAFETY: the pointer is that of `…_new`, or null.
        let logger = unsafe { logger.cast::<Logger>().as_ref() };
        logger.map(|logger| {
            logger.with(|slot| {
                // SAFETY: Envoy's pointer is valid in the hook, which lasts longer than this.
                let host = unsafe { Envoy::at(slot, At::Logger(logger_envoy_ptr)) };
                slot.plugin(|plugin| plugin.log(&host));
            })
        });
    });
}

/// Nothing can be sent from here: the ticks of the main thread do it, and the bootstrap extension when the process ends.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_access_logger_flush(_logger: Opaque) {}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_access_logger_destroy(logger: Opaque) {
    if !logger.is_null() {
        // SAFETY: the pointer is that of `…_new`, and Envoy does not use it again.
        guarded(|| drop(unsafe { Box::from_raw(logger.cast_mut().cast::<Logger>()) }));
    }
}
