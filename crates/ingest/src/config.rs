//! The configuration of the service as the operator writes it: the flags of `gatelens serve`, and the same keys in a file.
//!
//! [`Options`] mirrors both and nothing else. A flag wins over the file. [`Options::settle`] makes [`Config`] of it, with
//! the defaults.

mod units;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

pub use gatelens_core::config::ConfigError;
use serde::Deserialize;
pub use units::{Days, Size, UnitError};

use crate::alerts::AlertsConfig;
use crate::auth::oidc::check_page_url;
use crate::auth::{AccessConfig, OidcConfig};
use crate::clickhouse::{Address, ClickHouseConfig};
use crate::http::{Cidr, Config, HostName, Network, TlsFiles, TraceLink, is_own_name};
use crate::limits::Limits;
use crate::probes::{ProbeConfig, ProbeError};
use crate::query::TrafficLabel;
use crate::remote_write::{RemoteWriteConfig, RemoteWriteError};
use crate::retention::Retention;

/// The defaults that the reference shows.
mod default {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    pub(super) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
    pub(super) const MINUTES: u32 = 30;
    pub(super) const HALF_HOURS: u32 = 396;
    pub(super) const REQUESTS: u32 = 15;
    pub(super) const AUDIT: u32 = 396;
    pub(super) const LOG_LEVEL: &str = "info";
}

/// Makes the list of the keys, and lets one set of options win over another. A field that is left out does not compile.
macro_rules! keys {
    ($($key:ident),* $(,)?) => {
        impl Options {
            /// The keys at the top of the file. Each except the sections is a flag, too, with `-` for `_`.
            pub const KEYS: &[&str] = &[$(stringify!($key)),*];

            /// These options, and those of another set where these leave one open.
            #[must_use]
            pub fn over(self, other: Self) -> Self {
                Self { $($key: self.$key.or(other.$key)),* }
            }
        }
    };
}

keys!(
    alerts,
    client_ca,
    connections,
    connections_per_peer,
    data,
    host,
    insecure,
    keep_audit,
    keep_half_hours,
    keep_minutes,
    keep_requests,
    listen,
    log_format,
    log_level,
    max_disk,
    oidc,
    probes,
    reader_requests_per_second,
    remote_write,
    sender_bytes_per_second,
    sender_requests_per_second,
    sender_tokens,
    series,
    series_per_environment,
    series_per_sender,
    store,
    store_ca,
    store_password,
    tls_cert,
    tls_key,
    token_bytes_per_second,
    token_requests_per_second,
    trace_link,
    traffic_labels,
    traffic_series,
    trusted_proxy,
    users,
);

