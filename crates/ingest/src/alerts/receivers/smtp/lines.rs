//! The connection to a mail server, as it may be read: line by line, and so much of it.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a server may send in a whole exchange, those of TLS included.
const MAX_BYTES: usize = 256 << 10;
const CHUNK_BYTES: usize = 4 << 10;

/// A stream that hands out no byte behind the end of a line before it is asked again.
///
/// What a server, or somebody in between, sends behind its line on STARTTLS must not be taken for the answer to what is
/// asked over TLS: a reader with a buffer would keep it over the handshake. Here it is left to the handshake, which fails.
pub(super) struct Lines<S> {
    stream: S,
    peer: SocketAddr,
    /// What has come and was not handed out: from `start` on.
    chunk: Vec<u8>,
    start: usize,
    /// Bytes that may still come.
    left: usize,
}

impl<S> Lines<S> {
    pub(super) fn new(stream: S, peer: SocketAddr) -> Self {
        Self { stream, peer, chunk: Vec::new(), start: 0, left: MAX_BYTES }
    }
}

impl<S> fmt::Debug for Lines<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start >= this.chunk.len() {
            if this.left == 0 {
                return Poll::Ready(Err(io::Error::other("it sends too much")));
            }
            this.chunk.resize(CHUNK_BYTES.min(this.left), 0);
            this.start = this.chunk.len();
            let mut read = ReadBuf::new(&mut this.chunk);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            let filled = read.filled().len();
            this.chunk.truncate(filled);
            this.start = 0;
            this.left -= filled;
        }
        let waiting = this.chunk.get(this.start..).unwrap_or_default();
        let line = waiting.iter().position(|byte| *byte == b'\n').map_or(waiting.len(), |end| end + 1);
        let length = line.min(out.remaining());
        out.put_slice(waiting.get(..length).unwrap_or_default());
        this.start += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Lines<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_read_ends_with_a_line() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 25));
        let mut lines = Lines::new(&b"220 a\r\n250-b\r\nrest"[..], peer);
        let mut read = || {
            let mut buffer = [0; 64];
            let length = run(lines.read(&mut buffer)).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!([read(), read(), read(), read()], ["220 a\r\n", "250-b\r\n", "rest", ""]);
    }

    #[test]
    fn a_server_that_sends_without_end_is_left() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 25));
        let mut lines = Lines::new(tokio::io::repeat(b'x'), peer);
        let mut all = Vec::new();
        let error = run(lines.read_to_end(&mut all)).unwrap_err();
        assert_eq!((error.to_string().as_str(), all.len()), ("it sends too much", MAX_BYTES));
    }
}
