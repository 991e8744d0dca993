//! A blocking HTTP/1.1 client that sends exactly the bytes it is given.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::http1::{self, Headers, Wire};
use crate::{Error, Result};

/// A read that takes longer fails, so that a hanging gateway ends a test instead of stopping it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A request in the making; `to_bytes` is what goes over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with `host: gateway.test` and nothing else. Neither argument is checked or escaped.
    pub fn new(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.as_ref().to_vec(),
            target: target.as_ref().to_vec(),
            headers: vec![(b"host".to_vec(), b"gateway.test".to_vec())],
            body: Vec::new(),
        }
    }

    /// `GET`.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// `POST` with a body.
    pub fn post(target: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Adds a header; one of the same name stays.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Replaces `host`.
    #[must_use]
    pub fn host(mut self, value: impl AsRef<[u8]>) -> Self {
        self.headers.retain(|(name, _)| name.as_slice() != b"host");
        self.headers.insert(0, (b"host".to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body; `content-length` follows unless the request already declares a framing.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The request as sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.method, &b" "[..], &self.target, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.headers {
            for part in [name, &b": "[..], value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        let framed = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
        });
        let bodiless = self.body.is_empty() && !matches!(&self.method[..], b"POST" | b"PUT" | b"PATCH");
        if !framed && !bodiless {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// In the order of the wire.
    pub headers: Headers,
    /// Without framing.
    pub body: Vec<u8>,
    /// From before the first byte of the request until after the last one of the answer.
    pub elapsed: Duration,
}

impl Response {
    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        http1::header(&self.headers, name).and_then(|value| str::from_utf8(value).ok())
    }

    /// The body as text, replacing what is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Error::Unexpected`] with the body when it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Unexpected(format!("no JSON ({error}): {} {}", self.status, self.text())))
    }
}

/// A keep-alive connection.
pub struct Connection {
    wire: Wire,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(Error::io(format!("connecting to {address}")))?;
        Self::from_stream(stream)
    }

    /// Connects from another local address: on Linux all of 127.0.0.0/8 is this machine.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_from(source: IpAddr, address: SocketAddr) -> Result<Self> {
        let connect = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect(&address.into())?;
            Ok(socket)
        };
        let socket = connect().map_err(Error::io(format!("connecting from {source} to {address}")))?;
        Self::from_stream(socket.into())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.stream.write_all(bytes).map_err(Error::io("sending"))
    }

    /// Reads one answer to a request of the given method, which decides whether there is a body.
    /// Interim answers (1xx) are skipped. `elapsed` counts from the call.
    ///
    /// # Errors
    /// [`Error::Io`] when the connection ends before the answer does, or after a minute.
    pub fn read_response(&mut self, method: &str) -> Result<Response> {
        let start = Instant::now();
        loop {
            let head = self.wire.read_head().map_err(Error::io("reading an answer"))?;
            let head = head.ok_or_else(|| Error::Unexpected("closed without an answer".to_owned()))?;
            let status = head.start.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
            let status =
                status.ok_or_else(|| Error::Unexpected(format!("no status line: {}", head.start)))?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let framing = head.response_framing(method, status).map_err(Error::io("reading an answer"))?;
            let body = self.wire.read_body(framing).map_err(Error::io("reading a body"))?;
            return Ok(Response { status, headers: head.headers, body, elapsed: start.elapsed() });
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unexpected`] when the peer closed without an answer.
    pub fn request(&mut self, request: &Request) -> Result<Response> {
        let start = Instant::now();
        self.send_bytes(&request.to_bytes())?;
        let mut response = self.read_response(&String::from_utf8_lossy(&request.method))?;
        response.elapsed = start.elapsed();
        Ok(response)
    }

    /// Ends the connection with a reset, as a client does that is killed.
    pub fn abort(self) {
        // Failing to set it means an ordinary close, which ends the request just as well.
        let _ = SockRef::from(&self.wire.stream).set_linger(Some(Duration::ZERO));
    }

    fn from_stream(stream: TcpStream) -> Result<Self> {
        let prepare = || {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(READ_TIMEOUT))
        };
        prepare().map_err(Error::io("preparing a connection"))?;
        Ok(Self { wire: Wire::new(stream) })
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::request`].
pub fn send(address: SocketAddr, request: &Request) -> Result<Response> {
    Connection::open(address)?.request(request)
}

/// `GET` on a connection of its own.
///
/// # Errors
/// As [`send`].
pub fn get(address: SocketAddr, target: &str) -> Result<Response> {
    send(address, &Request::get(target))
}