/// The options of the service. Each may be a flag or a key of the file, except the sections, which are keys only.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Address to listen on; port 0 takes any free one. Default 127.0.0.1, port 4318.
    #[cfg_attr(feature = "clap", arg(long, value_name = "ADDRESS:PORT"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("default" = default::LISTEN.to_string(), "examples" = ["0.0.0.0:4318"])))]
    pub listen: Option<SocketAddr>,
    /// Directory for the data; created if it does not exist. Required, as a flag or in the file.
    #[cfg_attr(feature = "clap", arg(long, value_name = "DIR"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/var/lib/gatelens"])))]
    pub data: Option<PathBuf>,
    /// ClickHouse that keeps the counters for several replicas, instead of each directory: `clickhouse+https://` with user,
    /// host, port of its HTTP interface, and database. A preview: docs/clickhouse.md says what is there and what each replica
    /// still keeps in `data`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "URL"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["clickhouse+https://gatelens@clickhouse.example.com:8443/gatelens"])))]
    pub store: Option<Address>,
    /// File with the authorities that sign the certificate of `store`, in PEM. By default those that browsers trust.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/clickhouse-ca.crt"])))]
    pub store_ca: Option<PathBuf>,
    /// File with the password for `store`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/clickhouse-password"])))]
    pub store_password: Option<PathBuf>,
    /// Name by which people or gateways reach it, besides IP addresses and localhost; as a flag it can be repeated.
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", extend("examples" = [["gatelens.example.com"]])))]
    pub host: Option<Vec<HostName>>,
    /// File with the tokens of senders, as `gatelens token new` makes them. A change is in force within a second.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/sender-tokens.yaml"])))]
    pub sender_tokens: Option<PathBuf>,
    /// File with the people who sign in, as `gatelens user add` makes them, and with the tokens of programs that read. A
    /// change is in force within a second. Without it and without `oidc`, everybody who reaches the port reads everything.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/users.yaml"])))]
    pub users: Option<PathBuf>,
    /// Sign-in by OpenID Connect, besides `users` or alone: a section of the file, or as a flag a file with the keys of that
    /// section. docs/access.md describes the keys.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE", value_parser = OidcConfig::from_file))]
    #[cfg_attr(feature = "schema", schemars(with = "OidcConfig", extend("examples" = [serde_json::json!({"issuer": "https://id.example.com", "client_id": "gatelens"})])))]
    pub oidc: Option<OidcConfig>,
    /// Listen beyond loopback although senders or people need not prove who they are. Whoever reaches the port can then
    /// read everything or store false data.
    #[cfg_attr(feature = "clap", arg(long, num_args = 0, default_missing_value = "true"))]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = false, "examples" = [true])))]
    pub insecure: Option<bool>,
    /// File with the certificate for TLS, followed by the intermediate ones, in PEM; with `--tls-key`. A changed file is in
    /// force within ten seconds.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/tls.crt"])))]
    pub tls_cert: Option<PathBuf>,
    /// File with the key of the certificate, in PEM and without a password; with `--tls-cert`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/tls.key"])))]
    pub tls_key: Option<PathBuf>,
    /// File with the authorities that sign the certificates of senders, in PEM. With it, `/v1/*` needs a certificate; the
    /// page and its API do not. It needs `--tls-cert` and `--tls-key`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["/etc/gatelens/senders.crt"])))]
    pub client_ca: Option<PathBuf>,
    /// Address or network of a reverse proxy whose `x-forwarded-for` names the client; as a flag it can be repeated.
    #[cfg_attr(feature = "clap", arg(long, value_name = "CIDR"))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", extend("examples" = [["10.0.0.0/8"]])))]
    pub trusted_proxy: Option<Vec<Cidr>>,
    /// Connections at a time. Default 1,024.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 1024, "examples" = [4096])))]
    pub connections: Option<NonZeroU32>,
    /// Connections at a time of one client address (of one /64 network with IPv6). Default 256.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 256, "examples" = [512])))]
    pub connections_per_peer: Option<NonZeroU32>,
    /// Requests of one client address on `/v1/*` in a second, except those with a token, on the average of ten seconds.
    /// Default 2,000.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 2000, "examples" = [10_000])))]
    pub sender_requests_per_second: Option<NonZeroU32>,
    /// Bytes of one client address on `/v1/*` in a second, as sent, except those with a token, on the average of ten seconds.
    /// Default 64MiB.
    #[cfg_attr(feature = "clap", arg(long, value_name = "SIZE"))]
    #[cfg_attr(feature = "schema", schemars(with = "Size", extend("default" = "64MiB", "examples" = ["256MiB"])))]
    pub sender_bytes_per_second: Option<Size>,
    /// Requests on `/v1/*` in a second of all senders whose tokens have one name and environment, from whichever addresses,
    /// on the average of ten seconds. Default 10,000.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 10_000, "examples" = [500])))]
    pub token_requests_per_second: Option<NonZeroU32>,
    /// Bytes of these requests in a second, as sent, on the average of ten seconds. Default 256MiB.
    #[cfg_attr(feature = "clap", arg(long, value_name = "SIZE"))]
    #[cfg_attr(feature = "schema", schemars(with = "Size", extend("default" = "256MiB", "examples" = ["16MiB"])))]
    pub token_bytes_per_second: Option<Size>,
    /// Series that are kept apart. Points of further ones are rejected. Each takes about 1 KB of memory. Default 500,000.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 500_000, "examples" = [100_000])))]
    pub series: Option<NonZeroU32>,
    /// Series of one environment, which is what a sender's token is for. Default four fifths of `series`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("examples" = [200_000])))]
    pub series_per_environment: Option<NonZeroU32>,
    /// Series of one service in one environment. Default a quarter of `series`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("examples" = [250_000])))]
    pub series_per_sender: Option<NonZeroU32>,
    /// Requests of one client address on the page and its API in a second, on the average of ten seconds. Default 200.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 200, "examples" = [1000])))]
    pub reader_requests_per_second: Option<NonZeroU32>,
    /// Days that counts by minute are kept. Default 30.
    #[cfg_attr(feature = "clap", arg(long, value_name = "DAYS"))]
    #[cfg_attr(feature = "schema", schemars(with = "Days", extend("default" = default::MINUTES, "examples" = [14])))]
    pub keep_minutes: Option<Days>,
    /// Days that counts by half hour are kept, at least those of the minutes. Default 396.
    #[cfg_attr(feature = "clap", arg(long, value_name = "DAYS"))]
    #[cfg_attr(feature = "schema", schemars(with = "Days", extend("default" = default::HALF_HOURS, "examples" = [90])))]
    pub keep_half_hours: Option<Days>,
    /// Days that the request log is kept. Default 15.
    #[cfg_attr(feature = "clap", arg(long, value_name = "DAYS"))]
    #[cfg_attr(feature = "schema", schemars(with = "Days", extend("default" = default::REQUESTS, "examples" = [7])))]
    pub keep_requests: Option<Days>,
    /// Bytes that the data may take, 64 MiB or more, such as `20GiB`. Beyond, spans of applications go first, then the oldest
    /// bodies, then the oldest requests of the log, and counts last. Without it there is no limit. Not with `store`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "SIZE"))]
    #[cfg_attr(feature = "schema", schemars(with = "Size", extend("examples" = ["20GiB"])))]
    pub max_disk: Option<Size>,
    /// Days that the audit log is kept. Default 396.
    #[cfg_attr(feature = "clap", arg(long, value_name = "DAYS"))]
    #[cfg_attr(feature = "schema", schemars(with = "Days", extend("default" = default::AUDIT, "examples" = [730])))]
    pub keep_audit: Option<Days>,
    /// Form of the service's own log on the standard error. Default `text`.
    #[cfg_attr(feature = "clap", arg(long, value_enum, value_name = "FORMAT"))]
    #[cfg_attr(feature = "schema", schemars(with = "LogFormat", extend("default" = "text", "examples" = ["json"])))]
    pub log_format: Option<LogFormat>,
    /// Least severe level that is logged: `error`, `warn`, `info`, `debug` or `trace`; or levels of modules, separated by
    /// commas, such as `info,gatelens_ingest::store=debug`. Default `info`.
    #[cfg_attr(feature = "clap", arg(long, value_name = "LEVELS"))]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("default" = default::LOG_LEVEL, "examples" = ["warn"])))]
    pub log_level: Option<String>,
    /// Where another system shows a trace, as `NAME=URL` with `{trace_id}` in the URL; as a flag it can be repeated. The page
    /// shows the name beside each trace ID.
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=URL"))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", extend("examples" = [["Jaeger=https://jaeger.example.com/trace/{trace_id}"]])))]
    pub trace_link: Option<Vec<TraceLink>>,
    /// Labels of the series on `/metrics/traffic` where the scraper chooses none; as a flag they are separated by commas. A
    /// label that is left out is summed over. docs/prometheus.md lists them. Default: all of the method, the route, the
    /// status, the cause of the error, the service and its environment.
    #[cfg_attr(feature = "clap", arg(long, value_name = "LABEL", value_delimiter = ','))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", extend("examples" = [["service_name", "http_route", "gatelens_consumer_id"]])))]
    pub traffic_labels: Option<Vec<TrafficLabel>>,
    /// Sets of labels that `/metrics/traffic` answers with. Beyond, it refuses and names this option. Default 10,000.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 10_000, "examples" = [50_000])))]
    pub traffic_series: Option<NonZeroU32>,
    /// Rules of alerts, and who is sent them. docs/alerts.md describes the keys.
    #[cfg_attr(feature = "clap", arg(skip))]
    #[cfg_attr(feature = "schema", schemars(with = "AlertsConfig", extend("examples" = [serde_json::json!({"page_url": "https://gatelens.example.com"})])))]
    pub alerts: Option<AlertsConfig>,
    /// Addresses that the service asks at intervals, for the uptime; at most 50. docs/releases.md describes them.
    #[cfg_attr(feature = "clap", arg(skip))]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<ProbeConfig>", extend("examples" = [serde_json::json!([{"name": "shop", "url": "https://shop.example.com/health"}])])))]
    pub probes: Option<Vec<ProbeConfig>>,
    /// A store that the counters of `/metrics/traffic` are sent to, by Prometheus' remote write 1.0. docs/prometheus.md
    /// describes the keys.
    #[cfg_attr(feature = "clap", arg(skip))]
    #[cfg_attr(feature = "schema", schemars(with = "RemoteWriteConfig", extend("examples" = [serde_json::json!({"url": "https://mimir.example.com/api/v1/push"})])))]
    pub remote_write: Option<RemoteWriteConfig>,
}

