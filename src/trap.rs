//! A trap on request, so that the tests can observe its consequences. Only the feature `trap` compiles this module; no
//! released module has that feature.
//!
//! A request asks for a trap with the header `x-gatelens-trap`. The value names the callback that traps:
//! `on_request_headers`, `on_request_body`, `on_response_headers`, `on_response_body`, `on_log`, or `on_tick` for the
//! worker's next tick after the request is logged. The callbacks for bodies need an allow-list that has them.

use std::cell::Cell;

use gatelens_core::host::{HeaderMap, Host};
use gatelens_model::Message;

const HEADER: &[u8] = b"x-gatelens-trap";

thread_local! {
    /// Whether a request asked this worker to trap in its next tick.
    static NEXT_TICK: Cell<bool> = const { Cell::new(false) };
}

/// The callback for the headers of a message. Returns the callback that the request asks to trap in, because the
/// request's headers cannot be read while its response passes.
pub(crate) fn on_headers(host: &impl Host, message: Message, asked: &mut Option<Vec<u8>>) {
    match message {
        Message::Request => {
            *asked = asked_by(host);
            trap_if(asked.as_deref(), b"on_request_headers");
        }
        Message::Response => trap_if(asked.as_deref(), b"on_response_headers"),
    }
}

/// The callback for a chunk of the body of a message.
pub(crate) fn on_body(message: Message, asked: Option<&[u8]>) {
    match message {
        Message::Request => trap_if(asked, b"on_request_body"),
        Message::Response => trap_if(asked, b"on_response_body"),
    }
}

/// The end of a stream, in either mode.
pub(crate) fn on_log(host: &impl Host) {
    let asked = asked_by(host);
    trap_if(asked.as_deref(), b"on_log");
    NEXT_TICK.with(|next| next.set(next.get() || asked.as_deref() == Some(b"on_tick")));
}

/// A tick of a root context.
pub(crate) fn on_tick() {
    trap_if(NEXT_TICK.with(Cell::get).then_some(b"on_tick"), b"on_tick");
}

fn asked_by(host: &impl Host) -> Option<Vec<u8>> {
    host.request_headers().iter().find(|(name, _)| *name == HEADER).map(|(_, value)| value.to_vec())
}

#[allow(clippy::panic, reason = "this function exists to trap")]
fn trap_if(asked: Option<&[u8]>, callback: &[u8]) {
    if asked == Some(callback) {
        panic!("trapped on request");
    }
}
