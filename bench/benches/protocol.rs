//! What the wire costs without a wire: frames in and out of buffers, bodies over a pipe in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{
    Chunk, Connection, Fault, FaultCode, Frame, FrameCodec, Sink, Source, Stop, recv_body, send_body,
};
use tokio::io::duplex;
use tokio::runtime::{Builder, Runtime};
use tokio_util::codec::{Decoder as _, Encoder as _};
use tokio_util::sync::CancellationToken;

/// Frames in one round: a buffer of them is cut at once.
const FRAMES: usize = 64;
/// Bytes of a body in one round.
const BODY_LEN: usize = 64 << 20;
/// What the pipe holds: as much as a socket does.
const PIPE_LEN: usize = 4 << 20;

fn main() {
    divan::main();
}

/// The lengths of file bytes in a frame: a small file, and as much as fits.
const LENGTHS: [usize; 2] = [4 * 1024, DATA_LEN_MAX];

fn encoded(length: usize) -> BytesMut {
    let (mut codec, mut buffer) = (codec(), BytesMut::new());
    for _ in 0..FRAMES {
        codec.encode(Frame::Data(Bytes::from(vec![7; length])), &mut buffer).expect("a frame fits");
    }
    buffer
}

fn codec() -> FrameCodec {
    let mut codec = FrameCodec::new();
    codec.admit();
    codec
}

#[divan::bench(args = LENGTHS)]
fn encode(bencher: Bencher<'_, '_>, length: usize) {
    let data = Bytes::from(vec![7; length]);
    bencher.counter(BytesCount::new(FRAMES * length)).with_inputs(BytesMut::new).bench_local_refs(|buffer| {
        let mut codec = codec();
        for _ in 0..FRAMES {
            codec.encode(Frame::Data(data.clone()), buffer).expect("a frame fits");
        }
    });
}

#[divan::bench(args = LENGTHS)]
fn decode(bencher: Bencher<'_, '_>, length: usize) {
    let whole = encoded(length);
    bencher.counter(BytesCount::new(FRAMES * length)).with_inputs(|| whole.clone()).bench_local_refs(|buffer| {
        let mut codec = codec();
        while let Some(frame) = codec.decode(buffer).expect("good frames") {
            black_box(frame);
        }
    });
}

#[divan::bench(args = [false, true], sample_count = 20)]
fn body(bencher: Bencher<'_, '_>, hashed: bool) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    bencher.counter(BytesCount::new(BODY_LEN)).bench_local(|| send_one(&runtime, hashed));
}

/// One body through a pipe, hashed at both ends or at neither.
fn send_one(runtime: &Runtime, hashed: bool) {
    runtime.block_on(async {
        let (near, far) = duplex(PIPE_LEN);
        let [mut near, mut far] = [near, far].map(|end| {
            let mut connection = Connection::new(end, Duration::from_secs(60));
            connection.admit();
            connection
        });
        let hasher = || hashed.then(blake3::Hasher::new);
        let mut source = Zeros { chunk: Bytes::from(vec![0; DATA_LEN_MAX]), left: BODY_LEN, hasher: hasher() };
        let mut sink = Nowhere { hasher: hasher() };
        let stop = Stop::new(CancellationToken::new(), FaultCode::Cancelled);
        let (sent, received) =
            tokio::join!(send_body(&mut near, 1, &mut source, &stop), recv_body(&mut far, 1, &mut sink, &stop));
        let (sent, received) = (sent.expect("sent"), received.expect("received"));
        assert_eq!(sent.expect("no fault"), received.expect("no fault"));
        if let Some(hasher) = sink.hasher {
            black_box(hasher.finalize());
        }
    });
}

struct Zeros {
    chunk: Bytes,
    left: usize,
    hasher: Option<blake3::Hasher>,
}

#[async_trait]
impl Source for Zeros {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        if self.left == 0 {
            let hasher = self.hasher.take().unwrap_or_default();
            return Ok(Chunk::End(hasher.finalize().into()));
        }
        let chunk = self.chunk.slice(..self.chunk.len().min(self.left));
        self.left -= chunk.len();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        Ok(Chunk::Data(chunk))
    }
}

struct Nowhere {
    hasher: Option<blake3::Hasher>,
}

#[async_trait]
impl Sink for Nowhere {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&data);
        }
        Ok(())
    }
}