/// Form of the service's own log.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for each message.
    #[default]
    Text,
    /// A JSON object in a line for each message.
    Json,
}

/// Options that do not make a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An option without a default is missing.
    #[error("the option `{key}` is missing: add `--{}` or the key to the file", key.replace('_', "-"))]
    Missing {
        /// Its key.
        key: &'static str,
    },
    /// The limit of the data is smaller than the journals of the files alone may be.
    #[error("`max_disk` is {found}, and 64 MiB is the least: give the data more room")]
    MaxDisk {
        /// The limit.
        found: u64,
    },
    /// The limit of the data does not reach a server, and a directory beside one has nothing that could go.
    #[error(
        "`max_disk` bounds files, and the data is on `store`: leave it out, and bound the data with `--keep-requests`, `--keep-minutes` and `--keep-half-hours`"
    )]
    MaxDiskOfServer,
    /// An option has no meaning without another.
    #[error("the option `{key}` needs `{missing}`: add `--{}` or the key to the file", missing.replace('_', "-"))]
    Alone {
        /// The key that is given.
        key: &'static str,
        /// The key that it needs.
        missing: &'static str,
    },
    /// The section `oidc` cannot be used.
    #[error("`oidc.{path}`: {message}")]
    Oidc {
        /// The key in the section.
        path: String,
        /// The fault, and what to do.
        message: String,
    },
    /// The list `probes` cannot be used.
    #[error("`probes{}`: {}", .0.path, .0.message)]
    Probes(#[from] ProbeError),
    /// The section `remote_write` cannot be used.
    #[error("`remote_write.{}`: {}", .0.path, .0.message)]
    RemoteWrite(#[from] RemoteWriteError),
    /// A bound of zero would refuse everything.
    #[error(
        "the option `{key}` is 0, which would refuse everything: give more, or leave it out for the default"
    )]
    Zero {
        /// Its key.
        key: &'static str,
    },
}

