//! A look at what passes, for whoever wants to see it: frames here, and reads and writes where a stream is tapped.

use std::fmt::Debug;

use serde_json::Value;

use crate::frame::Frame;

/// In which direction something passes, seen from this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From here to the peer.
    Sent,
    /// From the peer to here.
    Received,
}

/// Somebody who watches a connection. It must not take long: the connection waits for it.
pub trait WireObserver: Debug + Send + Sync {
    /// A frame was cut from what came, or put into what goes. It may hold secrets: see [`without_secrets`].
    fn frame(&self, way: Way, frame: &Frame);

    /// One call wrote so many bytes of the stream, or one read brought so many.
    fn moved(&self, way: Way, len: usize);
}

/// A message as it may be shown: passwords and tokens blacked out, and nothing at all of what is no JSON.
pub fn without_secrets(payload: &[u8]) -> String {
    match serde_json::from_slice::<Value>(payload) {
        Ok(mut message) => {
            black_out(&mut message);
            message.to_string()
        }
        // A secret could stand anywhere in it.
        Err(_) => format!("{} bytes that are no JSON", payload.len()),
    }
}

/// The fields of all messages that hold secrets: of `register`, `login`, `welcome` and `passwd`.
const SECRET_FIELDS: &[&str] = &["password", "token", "invitation", "old", "new"];

fn black_out(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if SECRET_FIELDS.contains(&name.as_str()) {
                    *value = Value::from("***");
                } else {
                    black_out(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(black_out),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blacked_out_wherever_they_stand() {
        let shown = without_secrets(br#"{"id":1,"type":"login","user":"alice","password":"correct horse"}"#);
        assert_eq!(shown, r#"{"id":1,"password":"***","type":"login","user":"alice"}"#);
        let shown = without_secrets(br#"{"a":[{"token":{"deep":"secret"}}],"password":["secret"]}"#);
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(without_secrets(br#"{"password":"correct horse"#), "26 bytes that are no JSON");
    }

    /// The golden files have every message; their secrets are these.
    #[test]
    fn no_message_shows_a_secret() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let mut blackened = 0;
        for file in std::fs::read_dir(golden).expect("the golden files") {
            let text = std::fs::read_to_string(file.expect("an entry").path()).expect("readable");
            let json = text.lines().nth(1).expect("a message");
            let shown = without_secrets(json.as_bytes());
            for secret in ["correct horse", "battery staple", "0707070707"] {
                assert!(!shown.contains(secret), "{shown}");
            }
            blackened += usize::from(shown.contains("***"));
        }
        assert!(blackened >= 5, "{blackened}");
    }
}
