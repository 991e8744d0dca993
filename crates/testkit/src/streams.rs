//! Answers of the upstream that are more than a status and a body.
//!
//! | request | answer |
//! |---|---|
//! | `upgrade: …` | 101, then whatever the client sends, until it closes |
//! | `CONNECT` | 200, then the same |
//! | `/events/{n}` | n server-sent events, one every 50 ms |
//! | `/trailers` | a chunked body and the trailer `x-checksum` |
//! | `/grpc/{code}` | one gRPC message, the status in the trailers |
//! | `/grpc-headers/{code}` | no message, the status in the headers |
//! | `/interim/{n}` | n times 103, then 200 |
//! | `/redirect/{path}` | 302 to `/{path}` |
//! | `/flaky/{n}` | 503 until the n-th attempt, by the gateway's `x-envoy-attempt-count` |
//! | `/lagging/{ms}` | the first attempt takes that long, others are answered at once |

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use crate::answer::Received;
use crate::http1::{self, Wire};

/// Between two events.
const EVENT_EVERY: Duration = Duration::from_millis(50);

/// A gRPC message without content: not compressed, of length 0.
const GRPC_MESSAGE: &str = "\0\0\0\0\0";

pub(crate) enum Stream {
    Upgrade(String),
    Connect,
    Events(u64),
    Trailers,
    Grpc(u64),
    GrpcHeaders(u64),
    Interim(u64),
    Redirect(String),
    Flaky { until: u64, attempt: u64 },
    Lagging { first: Duration, attempt: u64 },
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Request,
    Close,
}

impl Stream {
    /// The stream that a request asks for, if it asks for one.
    pub(crate) fn of(request: &Received) -> Option<Self> {
        let header = |name| http1::header(&request.headers, name).map(String::from_utf8_lossy);
        if request.method == "CONNECT" {
            return Some(Self::Connect);
        }
        if let Some(protocol) = header("upgrade") {
            return Some(Self::Upgrade(protocol.into_owned()));
        }
        let (kind, rest) =
            request.path.strip_prefix('/')?.split_once('/').unwrap_or((&request.path[1..], ""));
        let number = rest.parse::<u64>().ok();
        let attempt = header("x-envoy-attempt-count").and_then(|text| text.parse().ok()).unwrap_or(1);
        Some(match (kind, number) {
            ("events", Some(n)) => Self::Events(n),
            ("trailers", _) => Self::Trailers,
            ("grpc", Some(code)) => Self::Grpc(code),
            ("grpc-headers", Some(code)) => Self::GrpcHeaders(code),
            ("interim", Some(n)) => Self::Interim(n),
            ("redirect", _) => Self::Redirect(rest.to_owned()),
            ("flaky", Some(until)) => Self::Flaky { until, attempt },
            ("lagging", Some(ms)) => Self::Lagging { first: Duration::from_millis(ms), attempt },
            _ => return None,
        })
    }

    /// Answers on the wire.
    pub(crate) fn serve(self, wire: &mut Wire) -> io::Result<Next> {
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let chunked = |kind: &str| {
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n")
        };
        let plain = |status: u16, text: &str| {
            format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n{text}", text.len())
        };
        let answer = match self {
            Self::Upgrade(protocol) => {
                let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ";
                return echo(wire, &format!("{head}{protocol}\r\n\r\n"));
            }
            Self::Connect => return echo(wire, "HTTP/1.1 200 OK\r\n\r\n"),
            Self::Events(n) => {
                wire.stream.write_all(chunked("text/event-stream").as_bytes())?;
                for number in 0..n {
                    thread::sleep(EVENT_EVERY);
                    wire.stream.write_all(chunk(&format!("data: {number}\n\n")).as_bytes())?;
                }
                "0\r\n\r\n".to_owned()
            }
            Self::Trailers => chunked("text/plain") + &chunk("hello") + "0\r\nx-checksum: 1\r\n\r\n",
            Self::Grpc(code) => {
                let end = format!("0\r\ngrpc-status: {code}\r\n\r\n");
                chunked("application/grpc") + &chunk(GRPC_MESSAGE) + &end
            }
            Self::GrpcHeaders(code) => format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: {code}\r\ncontent-length: 0\r\n\r\n"
            ),
            Self::Interim(n) => {
                let hint = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
                hint.repeat(usize::try_from(n).unwrap_or(0)) + &plain(200, "hello")
            }
            Self::Redirect(path) => format!(
                "HTTP/1.1 302 Found\r\nlocation: http://gateway.test/{path}\r\ncontent-length: 0\r\n\r\n"
            ),
            Self::Flaky { until, attempt } if attempt < until => plain(503, "not yet"),
            Self::Flaky { .. } => plain(200, "now"),
            Self::Lagging { first, attempt } => {
                if attempt == 1 {
                    thread::sleep(first);
                }
                plain(200, "hello")
            }
        };
        wire.stream.write_all(answer.as_bytes())?;
        Ok(Next::Request)
    }
}

/// Sends everything back until the peer closes.
fn echo(wire: &mut Wire, head: &str) -> io::Result<Next> {
    wire.stream.write_all(head.as_bytes())?;
    let mut buffer = [0; 4096];
    loop {
        match wire.stream.read(&mut buffer)? {
            0 => return Ok(Next::Close),
            read => wire.stream.write_all(buffer.get(..read).unwrap_or_default())?,
        }
    }
}