/// Bytes of spans of applications where a server has those of all replicas.
const SERVER_SPANS_BYTES: u64 = 4 << 30;
/// The least limit of the data.
const MIN_DISK: u64 = 64 << 20;

fn at_least(bytes: u64) -> Result<u64, OptionsError> {
    if bytes >= MIN_DISK { Ok(bytes) } else { Err(OptionsError::MaxDisk { found: bytes }) }
}

impl Options {
    /// Reads the file, as JSON. Values are checked, too, but not whether the files they name exist.
    ///
    /// # Errors
    /// The first defect, with its path, line and column, and what to do.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        gatelens_core::config::read(text)
    }

    /// The form of the log.
    pub fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or_default()
    }

    /// The levels of the log.
    pub fn log_level(&self) -> &str {
        self.log_level.as_deref().unwrap_or(default::LOG_LEVEL)
    }

    /// Files with secrets, which only their owner should be able to read, each with its key.
    pub fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        let files =
            [("sender_tokens", &self.sender_tokens), ("tls_key", &self.tls_key), ("users", &self.users)];
        let files = files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)));
        let of_oidc = self.oidc.as_ref().and_then(OidcConfig::secret_file);
        let of_remote_write =
            self.remote_write.as_ref().and_then(|section| section.bearer_token_file.as_deref());
        let of_sections =
            [("oidc.client_secret_file", of_oidc), ("remote_write.bearer_token_file", of_remote_write)];
        files.chain(of_sections.into_iter().filter_map(|(key, file)| Some((key, file?)))).collect()
    }

    /// The configuration, with the defaults of what is not given.
    ///
    /// # Errors
    /// When an option without a default is missing.
    pub fn settle(self) -> Result<Config, OptionsError> {
        if self.store.is_some() && self.max_disk.is_some() {
            return Err(OptionsError::MaxDiskOfServer);
        }
        let days = |days: Option<Days>, default: u32| days.map_or(Days::new(default), |days| days).duration();
        let minutes = days(self.keep_minutes, default::MINUTES);
        let tls = tls_files(self.tls_cert, self.tls_key, self.client_ca)?;
        let mut limits = Limits::default();
        if self.store.is_some() {
            limits.spans_bytes = SERVER_SPANS_BYTES;
        }
        let number = |given: Option<NonZeroU32>| given.map(NonZeroU32::get);
        if let Some(connections) = number(self.connections) {
            limits.connections = connections as usize;
            limits.visitors = limits.connections.div_ceil(2);
        }
        if let Some(connections) = number(self.connections_per_peer) {
            limits.connections_per_peer = connections as usize;
        }
        if let Some(requests) = number(self.sender_requests_per_second) {
            limits.sender_requests_per_second = requests;
        }
        if let Some(bytes) = self.sender_bytes_per_second {
            limits.sender_bytes_per_second = not_zero("sender_bytes_per_second", bytes)?;
        }
        if let Some(requests) = number(self.token_requests_per_second) {
            limits.token_requests_per_second = requests;
        }
        if let Some(bytes) = self.token_bytes_per_second {
            limits.token_bytes_per_second = not_zero("token_bytes_per_second", bytes)?;
        }
        if let Some(series) = number(self.series) {
            limits.share_series(series as usize);
        }
        if let Some(series) = number(self.series_per_environment) {
            limits.series_per_environment = series as usize;
        }
        if let Some(series) = number(self.series_per_sender) {
            limits.series_per_sender = series as usize;
        }
        if let Some(labels) = self.traffic_labels {
            limits.traffic_labels = labels;
        }
        if let Some(series) = number(self.traffic_series) {
            limits.traffic_series = series as usize;
        }
        if let Some(requests) = number(self.reader_requests_per_second) {
            limits.reader_requests_per_second = requests;
        }
        let listen = self.listen.unwrap_or(default::LISTEN);
        let alerts = self.alerts.unwrap_or_default();
        let probes = self.probes.unwrap_or_default();
        ProbeConfig::check(&probes)?;
        self.remote_write.as_ref().map(RemoteWriteConfig::check).transpose()?;
        let hosts = self.host.unwrap_or_default();
        let oidc = self.oidc.map(|oidc| sign_in(oidc, &alerts, &hosts, listen)).transpose()?;
        Ok(Config {
            listen,
            store: self.store.map(|address| ClickHouseConfig {
                address,
                password: self.store_password,
                ca: self.store_ca,
            }),
            data: self.data.ok_or(OptionsError::Missing { key: "data" })?,
            limits,
            retention: Retention {
                minutes,
                half_hours: days(self.keep_half_hours, default::HALF_HOURS).max(minutes),
                requests: days(self.keep_requests, default::REQUESTS),
                max_disk: self.max_disk.map(Size::bytes).map(at_least).transpose()?,
                audit: days(self.keep_audit, default::AUDIT),
                ..Retention::default()
            },
            network: Network { hosts, trusted_proxies: self.trusted_proxy.unwrap_or_default(), tls },
            access: AccessConfig {
                sender_tokens: self.sender_tokens,
                users: self.users,
                oidc,
                insecure: self.insecure.unwrap_or_default(),
            },
            alerts,
            probes,
            remote_write: self.remote_write,
            trace_links: self.trace_link.unwrap_or_default(),
        })
    }
}

