//! Bodies over a pipe of a few bytes: every frame is split many times, and each way to end is tried.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::Digest;
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{
    BodyPart, Chunk, Connection, ConnectionError, Fault, FaultCode, Numbered, Request, Sink, Source, Stop, recv_body,
    send_body,
};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(5);
const ID: u64 = 7;

/// Gives out chunks, then the digest of them all, or a fault.
struct Chunks {
    left: VecDeque<Bytes>,
    hash: blake3::Hasher,
    fault: Option<Fault>,
}

impl Chunks {
    fn new(chunks: &[&[u8]]) -> Self {
        let left = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect();
        Self { left, hash: blake3::Hasher::new(), fault: None }
    }
}

#[async_trait]
impl Source for Chunks {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        match (self.left.pop_front(), self.fault.take()) {
            (Some(chunk), fault) => {
                self.fault = fault;
                self.hash.update(&chunk);
                Ok(Chunk::Data(chunk))
            }
            (None, Some(fault)) => Err(fault),
            (None, None) => Ok(Chunk::End(self.hash.finalize().into())),
        }
    }
}

/// Takes bytes up to a limit.
struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: Vec::new(), limit: usize::MAX }
    }
}

#[async_trait]
impl Sink for Buffer {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        if self.bytes.len() + data.len() > self.limit {
            return Err(Fault::new(FaultCode::Full, "no more"));
        }
        self.bytes.extend_from_slice(&data);
        Ok(())
    }
}

fn pair() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    pair_over(8)
}

/// A pipe that holds one abort, as every socket does: its sender need not wait for the peer to read it.
fn pair_with_room_for_an_abort() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    pair_over(256)
}

fn pair_over(len: usize) -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (near, far) = duplex(len);
    let mut near = Connection::new(near, DEADLINE);
    let mut far = Connection::new(far, DEADLINE);
    near.admit();
    far.admit();
    (near, far)
}

fn never() -> Stop {
    Stop::new(CancellationToken::new(), FaultCode::Cancelled)
}

fn already() -> Stop {
    let token = CancellationToken::new();
    token.cancel();
    Stop::new(token, FaultCode::Cancelled)
}

/// After whatever happened to a body, the next message must arrive.
async fn assert_in_step(sender: &mut Connection<DuplexStream>, receiver: &mut Connection<DuplexStream>) {
    let message = Numbered::new(ID + 1, Request::Whoami);
    let (sent, received) = tokio::join!(sender.send(&message), receiver.recv::<Numbered<Request>>());
    sent.expect("the sender is in step");
    assert_eq!(received.expect("the receiver is in step"), Some(message));
}

#[tokio::test]
async fn bodies_of_all_sizes_arrive_whole() {
    let full = vec![3; DATA_LEN_MAX];
    for chunks in
        [vec![], vec![&b"x"[..]], vec![b"ab", b"cde", b"f"], vec![&full[..DATA_LEN_MAX - 1]], vec![&full, b"y"]]
    {
        let (mut near, mut far) = pair();
        let mut source = Chunks::new(&chunks);
        let mut sink = Buffer::new();
        let (stop_near, stop_far) = (never(), never());
        let (sent, received) = tokio::join!(
            send_body(&mut near, ID, &mut source, &stop_near),
            recv_body(&mut far, ID, &mut sink, &stop_far)
        );
        let content = chunks.concat();
        assert_eq!(sent.expect("a good wire"), Ok(Digest::of(&content)));
        assert_eq!(received.expect("a good wire"), Ok(Digest::of(&content)));
        assert_eq!(sink.bytes, content);
        assert_in_step(&mut near, &mut far).await;
    }
}

#[tokio::test]
async fn a_source_that_fails_aborts_the_body() {
    let (mut near, mut far) = pair();
    let mut source = Chunks::new(&[b"some"]);
    source.fault = Some(Fault::new(FaultCode::ReadFailed, "bad sector"));
    let mut sink = Buffer::new();
    let (stop_near, stop_far) = (never(), never());
    let (sent, received) =
        tokio::join!(send_body(&mut near, ID, &mut source, &stop_near), recv_body(&mut far, ID, &mut sink, &stop_far));
    assert_eq!(sent.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::ReadFailed));
    assert_eq!(received.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::ReadFailed));
    assert_in_step(&mut near, &mut far).await;
}

