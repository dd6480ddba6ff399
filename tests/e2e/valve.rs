//! A relay in front of a server that holds back what a client sends: a transfer stands still for as long as a test wants.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The relay; it lives as long as the test's process.
pub(crate) struct Valve {
    pub(crate) address: String,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Bytes that may still pass; all of them where there is no limit.
    left: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Valve {
    pub(crate) fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let gate = Arc::new(Gate::default());
        let (server, passing) = (server.to_owned(), gate.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let (near, far) = (client.try_clone().expect("cloned"), upstream.try_clone().expect("cloned"));
                let gate = passing.clone();
                std::thread::spawn(move || relay(client, upstream, |len| gate.pass(len)));
                std::thread::spawn(move || relay(far, near, |_| {}));
            }
        });
        Self { address, gate }
    }

    /// Lets so many bytes pass, and then none.
    pub(crate) fn close_after(&self, bytes: usize) {
        self.gate.set(Some(bytes));
    }

    /// Lets all pass.
    pub(crate) fn open(&self) {
        self.gate.set(None);
    }
}

impl Gate {
    fn set(&self, left: Option<usize>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
        self.changed.notify_all();
    }

    fn pass(&self, len: usize) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while left.is_some_and(|left| left < len) {
            left = self.changed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left = left.map(|left| left - len);
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(usize)) {
    let mut some = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut some) {
        pass(read);
        if to.write_all(&some[..read]).is_err() {
            break;
        }
    }
    // One of them may have gone already.
    drop(to.shutdown(Shutdown::Write));
}
