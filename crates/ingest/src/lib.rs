//! The service behind the filter: receives OTLP, stores it exactly once, answers queries and serves the page.
//!
//! ```text
//! http  ->  wire (OTLP to model)  ->  store (one transaction per request)  ->  query  ->  http
//! ```
//!
//! [`Server::bind`] opens the store and the socket, [`Server::run`] serves until told to stop.

mod clock;
mod error;
mod http;
mod limits;
mod model;
mod offline;
mod preview;
mod query;
mod retention;
mod sequence;
mod stats;
mod store;
mod wire;

#[doc(hidden)]
pub mod fuzzing;

pub use http::{Config, Server, StartError};
pub use limits::Limits;
pub use model::request::columns as request_columns;
pub use offline::ask;
pub use preview::{Asked, Seen, preview};
pub use retention::Retention;
pub use store::StoreError;
