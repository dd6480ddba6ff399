//! Reads from a stream in large pieces for a reader that asks for small ones, as TLS does: one call of the system in place of
//! many. Holds memory only while bytes come.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Bytes read at once: beyond it a call costs nothing beside the copy.
const GULP_LEN: usize = 64 * 1024;

/// A stream that is read in large pieces.
#[derive(Debug)]
pub struct Gulp<S> {
    stream: S,
    read: BytesMut,
}

impl<S> Gulp<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, read: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gulp<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, read } = &mut *self;
        if read.is_empty() {
            if room.remaining() >= GULP_LEN {
                return Pin::new(stream).poll_read(context, room);
            }
            read.clear();
            read.reserve(GULP_LEN);
            let outcome = poll_read_buf(Pin::new(stream), context, read);
            if outcome.is_pending() {
                // Nobody knows when there will be more.
                *read = BytesMut::new();
            }
            ready!(outcome)?;
        }
        let len = read.len().min(room.remaining());
        room.put_slice(&read[..len]);
        read.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gulp<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
