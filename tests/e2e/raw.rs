//! A client made of a socket and nothing else.

use netdisk_model::Digest;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::fixture::TestServer;
use crate::tls;

/// A client made of a socket and nothing else, or of TLS over one.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
}

impl Raw {
    pub(crate) async fn connect(server: &TestServer) -> Self {
        Self { stream: TcpStream::connect(server.address).await.expect("connected") }
    }

    /// Whether the server closes at once, without a word; otherwise it answers a hello.
    pub(crate) async fn is_turned_away(&mut self) -> bool {
        let hello = json!({"type": "hello", "version": 1, "software": "raw"}).to_string();
        // A connection that was closed already does not take it.
        drop(self.stream.write_all(&frame(hello.as_bytes())).await);
        self.stream.read_u32().await.is_err()
    }

    /// Greeted and registered.
    pub(crate) async fn registered(server: &TestServer, user: &str) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
        assert_eq!(raw.recv().await["type"], "hello");
        raw.send(&json!({"id": 1, "type": "register", "user": user, "password": "correct horse"})).await;
        assert_eq!(raw.recv().await, json!({"id": 1, "type": "welcome", "user": user}));
        raw
    }
}

impl Raw<TlsStream<TcpStream>> {
    pub(crate) async fn connect_inside_tls(server: &TestServer) -> Self {
        Self { stream: tls::connect(server).await }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.write(&frame(message.to_string().as_bytes())).await;
    }

    pub(crate) async fn recv_payload(&mut self) -> Vec<u8> {
        let len = self.stream.read_u32().await.expect("a header");
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload).await.expect("a payload");
        payload
    }

    pub(crate) async fn recv(&mut self) -> Value {
        let payload = self.recv_payload().await;
        serde_json::from_slice(&payload).unwrap_or_else(|error| panic!("{error}: {payload:?}"))
    }

    /// The server says why, and closes properly.
    pub(crate) async fn assert_closed_with(&mut self, code: &str) {
        let fault = self.recv().await;
        assert_eq!((&fault["id"], &fault["type"], &fault["code"]), (&json!(0), &json!("fault"), &json!(code)));
        assert_eq!(self.stream.read(&mut [0]).await.expect("no reset"), 0, "closed");
    }

    pub(crate) async fn assert_alive(&mut self) {
        self.send(&json!({"id": 99, "type": "whoami"})).await;
        let reply = self.recv().await;
        assert_eq!((&reply["id"], &reply["type"]), (&json!(99), &json!("account")));
    }
}

pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short");
    [&len.to_be_bytes()[..], payload].concat()
}

pub(crate) fn data(bytes: &[u8]) -> Vec<u8> {
    frame(&[&[0], bytes].concat())
}

pub(crate) fn end(id: u64, content: &[u8]) -> Vec<u8> {
    frame(json!({"id": id, "type": "end", "digest": Digest::of(content).to_string()}).to_string().as_bytes())
}
