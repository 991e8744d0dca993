//! The stream context: one for each exchange that passes the filter.

use std::rc::Rc;

use gatelens_core::plugin::Active;
use proxy_wasm::traits::{Context, HttpContext};

use crate::envoy::Envoy;

pub(crate) struct Stream {
    active: Option<Rc<Active>>,
    envoy: Rc<Envoy>,
}

impl Stream {
    pub(crate) fn new(active: Option<Rc<Active>>, envoy: Rc<Envoy>) -> Self {
        if let Some(active) = &active {
            active.begin();
        }
        Self { active, envoy }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_log(&mut self) {
        if let Some(active) = &self.active {
            active.log_from_filter(&*self.envoy);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(active) = &self.active {
            active.end();
        }
    }
}
