//! A stream that shows how many bytes each read and write moved.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use netdisk_protocol::{Way, WireObserver};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dial::Stream;

/// Passes everything on, and tells.
pub(crate) struct Tap {
    stream: Box<dyn Stream>,
    observer: Arc<dyn WireObserver>,
}

impl Tap {
    pub(crate) fn new(stream: Box<dyn Stream>, observer: Arc<dyn WireObserver>) -> Self {
        Self { stream, observer }
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, room);
        if let (Poll::Ready(Ok(())), len @ 1..) = (&read, room.filled().len() - before) {
            self.observer.moved(Way::Received, len);
        }
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(len @ 1..)) = written {
            self.observer.moved(Way::Sent, len);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        if let Poll::Ready(Ok(len @ 1..)) = written {
            self.observer.moved(Way::Sent, len);
        }
        written
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
