//! Bytes on their way out: small things are gathered into one piece, file bytes stay where they are and are not copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Payloads up to this length in bytes are copied: one piece less costs more than so short a copy.
const COPY_LEN_MAX: usize = 8 * 1024;

/// Pieces written by one call.
const PIECES_MAX: usize = 16;

/// What is to be sent, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Bytes>,
    /// Behind them, and still growing.
    last: BytesMut,
    len: usize,
}

impl Queue {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a frame behind what waits.
    pub(super) fn push(&mut self, header: &[u8], payload: Bytes) {
        self.len += header.len() + payload.len();
        self.last.extend_from_slice(header);
        if payload.len() <= COPY_LEN_MAX {
            self.last.extend_from_slice(&payload);
        } else {
            self.close_last();
            self.pieces.push_back(payload);
        }
    }

    fn close_last(&mut self) {
        if !self.last.is_empty() {
            self.pieces.push_back(self.last.split().freeze());
        }
    }

    /// Writes what waits, and flushes. Cancel safe: what was taken has left the queue.
    pub(super) async fn write_to(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        self.close_last();
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let count = self.pieces.len().min(PIECES_MAX);
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
            }
            match stream.write_vectored(&slices[..count]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.advance(written),
            }
        }
        stream.flush().await
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                return first.advance(written);
            }
            written -= first.len();
            self.pieces.pop_front();
        }
    }
}
