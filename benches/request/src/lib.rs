//! A gateway without Envoy: one recorded request again and again through the filter's own code, with what is counted.

pub mod allocations;
pub mod host;
