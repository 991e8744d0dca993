//! Just enough of HTTP/1.1 to be either side of Envoy, and to break the rules when a test asks for it.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

/// A message head longer than this is refused.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// A header list in the order of the wire; values are bytes, for they need not be text.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The first value of a header; the name is compared without regard to case.
#[must_use]
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
}

/// First line and headers of a request or a response.
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Headers,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    pub(crate) fn request_framing(&self) -> io::Result<Framing> {
        Ok(self.declared_framing()?.unwrap_or(Framing::None))
    }

    pub(crate) fn response_framing(&self, method: &str, status: u16) -> io::Result<Framing> {
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Ok(Framing::None);
        }
        Ok(self.declared_framing()?.unwrap_or(Framing::UntilClose))
    }

    pub(crate) fn closes(&self) -> bool {
        header(&self.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
    }

    fn declared_framing(&self) -> io::Result<Option<Framing>> {
        if header(&self.headers, "transfer-encoding").is_some() {
            return Ok(Some(Framing::Chunked));
        }
        let Some(length) = header(&self.headers, "content-length") else { return Ok(None) };
        let length = str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok());
        length.map(|bytes| Some(Framing::Length(bytes))).ok_or_else(|| malformed("content-length"))
    }
}

/// A connection together with what was read beyond the last message.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// `None` when the peer closed before the first byte.
    pub(crate) fn read_head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n", searched) {
                break at;
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(malformed("a head without end"));
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.fill()? == 0 {
                let clean = self.buffer.is_empty();
                return if clean { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        };
        let head = parse_head(self.buffer.get(..end).unwrap_or_default())?;
        self.buffer.drain(..end + 4);
        Ok(Some(head))
    }

    pub(crate) fn read_body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(bytes) => self.take(bytes),
            Framing::Chunked => self.read_chunks(),
            Framing::UntilClose => {
                while self.fill()? > 0 {}
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    /// Exactly the next `bytes` bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("chunk size"))?;
            if size == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.append(&mut self.take(size)?);
            self.take(2)?;
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n", 0) {
                let line: Vec<u8> = self.buffer.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).map_err(|_| malformed("line"));
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        Ok(read)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let start = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let headers = lines
        .map(|line| {
            let colon = line.iter().position(|&byte| byte == b':').ok_or_else(|| malformed("header"))?;
            let (name, value) = line.split_at(colon);
            Ok((String::from_utf8_lossy(name).into_owned(), value[1..].trim_ascii().to_vec()))
        })
        .collect::<io::Result<Headers>>()?;
    Ok(Head { start, headers })
}

fn find(bytes: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("malformed HTTP: {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn bodies_end_where_their_framing_says() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef", "GET", b"abc");
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HEAD", b"");
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: v\r\n\r\n",
            "GET",
            b"abc0123456789",
        );
        check("HTTP/1.1 200 OK\r\n\r\nto the end", "GET", b"to the end");
        check("HTTP/1.1 204 No Content\r\n\r\n", "GET", b"");
    }

    fn check(sent: &str, method: &str, body: &[u8]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.write_all(sent.as_bytes()).unwrap();
        drop(peer);
        let mut wire = Wire::new(listener.accept().unwrap().0);
        let head = wire.read_head().unwrap().unwrap();
        let status = head.start.split(' ').nth(1).unwrap().parse().unwrap();
        let framing = head.response_framing(method, status).unwrap();
        assert_eq!(wire.read_body(framing).unwrap(), body, "{sent}");
    }
}
