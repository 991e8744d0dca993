//! The service behind the gateway: it answers as the request asks.
//!
//! | path | answer |
//! |---|---|
//! | `/status/{code}` | that status |
//! | `/sleep/{ms}` | 200 after that many milliseconds |
//! | `/bytes/{n}` | n bytes with a content-length |
//! | `/chunked/{n}` | n bytes in chunks of at most 1,000 |
//! | `/echo` | the body of the request with its content type and coding; a header `answer-x` of the request as `x` |
//! | `/echo/{n}` | the same in chunks of n bytes |
//! | `/headers` | the request's headers as a JSON list of pairs |
//! | `/abort` | none: the connection is closed |
//! | `/truncate/{n}` | announces n bytes, sends half of them, closes |
//! | streams | see [`streams`](crate::streams) |
//! | `/users/{id}`, `/orders/{id}` | 200 with a small JSON object |
//! | others | 404, or the answer of the function given to [`Upstream::start_with`] |
//!
//! On every path the query parameters `status`, `sleep` (ms) and `bytes` override the answer's status, delay and
//! body.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::Result;
use crate::answer::{Answer, Ending, Received};
use crate::http1::{self, Headers, Wire};
use crate::server::Server;
use crate::streams::{Next, Stream};

/// A running upstream; ends when dropped.
pub struct Upstream {
    server: Server,
    requests: Arc<AtomicU64>,
}

impl Upstream {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when it cannot listen.
    pub fn start() -> Result<Self> {
        Self::start_with((Ipv4Addr::LOCALHOST, 0).into(), resource)
    }

    /// Starts on a given address. `others` answers every path that this module's table does not name.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when it cannot listen.
    pub fn start_with(address: SocketAddr, others: fn(&Received) -> Answer) -> Result<Self> {
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        let server = Server::start(address, move |stream| {
            // A broken connection is the peer's affair.
            let _ = serve(stream, &count, others);
        })?;
        Ok(Self { server, requests })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Requests received whole so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Closes all open connections, as a restarting service does; new ones are served.
    pub fn disconnect(&self) {
        self.server.disconnect();
    }
}

fn serve(stream: TcpStream, count: &AtomicU64, others: fn(&Received) -> Answer) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.read_head()? {
        let framing = head.request_framing()?;
        let body = wire.read_body(framing)?;
        let closes = head.closes();
        let mut start = head.start.split(' ');
        let method = start.next().unwrap_or_default().to_owned();
        let target = start.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request =
            Received { method, path: path.to_owned(), query: query.to_owned(), headers: head.headers, body };
        count.fetch_add(1, Ordering::SeqCst);
        if let Some(stream) = Stream::of(&request) {
            match stream.serve(&mut wire)? {
                Next::Request => continue,
                Next::Close => break,
            }
        }
        let answer = overridden(answer(&request).unwrap_or_else(|| others(&request)), &request);
        thread::sleep(answer.delay);
        answer.write(&mut wire.stream, &request.method)?;
        if closes || matches!(answer.ending, Ending::Truncated | Ending::Abort) {
            break;
        }
    }
    Ok(())
}

/// The answer to a path of the table; `None` for others.
fn answer(request: &Received) -> Option<Answer> {
    let mut segments = request.path.trim_start_matches('/').splitn(2, '/');
    let kind = segments.next().unwrap_or_default();
    let number = segments.next().and_then(|text| text.parse::<usize>().ok());
    Some(match (kind, number) {
        ("status", Some(code @ 200..=599)) => Answer::text(code as u16, format!("status {code}\n")),
        ("sleep", Some(ms)) => Answer::text(200, format!("slept {ms} ms\n")).after(ms as u64),
        ("bytes", Some(n)) => Answer::text(200, vec![b'x'; n]),
        ("chunked", Some(n)) => Answer::text(200, vec![b'x'; n]).ending(Ending::Chunked(1_000)),
        ("truncate", Some(n)) => Answer::text(200, vec![b'x'; n]).ending(Ending::Truncated),
        ("abort", _) => Answer::text(200, "").ending(Ending::Abort),
        ("echo", chunk) => echo(request, chunk),
        ("headers", _) => {
            let pairs = request.headers.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)));
            Answer::json(200, &serde_json::json!(pairs.collect::<Vec<_>>()))
        }
        _ => return None,
    })
}

/// A resource by its identifier, as most APIs have some.
fn resource(request: &Received) -> Answer {
    match request.path.trim_start_matches('/').split_once('/') {
        Some(("users" | "orders", id)) if !id.is_empty() => Answer::json(200, &json!({"id": id})),
        _ => Answer::text(404, "no such route\n"),
    }
}

fn echo(request: &Received, chunk: Option<usize>) -> Answer {
    let answer = Answer::text(200, request.body.clone());
    let content_type = http1::header(&request.headers, "content-type");
    let mut headers = Headers::new();
    for (name, value) in &request.headers {
        match name.strip_prefix("answer-") {
            Some(name) => headers.push((name.to_owned(), value.clone())),
            None if name == "content-encoding" => headers.push((name.clone(), value.clone())),
            None => {}
        }
    }
    Answer {
        content_type: content_type
            .map_or(answer.content_type, |kind| String::from_utf8_lossy(kind).into_owned()),
        headers,
        ending: chunk.map_or(Ending::ContentLength, |bytes| Ending::Chunked(bytes.max(1))),
        ..answer
    }
}

fn overridden(mut answer: Answer, request: &Received) -> Answer {
    if let Some(status) = number(request, "status").filter(|code| (200..600).contains(code)) {
        answer.status = status as u16;
    }
    if let Some(ms) = number(request, "sleep") {
        answer.delay = Duration::from_millis(ms);
    }
    if let Some(bytes) = number(request, "bytes") {
        answer.body = vec![b'x'; bytes as usize];
    }
    answer
}

fn number(request: &Received, name: &str) -> Option<u64> {
    request.parameter(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Connection, Request};

    #[test]
    fn answers_are_made_to_order() {
        let upstream = Upstream::start().unwrap();
        let mut connection = Connection::open(upstream.address()).unwrap();
        let mut check = |request: Request, status: u16, body: &str| {
            let response = connection.request(&request).unwrap();
            assert_eq!((response.status, response.text().as_str()), (status, body), "{request:?}");
        };
        check(Request::get("/status/503"), 503, "status 503\n");
        check(Request::get("/bytes/5"), 200, "xxxxx");
        check(Request::get("/chunked/2500"), 200, &"x".repeat(2500));
        check(Request::new("HEAD", "/bytes/5"), 200, "");
        check(Request::post("/echo", "hello"), 200, "hello");
        check(Request::post("/echo/2", "hello"), 200, "hello");
        check(Request::get("/users/7?status=418&bytes=3"), 418, "xxx");
        check(Request::new("DELETE", "/status/204"), 204, "");
        let slow = connection.request(&Request::get("/sleep/30")).unwrap();
        assert!(slow.elapsed >= Duration::from_millis(30), "{:?}", slow.elapsed);
        assert_eq!(upstream.requests(), 9);
    }

    #[test]
    fn connections_end_on_request() {
        let upstream = Upstream::start().unwrap();
        for target in ["/abort", "/truncate/100"] {
            let mut connection = Connection::open(upstream.address()).unwrap();
            assert!(connection.request(&Request::get(target)).is_err(), "{target}");
        }
        let mut idle = Connection::open(upstream.address()).unwrap();
        idle.request(&Request::get("/bytes/1")).unwrap();
        upstream.disconnect();
        assert!(idle.request(&Request::get("/bytes/1")).is_err());
    }
}
