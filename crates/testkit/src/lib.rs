//! The harness of the tests, the demo and the benchmarks: the real Envoy with the files under `envoy/`, the real
//! ingest, an upstream and a receiver that misbehave on request, and a client with control over every byte.
//!
//! ```no_run
//! use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Upstream, client};
//!
//! # fn main() -> gatelens_testkit::Result<()> {
//! let (upstream, ingest) = (Upstream::start()?, Ingest::start()?);
//! let config = EnvoyConfig::http_filter()?.upstream(upstream.address())?.ingest(ingest.address())?;
//! let envoy = Envoy::start(&config)?;
//! assert_eq!(client::get(envoy.address(), "/status/404")?.status, 404);
//! # Ok(())
//! # }
//! ```

pub mod answer;
pub mod artefacts;
mod clickhouse;
pub mod client;
mod config;
mod envoy;
mod error;
pub mod export;
pub mod fake;
pub mod fault;
mod http1;
pub mod http2;
mod ingest;
pub mod module;
pub mod oidc;
pub mod otlp;
pub mod paths;
pub mod process;
pub mod prometheus;
pub mod receiver;
mod server;
mod streams;
mod upstream;
mod version;
pub mod wait;
pub mod worker;

pub use clickhouse::{ClickHouse, ClickHouseFault, ClickHouseOptions, ClickHouseTarget};
pub use config::EnvoyConfig;
pub use envoy::{Envoy, Launch, Listeners, Update};
pub use error::{Error, Result};
pub use fault::FaultProxy;
pub use http1::{Headers, header};
pub use ingest::Ingest;
pub use receiver::{Receiver, Reply};
pub use upstream::Upstream;
pub use version::Version;
