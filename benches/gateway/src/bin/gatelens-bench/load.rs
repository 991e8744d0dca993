//! A fixed number of plausible requests over a few keep-alive connections.

use std::net::SocketAddr;
use std::thread;

use gatelens_bench_redact::orders;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Error, Result};
use serde_json::Value;

use crate::h2load::{self, Protocol};

/// Bodies that take turns are about this many bytes together: more than the window of the compression, so that what
/// is sent does not shrink to nothing.
const POOL_BYTES: usize = 256 * 1024;

/// What is sent in a round.
pub(crate) struct Load {
    /// What it is called in the table.
    pub(crate) name: String,
    pub(crate) requests: usize,
    path: &'static str,
    bodies: Vec<String>,
    protocol: Protocol,
}

impl Load {
    /// `GET` of `path` followed by a number, answered with 512 bytes where an upstream answers.
    pub(crate) fn get(name: &str, path: &'static str, requests: usize) -> Self {
        Self { name: name.to_owned(), requests, path, bodies: Vec::new(), protocol: Protocol::Http1 }
    }

    /// `POST` of orders, as JSON of at least `body_bytes` bytes and an order more at most.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the orders are not JSON.
    pub(crate) fn post(name: &str, path: &'static str, body_bytes: usize, requests: usize) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            requests,
            path,
            bodies: different_bodies(body_bytes)?,
            protocol: Protocol::Http1,
        })
    }

    /// `GET` of `path` followed by a 1 over HTTP/2, of one consumer.
    pub(crate) fn http2(name: &str, path: &'static str, requests: usize) -> Self {
        Self { protocol: Protocol::Http2, ..Self::get(name, path, requests) }
    }

    /// Bytes of a request's body on average.
    pub(crate) fn body_bytes(&self) -> f64 {
        let sum: usize = self.bodies.iter().map(String::len).sum();
        sum as f64 / self.bodies.len().max(1) as f64
    }

    /// Sends it all.
    ///
    /// # Errors
    /// The first request that fails or is not answered with a status of success.
    pub(crate) fn run(&self, address: SocketAddr, connections: usize) -> Result<()> {
        if self.protocol == Protocol::Http2 {
            let path = format!("{}1?bytes=512&sleep=0", self.path);
            return h2load::requests(address, self.protocol, &path, self.requests, connections);
        }
        thread::scope(|scope| {
            let workers: Vec<_> = (0..connections)
                .map(|worker| scope.spawn(move || self.share(address, worker, connections)))
                .collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| Err(Error::Unexpected("a load thread panicked".to_owned())))
            })
        })
    }

    fn share(&self, address: SocketAddr, worker: usize, connections: usize) -> Result<()> {
        let mut connection = Connection::open(address)?;
        for number in (worker..self.requests).step_by(connections) {
            let response = connection.request(&self.request(number))?;
            if !(200..300).contains(&response.status) {
                let name = &self.name;
                return Err(Error::Unexpected(format!("{name}: {} {}", response.status, response.text())));
            }
        }
        Ok(())
    }

    /// About a dozen headers once Envoy has added its own, as in ordinary API traffic; the consumer changes.
    fn request(&self, number: usize) -> Request {
        let request = match self.bodies.get(number % self.bodies.len().max(1)) {
            None => Request::get(format!("{}{number}?bytes=512&sleep=0", self.path)),
            Some(body) => Request::post(self.path, body.as_str()).header("content-type", "application/json"),
        };
        request
            .header("x-consumer-id", format!("consumer-{}", number % 12))
            .header("user-agent", "python-requests/2.32.3")
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate")
            .header("traceparent", format!("00-{:032x}-{:016x}-01", number + 1, number + 1))
    }
}

/// Bodies like those that redaction is measured with outside of Envoy, each of other orders.
fn different_bodies(bytes: usize) -> Result<Vec<String>> {
    let text = orders(POOL_BYTES.max(bytes));
    let all: Value = serde_json::from_str(&text).map_err(|error| Error::Unexpected(error.to_string()))?;
    let body = |orders: &[String]| format!(r#"{{"page":1,"total":4711,"orders":[{}]}}"#, orders.join(","));
    let (mut bodies, mut held, mut length) = (Vec::new(), Vec::new(), body(&[]).len());
    for order in all["orders"].as_array().into_iter().flatten() {
        held.push(order.to_string());
        length += held.last().map_or(0, String::len) + 1;
        if length >= bytes {
            bodies.push(body(&held));
            (held, length) = (Vec::new(), body(&[]).len());
        }
    }
    if bodies.is_empty() {
        bodies.push(body(&held));
    }
    Ok(bodies)
}
