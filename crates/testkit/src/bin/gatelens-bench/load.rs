//! A fixed number of plausible requests over a few keep-alive connections.

use std::net::SocketAddr;
use std::thread;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Error, Result};

/// Sends `requests` requests to `path` followed by a number.
///
/// # Errors
/// The first request that fails or is not answered with 200.
pub(crate) fn run(address: SocketAddr, path: &str, requests: usize, connections: usize) -> Result<()> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|worker| {
                let share = requests / connections + usize::from(worker < requests % connections);
                scope.spawn(move || one(address, path, worker, share))
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::Unexpected("a load thread panicked".to_owned())))
        })
    })
}

fn one(address: SocketAddr, path: &str, worker: usize, requests: usize) -> Result<()> {
    let mut connection = Connection::open(address)?;
    for number in 0..requests {
        let response = connection.request(&request(path, worker * requests + number))?;
        if response.status != 200 {
            return Err(Error::Unexpected(format!("{path}: {} {}", response.status, response.text())));
        }
    }
    Ok(())
}

/// About a dozen headers once Envoy has added its own, as in ordinary API traffic; the consumer changes.
fn request(path: &str, number: usize) -> Request {
    Request::get(format!("{path}{number}?bytes=512&sleep=0"))
        .header("x-consumer-id", format!("consumer-{}", number % 12))
        .header("user-agent", "python-requests/2.32.3")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, deflate")
        .header("traceparent", format!("00-{:032x}-{:016x}-01", number + 1, number + 1))
}
