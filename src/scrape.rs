//! The stream context of the endpoint that Prometheus scrapes: it answers each request, and counts none.

use std::rc::Rc;

use gatelens_core::scrape::Scraper;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::envoy::Envoy;

pub(crate) struct Scrape {
    scraper: Rc<Scraper>,
    envoy: Rc<Envoy>,
}

impl Scrape {
    pub(crate) fn new(scraper: Rc<Scraper>, envoy: Rc<Envoy>) -> Self {
        Self { scraper, envoy }
    }
}

impl Context for Scrape {}

impl HttpContext for Scrape {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        match self.envoy.reply(&self.scraper.reply(&*self.envoy)) {
            Ok(()) => Action::Pause,
            // The routes of the listener answer.
            Err(_) => Action::Continue,
        }
    }
}