#[tokio::test]
async fn a_sink_that_refuses_aborts_the_body() {
    let (mut near, mut far) = pair_with_room_for_an_abort();
    let many = [7; 100];
    let mut source = Chunks::new(&[&many[..]; 2000]);
    let mut sink = Buffer { bytes: Vec::new(), limit: 250 };
    let (stop_near, stop_far) = (never(), never());
    let (sent, received) =
        tokio::join!(send_body(&mut near, ID, &mut source, &stop_near), recv_body(&mut far, ID, &mut sink, &stop_far));
    assert_eq!(sent.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::Full));
    assert_eq!(received.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::Full));
    assert!(!source.left.is_empty(), "the sender stopped early");
    assert_in_step(&mut near, &mut far).await;
    assert_in_step(&mut far, &mut near).await;
}

#[tokio::test]
async fn a_late_abort_that_crosses_the_end_is_skipped() {
    let (mut near, mut far) = pair_with_room_for_an_abort();
    let mut source = Chunks::new(&[b"all of it"]);
    let mut sink = Buffer { bytes: Vec::new(), limit: 0 };
    let stop_near = never();
    // The receiver refuses the only chunk; whether its abort comes before or after the end, all stay in step.
    let stop_far = never();
    let (sent, received) =
        tokio::join!(send_body(&mut near, ID, &mut source, &stop_near), recv_body(&mut far, ID, &mut sink, &stop_far));
    sent.expect("a good wire").ok();
    assert_eq!(received.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::Full));
    assert_in_step(&mut near, &mut far).await;
    assert_in_step(&mut far, &mut near).await;
}

#[tokio::test]
async fn both_ends_can_be_stopped() {
    for (stop_near, stop_far) in [(already(), never()), (never(), already()), (already(), already())] {
        let (mut near, mut far) = pair_with_room_for_an_abort();
        let mut source = Chunks::new(&[&b"never seen"[..]; 20_000]);
        let mut sink = Buffer::new();
        let (sent, received) = tokio::join!(
            send_body(&mut near, ID, &mut source, &stop_near),
            recv_body(&mut far, ID, &mut sink, &stop_far)
        );
        assert_eq!(sent.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::Cancelled));
        assert_eq!(received.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::Cancelled));
        assert_in_step(&mut near, &mut far).await;
        assert_in_step(&mut far, &mut near).await;
    }
}

#[tokio::test]
async fn requests_read_ahead_during_a_body_are_kept_in_order() {
    let (server, client) = duplex(4096);
    let (mut server, mut client) = (Connection::new(server, DEADLINE), Connection::new(client, DEADLINE));
    let asks: Vec<_> = (20..24).map(|id| Numbered::new(id, Request::Whoami)).collect();
    for ask in &asks {
        client.send(ask).await.expect("room in the pipe");
    }
    let abort = BodyPart::Abort(Fault::new(FaultCode::Cancelled, "enough"));
    client.send(&Numbered::new(ID, abort)).await.expect("room in the pipe");

    let outcome = send_body(&mut server, ID, &mut Chunks::new(&[b"never sent"]), &never()).await;
    assert_eq!(outcome.expect("a good wire").map_err(|fault| fault.code), Err(FaultCode::Cancelled));
    for ask in asks {
        assert_eq!(server.recv().await.expect("a good wire"), Some(ask));
    }
}

