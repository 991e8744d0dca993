//! The service over HTTP: messages as a sender writes them go in, answers of the read API are compared.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod access;
mod alerts;
mod attacks;
mod by_gateway;
mod captured;
mod clickhouse;
mod clickhouse_log;
mod compare;
mod consumers;
mod counts;
mod disk;
mod documents;
mod drift;
mod epochs;
mod exports;
mod faults;
mod half_close;
mod hostile;
mod hosts;
mod issues;
mod kept;
mod latencies;
mod mail;
mod mail_server;
mod names;
mod network;
mod oidc;
mod openapi;
mod page;
mod patterns;
mod people;
mod percentiles;
mod queries;
mod receiver;
mod redact;
mod refusals;
mod releases;
mod remote_write;
mod requests;
mod retention;
mod scrub;
mod search;
mod senders;
mod spans;
mod starts;
mod stats;
mod streams;
mod support;
mod tls;
mod tls_proxy;
mod traffic;
mod upgrade;
mod uptime;
