//! The stream context: one for each request that the HTTP filter sees.
//!
//! The filter never delays or changes a stream: every callback returns `Continue`.

use std::rc::Rc;

use gatelens_core::filter::{EndStream, StreamFilter};
use gatelens_model::Message;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::envoy::Envoy;

pub(crate) struct Stream {
    filter: StreamFilter,
    envoy: Rc<Envoy>,
    /// The callback that the request asks to trap in.
    #[cfg(feature = "trap")]
    trap: Option<Vec<u8>>,
}

impl Stream {
    pub(crate) fn new(filter: StreamFilter, envoy: Rc<Envoy>) -> Self {
        Self {
            filter,
            envoy,
            #[cfg(feature = "trap")]
            trap: None,
        }
    }

    fn headers(&mut self, message: Message, end_of_stream: bool) -> Action {
        #[cfg(feature = "trap")]
        crate::trap::on_headers(&*self.envoy, message, &mut self.trap);
        self.filter.headers(&*self.envoy, message, end_stream(end_of_stream));
        Action::Continue
    }

    fn body(&mut self, message: Message, size: usize, end_of_stream: bool) -> Action {
        #[cfg(feature = "trap")]
        crate::trap::on_body(message, self.trap.as_deref());
        self.filter.body(&*self.envoy, message, size, end_stream(end_of_stream));
        Action::Continue
    }

    fn trailers(&mut self, message: Message) -> Action {
        self.filter.trailers(message);
        Action::Continue
    }
}

fn end_stream(end_of_stream: bool) -> EndStream {
    if end_of_stream { EndStream::Yes } else { EndStream::No }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        self.headers(Message::Request, end_of_stream)
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.body(Message::Request, size, end_of_stream)
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        self.trailers(Message::Request)
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        self.headers(Message::Response, end_of_stream)
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.body(Message::Response, size, end_of_stream)
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        self.trailers(Message::Response)
    }

    fn on_log(&mut self) {
        #[cfg(feature = "trap")]
        crate::trap::on_log(&*self.envoy);
        self.filter.log(&*self.envoy);
    }
}
