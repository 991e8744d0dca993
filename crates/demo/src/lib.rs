//! The demo's shop: an API with plausible answers. The binary `gatelens-demo` puts it behind a real Envoy.

pub mod shop;