/// The sign-in with the address of the page, which the provider sends people to. It never comes from a request, because a
/// stranger chooses the `Host` of one.
fn sign_in(
    mut oidc: OidcConfig,
    alerts: &AlertsConfig,
    hosts: &[HostName],
    listen: SocketAddr,
) -> Result<OidcConfig, OptionsError> {
    let wrong = |path: &str, message: String| OptionsError::Oidc { path: path.to_owned(), message };
    oidc.check().map_err(|error| wrong(&error.path, error.message))?;
    oidc.page_url = oidc.page_url.or_else(|| alerts.page_url.clone());
    let Some(url) = &oidc.page_url else {
        if listen.ip().to_canonical().is_loopback() {
            return Ok(oidc);
        }
        let message =
            "the address of the page is missing: write https:// and the name by which people reach it";
        return Err(wrong("page_url", message.to_owned()));
    };
    let uri = check_page_url(url).map_err(|message| wrong("page_url", message))?;
    if !is_own_name(uri.host().unwrap_or_default(), hosts) {
        let message = format!("requests for the name in {url} would be refused: add it as `host`");
        return Err(wrong("page_url", message));
    }
    Ok(oidc)
}

fn not_zero(key: &'static str, size: Size) -> Result<u64, OptionsError> {
    match size.bytes() {
        0 => Err(OptionsError::Zero { key }),
        bytes => Ok(bytes),
    }
}

