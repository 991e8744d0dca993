//! A stream that ends when its client takes too long to send a head or to read an answer.

use super::activity::Activity;
use crate::limits::Limits;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream and the times that its client has.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    bounds: Bounds,
    /// When the head must be complete: set when the connection is opened, and by the first byte of a further head.
    head_until: Option<Instant>,
    /// When a blocked write must have made progress.
    write_until: Option<Instant>,
    head_timer: Pin<Box<Sleep>>,
    write_timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy)]
struct Bounds {
    head: Duration,
    write: Duration,
    answer: Duration,
}

impl<S> Watched<S> {
    /// Begins with the time for the first head.
    pub(super) fn new(stream: S, activity: Arc<Activity>, limits: &Limits) -> Self {
        let bounds =
            Bounds { head: limits.head_timeout, write: limits.write_timeout, answer: limits.answer_timeout };
        let head_until = Instant::now() + bounds.head;
        let timer = || Box::pin(tokio::time::sleep_until(head_until));
        Self {
            stream,
            activity,
            bounds,
            head_until: Some(head_until),
            write_until: None,
            head_timer: timer(),
            write_timer: timer(),
        }
    }

    /// Waits for the head, and fails when it does not come in time.
    fn wait_for_head(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(until) = self.head_until.filter(|_| self.activity.is_waiting()) else {
            return Poll::Pending;
        };
        if self.head_timer.deadline() != until {
            self.head_timer.as_mut().reset(until);
        }
        ready!(self.head_timer.as_mut().poll(context));
        self.activity.closed_by("head_timeout");
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the head of a request did not arrive in time")))
    }

    /// Passes on what came of a write, and fails when none has made progress for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.write_until = None;
            // A client that reads a byte now and then makes progress, but not for ever.
            if self.activity.answer_age().is_none_or(|age| u128::from(age) < self.bounds.answer.as_millis()) {
                return written;
            }
            return self.too_slow();
        }
        let until = *self.write_until.get_or_insert_with(|| Instant::now() + self.bounds.write);
        if self.write_timer.deadline() != until {
            self.write_timer.as_mut().reset(until);
        }
        ready!(self.write_timer.as_mut().poll(context));
        self.too_slow()
    }

    fn too_slow<T>(&self) -> Poll<Result<T>> {
        self.activity.closed_by("write_timeout");
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "an answer was not read in time")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before && this.activity.is_waiting() && this.head_until.is_none() {
                    this.head_until = Some(Instant::now() + this.bounds.head);
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.wait_for_head(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        // An answer is being written, so that the head it answers was complete.
        this.head_until = None;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        this.head_until = None;
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            this.activity.flushed();
        }
        this.watch(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watch(context, closed)
    }
}
