//! Just enough of HTTP/2 without TLS to be a client of Envoy: several streams on a connection, trailers, resets.
//!
//! Bodies are small enough for the initial window, so that flow control never holds one back. Header blocks are written
//! as literals and not read, except a status that stands in HPACK's static table.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::{Error, Result};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The error code CANCEL.
const CANCEL: u32 = 8;

/// The statuses at 8 to 14 of HPACK's static table.
const STATIC_STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// A stream of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(u32);

/// Whether more follows on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// A body or trailers.
    More,
    /// Nothing.
    End,
}

/// What came back on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status, if it is one of 200, 204, 206, 304, 400, 404 and 500.
    pub status: Option<u16>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Header blocks after the first: trailers.
    pub trailers: usize,
    /// The code with which the peer reset the stream.
    pub reset: Option<u32>,
}

/// A connection.
pub struct Http2 {
    stream: TcpStream,
    next: u32,
    answers: HashMap<u32, Incoming>,
}

/// What has come on a stream so far.
#[derive(Default)]
struct Incoming {
    answer: Answer,
    blocks: usize,
    ended: bool,
}

impl Http2 {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(Error::io(format!("connecting to {address}")))?;
        let timeout = stream.set_read_timeout(Some(Duration::from_secs(60)));
        timeout.map_err(Error::io("preparing a connection"))?;
        let mut connection = Self { stream, next: 1, answers: HashMap::new() };
        connection.send(PREFACE)?;
        connection.frame(SETTINGS, 0, 0, &[])?;
        Ok(connection)
    }

    /// Begins a stream with `:authority: gateway.test`. Names and values have at most 126 bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        then: Then,
    ) -> Result<StreamId> {
        let id = StreamId(self.next);
        self.next += 2;
        let pseudo =
            [(":method", method), (":scheme", "http"), (":path", path), (":authority", "gateway.test")];
        let all: Vec<_> = pseudo.into_iter().chain(headers.iter().copied()).collect();
        self.headers(id, &all, then)?;
        Ok(id)
    }

    /// Sends a part of a body.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn data(&mut self, id: StreamId, bytes: &[u8], then: Then) -> Result<()> {
        self.frame(DATA, end_stream(then), id.0, bytes)
    }

    /// Ends a stream with trailers.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn trailers(&mut self, id: StreamId, trailers: &[(&str, &str)]) -> Result<()> {
        self.headers(id, trailers, Then::End)
    }

    /// Gives a stream up (RST_STREAM with CANCEL).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn reset(&mut self, id: StreamId) -> Result<()> {
        self.frame(RST_STREAM, 0, id.0, &CANCEL.to_be_bytes())
    }

    /// Reads until a stream has ended; what comes on others meanwhile is kept for their turn.
    ///
    /// # Errors
    /// [`Error::Io`] when the connection ends before, or after a minute without a word.
    pub fn answer(&mut self, id: StreamId) -> Result<Answer> {
        loop {
            if self.answers.get(&id.0).is_some_and(|incoming| incoming.ended) {
                return Ok(self.answers.remove(&id.0).unwrap_or_default().answer);
            }
            let (kind, flags, stream, payload) = self.read_frame()?;
            let incoming = self.answers.entry(stream).or_default();
            incoming.ended |= matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[])?,
                PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload)?,
                GOAWAY => return Err(Error::Unexpected("the peer ends the connection".to_owned())),
                HEADERS => {
                    if incoming.blocks == 0 {
                        incoming.answer.status = payload.first().and_then(|first| static_status(*first));
                    }
                    incoming.answer.trailers = incoming.blocks;
                    incoming.blocks += 1;
                }
                DATA => incoming.answer.body_bytes += payload.len(),
                RST_STREAM => {
                    incoming.answer.reset = payload.try_into().ok().map(u32::from_be_bytes);
                    incoming.ended = true;
                }
                _ => {}
            }
        }
    }

    fn headers(&mut self, id: StreamId, headers: &[(&str, &str)], then: Then) -> Result<()> {
        let mut block = Vec::new();
        for (name, value) in headers {
            // A literal that nobody is to index, with a name of its own.
            block.push(0x10);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap_or(126));
                block.extend_from_slice(text.as_bytes().get(..126).unwrap_or(text.as_bytes()));
            }
        }
        self.frame(HEADERS, END_HEADERS | end_stream(then), id.0, &block)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.send(&[&head, payload].concat())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(Error::io("sending"))
    }

    fn read_frame(&mut self) -> Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).map_err(Error::io("reading a frame"))?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).map_err(Error::io("reading a frame"))?;
        Ok((kind, flags, u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff, payload))
    }
}

fn end_stream(then: Then) -> u8 {
    match then {
        Then::More => 0,
        Then::End => END_STREAM,
    }
}

fn static_status(first: u8) -> Option<u16> {
    let index = (first & 0x7f).checked_sub(8).filter(|_| first & 0x80 != 0)?;
    STATIC_STATUSES.get(usize::from(index)).copied()
}