/// The files for TLS, of which a part alone is a mistake.
fn tls_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_authorities: Option<PathBuf>,
) -> Result<Option<TlsFiles>, OptionsError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, client_authorities })),
        (Some(_), None) => Err(OptionsError::Alone { key: "tls_cert", missing: "tls_key" }),
        (None, Some(_)) => Err(OptionsError::Alone { key: "tls_key", missing: "tls_cert" }),
        (None, None) => match client_authorities {
            Some(_) => Err(OptionsError::Alone { key: "client_ca", missing: "tls_cert" }),
            None => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = Options::parse(r#"{"data": "/file", "keep_minutes": 7, "log_format": "json"}"#).unwrap();
        let flags = Options { data: Some("/flag".into()), ..Options::default() };
        let both = flags.over(file);
        assert_eq!(both.log_format(), LogFormat::Json);
        assert_eq!(both.log_level(), "info");
        let config = both.settle().unwrap();
        assert_eq!(config.data, Path::new("/flag"));
        assert_eq!(config.listen, default::LISTEN);
        assert_eq!(config.retention.minutes.as_secs(), 7 * 86_400);
        assert_eq!(config.retention.requests, Retention::default().requests);
        assert_eq!(config.retention.half_hours, Retention::default().half_hours);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_path_and_what_was_meant() {
        let check = |text: &str, path: &str, column: usize, words: &[&str]| {
            let error = Options::parse(text).unwrap_err();
            assert_eq!((error.path.as_str(), error.line, error.column), (path, 1, column), "{text}: {error}");
            for word in words {
                assert!(error.message.contains(word), "{text} should say {word:?}: {error}");
            }
        };
        check(r#"{"keep_minuts": 3}"#, "keep_minuts", 2, &["unknown key", "did you mean `keep_minutes`?"]);
        check(r#"{"keep_minutes": 0}"#, "keep_minutes", 2, &["0 is not in 1..=3650"]);
        check(r#"{"keep_minutes": "3"}"#, "keep_minutes", 2, &["a whole number of days"]);
        check(r#"{"listen": "here"}"#, "listen", 2, &["invalid socket address syntax"]);
        check(r#"{"host": ["a", "http://b"]}"#, "host[1]", 16, &["expected the name of a host"]);
        check(
            r#"{"trace_link": ["Jaeger=ftp://x/{trace_id}"]}"#,
            "trace_link[0]",
            17,
            &["http:// or https://"],
        );
        check(r#"{"log_format": "jsn"}"#, "log_format", 2, &["did you mean `json`?"]);
        assert_eq!(Options::parse("{}").unwrap(), Options::default());
        assert_eq!(Options::parse(r#"{"data": null}"#).unwrap(), Options::default());
    }

    #[test]
    fn the_data_has_room_for_its_journals() {
        let settled = |size: &str| {
            let options = Options::parse(&format!(r#"{{"data": "x", "max_disk": "{size}"}}"#)).unwrap();
            options.settle().map(|config| config.retention.max_disk)
        };
        assert_eq!(settled("64MiB").unwrap(), Some(64 << 20));
        assert_eq!(settled("63MiB").unwrap_err(), OptionsError::MaxDisk { found: 63 << 20 });
        let beside = r#"{"data": "x", "store": "clickhouse+http://db:8123/g", "max_disk": "1GiB"}"#;
        let error = Options::parse(beside).unwrap().settle().unwrap_err().to_string();
        assert!(error.contains("--keep-requests"), "{error}");
    }

    #[test]
    fn tls_needs_a_certificate_and_its_key() {
        let check = |text: &str, missing: &str| {
            let error = Options::parse(text).unwrap().settle().unwrap_err().to_string();
            assert!(error.contains(missing), "{text}: {error}");
        };
        check(r#"{"data": "d", "tls_cert": "c"}"#, "add `--tls-key`");
        check(r#"{"data": "d", "tls_key": "k"}"#, "add `--tls-cert`");
        check(r#"{"data": "d", "client_ca": "a"}"#, "add `--tls-cert`");
        check(r#"{"data": "d", "sender_bytes_per_second": "0 B"}"#, "would refuse everything");
        let whole = r#"{"data": "d", "tls_cert": "c", "tls_key": "k", "client_ca": "a", "connections": 10}"#;
        let config = Options::parse(whole).unwrap().settle().unwrap();
        assert_eq!(config.network.tls.unwrap().client_authorities.unwrap(), Path::new("a"));
        assert_eq!((config.limits.connections, config.limits.visitors), (10, 5));
        assert!(Options::parse(r#"{"trusted_proxy": ["10.0.0.0/99"]}"#).is_err());
        assert!(Options::parse(r#"{"connections": 0}"#).is_err());
        check(r#"{"data": "d", "token_bytes_per_second": "0 B"}"#, "would refuse everything");
    }

    #[test]
    fn the_shares_of_senders_follow_the_number_of_series() {
        let limits = |text: &str| Options::parse(text).unwrap().settle().unwrap().limits;
        let shares = |limits: Limits| {
            [
                limits.series,
                limits.series_per_environment,
                limits.series_per_sender,
                limits.series_of_strangers,
            ]
        };
        assert_eq!(shares(limits(r#"{"data": "d"}"#)), [500_000, 400_000, 125_000, 100_000]);
        assert_eq!(shares(limits(r#"{"data": "d", "series": 1000}"#)), [1000, 800, 250, 200]);
        let own = r#"{"data": "d", "series": 1000, "series_per_environment": 7, "series_per_sender": 1}"#;
        assert_eq!(shares(limits(own)), [1000, 7, 1, 200]);
        assert_eq!(shares(limits(r#"{"data": "d", "series": 1}"#)), [1, 1, 1, 1]);
        assert_eq!(limits(r#"{"data": "d", "token_requests_per_second": 3}"#).token_requests_per_second, 3);
    }

    #[test]
    fn the_data_directory_has_no_default() {
        let error = Options::default().settle().unwrap_err();
        assert_eq!(error.to_string(), "the option `data` is missing: add `--data` or the key to the file");
    }
}
