//! Documents that people write: YAML and JSON with the places of their parts, OpenAPI, and the comparison of an OpenAPI
//! document with what was seen. The command line reads files with it, the ingest what is sent to its API.

pub mod compare;
pub mod openapi;
pub mod problem;
pub mod yaml;
