//! The service behind the filter: receives OTLP, stores it exactly once, answers queries and serves the page.
//!
//! ```text
//! http  ->  wire (OTLP to model)  ->  store (one transaction per request)  ->  query  ->  http
//! ```
//!
//! [`Server::bind`] opens the store and the socket, [`Server::run`] serves until it is stopped.

mod accept;
pub mod alerts;
mod auth;
mod clickhouse;
mod clock;
pub mod config;
mod directory;
mod drift;
mod error;
mod exposition;
mod http;
mod issues;
mod jobs;
mod learning;
mod limits;
mod model;
mod offline;
mod patterns;
mod preview;
mod probes;
mod query;
mod remote_write;
mod retention;
mod roots;
mod sequence;
mod spans;
mod stats;
mod store;
mod sync;
pub mod text;
mod told;
pub mod upkeep;
mod wire;

#[doc(hidden)]
pub mod fuzzing;

pub use auth::{
    AccessConfig, AccessError, NewToken, OidcConfig, OidcError, OidcRoles, Role, TokenOwner, user_line,
};
pub use clickhouse::{Address, ClickHouseConfig, Layout, NotAnAddress, statements as store_schema};
pub use http::{
    Cidr, Config, HostName, Network, NotACidr, NotAHostName, NotATraceLink, Server, StartError, TlsError,
    TlsFiles, TraceLink,
};
pub use limits::Limits;
pub use model::request::columns as request_columns;
pub use offline::query_offline;
pub use preview::{PreviewRequest, PreviewResponse, preview};
pub use probes::{ProbeConfig, ProbeError};
pub use query::{NotALabel, TrafficLabel};
pub use remote_write::{RemoteWriteConfig, RemoteWriteError};
pub use retention::Retention;
pub use roots::trusting;
pub use store::StoreError;
