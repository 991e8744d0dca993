//! The root context: one for each configuration on each worker. As an access logger it also gets the end of each stream.

use std::rc::Rc;

use gatelens_core::filter::StreamFilter;
use gatelens_core::host::CalloutId;
use gatelens_core::lifecycle::{Ending, Plugin, Registry};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::envoy::Envoy;
use crate::scrape::Scrape;
use crate::stream::Stream;

pub(crate) struct Root {
    plugin: Plugin,
    envoy: Rc<Envoy>,
}

impl Root {
    pub(crate) fn new(registry: Rc<Registry>) -> Self {
        Self { plugin: Plugin::new(registry), envoy: Rc::default() }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token_id: u32, _headers: usize, _body: usize, _trailers: usize) {
        if self.plugin.answered(&*self.envoy, CalloutId(token_id)) == Ending::Now {
            self.envoy.finish();
        }
    }

    fn on_done(&mut self) -> bool {
        self.plugin.done(&*self.envoy) == Ending::Now
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.plugin.configure(&*self.envoy)
    }

    fn on_tick(&mut self) {
        #[cfg(feature = "trap")]
        crate::trap::on_tick();
        self.plugin.tick(&*self.envoy);
    }

    fn on_log(&mut self) {
        #[cfg(feature = "trap")]
        crate::trap::on_log(&*self.envoy);
        self.plugin.log(&*self.envoy);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        if let Some(scraper) = self.plugin.scraper() {
            return Some(Box::new(Scrape::new(scraper, Rc::clone(&self.envoy))));
        }
        let filter = StreamFilter::new(self.plugin.active());
        Some(Box::new(Stream::new(filter, Rc::clone(&self.envoy))))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.plugin.gone(&*self.envoy);
    }
}