#[tokio::test]
async fn the_end_of_the_stream_is_never_the_end_of_a_body() {
    // `{"id":7,...` cut at every byte: the receiver must see a broken wire each time.
    let mut whole = Vec::new();
    whole.extend_from_slice(&6_u32.to_be_bytes());
    whole.extend_from_slice(b"\0hello");
    let end = format!(r#"{{"id":7,"type":"end","digest":"{}"}}"#, Digest::of(b"hello"));
    whole.extend_from_slice(&u32::try_from(end.len()).expect("short").to_be_bytes());
    whole.extend_from_slice(end.as_bytes());
    for cut in 0..=whole.len() {
        let (mut raw, far) = duplex(1024);
        let mut far = Connection::new(far, DEADLINE);
        far.admit();
        raw.write_all(&whole[..cut]).await.expect("room in the pipe");
        drop(raw);
        let outcome = recv_body(&mut far, ID, &mut Buffer::new(), &never()).await;
        if cut == whole.len() {
            assert_eq!(outcome.expect("whole"), Ok(Digest::of(b"hello")));
        } else {
            assert!(matches!(outcome, Err(ConnectionError::Closed | ConnectionError::Truncated)), "cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_sender_is_given_up() {
    let (_near, mut far) = pair();
    let outcome = recv_body(&mut far, ID, &mut Buffer::new(), &never()).await;
    assert!(matches!(outcome, Err(ConnectionError::TimedOut(after)) if after == DEADLINE));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_read_is_given_up() {
    let (mut near, _far) = pair();
    let big = vec![1; DATA_LEN_MAX];
    let outcome = send_body(&mut near, ID, &mut Chunks::new(&[&big, &big]), &never()).await;
    // The pipe took a few bytes before it was full.
    assert!(matches!(outcome, Err(ConnectionError::TooSlow(after)) if after == DEADLINE));
}

/// Writes bytes into the pipe, one after each pause, until nobody takes them.
async fn drip(far: &mut DuplexStream, bytes: &[u8], pause: Duration) -> usize {
    for (count, byte) in bytes.iter().enumerate() {
        if far.write_all(&[*byte]).await.is_err() {
            return count;
        }
        tokio::time::sleep(pause).await;
    }
    bytes.len()
}

#[tokio::test(start_paused = true)]
async fn who_drips_inside_a_frame_is_cut_within_two_intervals() {
    let (near, mut far) = duplex(64);
    let idle = Duration::from_secs(600);
    let mut receiver = Connection::new(near, idle);
    let began = tokio::time::Instant::now();
    // A header that declares 4,000 bytes, and then one a second.
    let mut bytes = vec![0, 0, 15, 160, b'{'];
    bytes.resize(4_000, b' ');
    let outcome = tokio::select! {
        outcome = receiver.recv_frame() => outcome,
        _ = drip(&mut far, &bytes, Duration::from_secs(1)) => panic!("not cut"),
    };
    assert!(matches!(outcome, Err(ConnectionError::TooSlow(_))), "{outcome:?}");
    assert!(began.elapsed() <= Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_that_brings_enough_is_waited_for() {
    let (near, mut far) = duplex(1024);
    let mut receiver = Connection::new(near, Duration::from_secs(5));
    receiver.admit();
    let payload = vec![0; DATA_LEN_MAX];
    let began = tokio::time::Instant::now();
    let slowly = async {
        far.write_all(&u32::try_from(payload.len()).expect("short").to_be_bytes()).await.expect("taken");
        for kib in payload.chunks(1024) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            far.write_all(kib).await.expect("taken");
        }
    };
    let (frame, ()) = tokio::join!(receiver.recv_frame(), slowly);
    assert!(frame.expect("whole").is_some());
    assert!(began.elapsed() > Duration::from_secs(200), "a frame may take longer than a silence");
}

/// Takes a byte at a time.
async fn sip(far: &mut DuplexStream, pause: Duration) {
    use tokio::io::AsyncReadExt as _;
    while far.read_u8().await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_next_to_nothing_is_cut() {
    let (near, mut far) = duplex(64);
    let mut sender = Connection::new(near, DEADLINE);
    sender.admit();
    let mut source = Chunks::new(&[&[7; 100_000][..]; 10]);
    let stop = Stop::new(CancellationToken::new(), FaultCode::Cancelled);
    let outcome = tokio::select! {
        outcome = send_body(&mut sender, ID, &mut source, &stop) => outcome,
        () = sip(&mut far, Duration::from_millis(10)) => panic!("not cut"),
    };
    assert!(matches!(outcome, Err(ConnectionError::TooSlow(_))), "{outcome:?}");
}

/// Reads for ten minutes what the receiver has already, a second at a time.
struct LongPrefix(u32);

#[async_trait]
impl Source for LongPrefix {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        if self.0 == 0 {
            return Ok(Chunk::End(Digest::of(b"")));
        }
        self.0 -= 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Chunk::Data(Bytes::new()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_prefix_is_no_silence() {
    let (near, far) = duplex(64);
    let deadline = 2 * netdisk_protocol::HEARTBEAT_INTERVAL;
    let (mut sender, mut receiver) = (Connection::new(near, deadline), Connection::new(far, deadline));
    let stop = Stop::new(CancellationToken::new(), FaultCode::Cancelled);
    let mut source = LongPrefix(600);
    let mut sink = Buffer::new();
    let (sent, received) =
        tokio::join!(send_body(&mut sender, ID, &mut source, &stop), recv_body(&mut receiver, ID, &mut sink, &stop));
    assert_eq!(sent.expect("in step"), Ok(Digest::of(b"")));
    assert_eq!(received.expect("in step"), Ok(Digest::of(b"")));
    assert!(sink.bytes.is_empty());
}
