//! A trap on request, so that the tests can see what one costs. Only with the feature `trap`, which no released module
//! has.

use gatelens_core::host::Host;

/// Traps when the request has the header `x-gatelens-trap`.
#[allow(clippy::panic, reason = "that is what it is for")]
pub(crate) fn on_request(host: &impl Host) {
    if host.request_headers().iter().any(|(name, _)| name == b"x-gatelens-trap") {
        panic!("trapped on request");
    }
}
