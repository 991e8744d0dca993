//! An OTLP receiver that keeps every request, byte for byte, and misbehaves on request.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::http1::{self, Framing, Headers, Wire};
use crate::server::Server;
use crate::{Result, wait};

/// What the receiver does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An ordinary answer.
    Status {
        /// The status code.
        status: u16,
        /// Beside content-length.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// An answer after a pause.
    After(Duration, Box<Reply>),
    /// These bytes instead of an HTTP answer, then the connection is closed.
    Raw(Vec<u8>),
    /// The request is read and never answered; the connection stays open.
    Silence,
    /// The request is read, then the connection is closed.
    Close,
    /// The connection is reset after half of the request's body.
    ResetInBody,
}

impl Reply {
    /// A status without body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header to an ordinary answer; others stay as they are.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Status { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The same after a pause.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        Self::After(pause, Box::new(self))
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In the order of the wire.
    pub headers: Headers,
    /// Without framing, otherwise as sent (still compressed); half of it under [`Reply::ResetInBody`].
    pub body: Vec<u8>,
    /// What it was answered with.
    pub reply: Reply,
}

impl Captured {
    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        http1::header(&self.headers, name).and_then(|value| str::from_utf8(value).ok())
    }
}

/// A running receiver; ends when dropped.
pub struct Receiver {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    always: Reply,
    next: VecDeque<Reply>,
    captured: Vec<Captured>,
}

impl Receiver {
    /// Starts on a free port of 127.0.0.1 and answers 200 to everything.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when it cannot listen.
    pub fn start() -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts on a given address and answers 200 to everything.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when it cannot listen.
    pub fn start_at(address: SocketAddr) -> Result<Self> {
        let state = State { always: Reply::status(200), next: VecDeque::new(), captured: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), arrived: Condvar::new() });
        let server = Server::start(address, {
            let shared = Arc::clone(&shared);
            // A broken connection is the peer's affair, and often what a test is about.
            move |stream| drop(serve(stream, &shared))
        })?;
        Ok(Self { server, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The answer from now on, once the ones lined up by [`reply_next`](Self::reply_next) are used up.
    pub fn reply_always(&self, reply: Reply) {
        self.shared.lock().always = reply;
    }

    /// Answers for the next requests, in this order.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.lock().next.extend(replies);
    }

    /// All that arrived so far.
    #[must_use]
    pub fn captured(&self) -> Vec<Captured> {
        self.shared.lock().captured.clone()
    }

    /// All that arrived so far; forgets it.
    #[must_use]
    pub fn take(&self) -> Vec<Captured> {
        std::mem::take(&mut self.shared.lock().captured)
    }

    /// Waits until this many requests have arrived, and returns all.
    ///
    /// # Errors
    /// [`Error::Timeout`](crate::Error::Timeout) after [`wait::PATIENCE`].
    pub fn wait_for(&self, requests: usize) -> Result<Vec<Captured>> {
        let waiting = |state: &mut State| state.captured.len() < requests;
        let waited = self.shared.arrived.wait_timeout_while(self.shared.lock(), wait::PATIENCE, waiting);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            let what = format!("request {requests} at the receiver ({} came)", state.captured.len());
            return Err(crate::Error::Timeout {
                what,
                seconds: wait::PATIENCE.as_secs(),
                log: String::new(),
            });
        }
        Ok(state.captured.clone())
    }

    /// Closes all open connections; new ones are served.
    pub fn disconnect(&self) {
        self.server.disconnect();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.read_head()? {
        let reply = {
            let mut state = shared.lock();
            state.next.pop_front().unwrap_or_else(|| state.always.clone())
        };
        let framing = head.request_framing()?;
        let (mut pause, mut action) = (Duration::ZERO, reply.clone());
        while let Reply::After(more, inner) = action {
            (pause, action) = (pause + more, *inner);
        }
        let reading = match (framing, &action) {
            (Framing::Length(bytes), Reply::ResetInBody) => Framing::Length(bytes / 2),
            _ => framing,
        };
        let body = wire.read_body(reading)?;
        let mut start = head.start.split(' ').map(str::to_owned);
        let (method, path) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
        shared.lock().captured.push(Captured { method, path, headers: head.headers, body, reply });
        shared.arrived.notify_all();
        thread::sleep(pause);
        match action {
            Reply::Status { status, headers, body } => {
                let mut bytes = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    bytes.push_str(&format!("{name}: {value}\r\n"));
                }
                bytes.push_str("\r\n");
                wire.stream.write_all(&[bytes.as_bytes(), &body].concat())?;
            }
            Reply::Raw(bytes) => return wire.stream.write_all(&bytes),
            // Whatever the peer sends next is not looked at; returns when it gives up.
            Reply::Silence => return wire.read_body(Framing::UntilClose).map(drop),
            Reply::ResetInBody => return SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO)),
            Reply::Close | Reply::After(..) => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Connection, Request};

    #[test]
    fn replies_come_in_the_order_given() {
        let receiver = Receiver::start().unwrap();
        receiver.reply_next([
            Reply::status(503).header("retry-after", "1"),
            Reply::status(200).after(Duration::from_millis(20)),
            Reply::Close,
            Reply::ResetInBody,
            Reply::Raw(b"nonsense\r\n\r\n".to_vec()),
        ]);
        let send = || {
            let mut connection = Connection::open(receiver.address()).unwrap();
            connection.request(&Request::post("/v1/logs", "body").header("x-gatelens-sequence", "1"))
        };
        let refused = send().unwrap();
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert!(send().unwrap().elapsed >= Duration::from_millis(20));
        assert!(send().is_err(), "closed");
        assert!(send().is_err(), "reset");
        assert!(send().is_err(), "nonsense");
        assert_eq!(send().unwrap().status, 200);
        let captured = receiver.wait_for(6).unwrap();
        let bodies: Vec<&[u8]> = captured.iter().map(|request| &request.body[..]).collect();
        assert_eq!(bodies, [&b"body"[..], b"body", b"body", b"bo", b"body", b"body"]);
        assert_eq!(captured[0].header("X-Gatelens-Sequence"), Some("1"));
        assert_eq!((captured[0].method.as_str(), captured[0].path.as_str()), ("POST", "/v1/logs"));
    }
}
