//! What the kernel is asked for on each connection that was accepted.

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;

use crate::limits::UNSENT_LEN_MAX;

/// Prepares a socket for messages, and for peers that do not read.
pub(crate) fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // Small messages must not wait for the acknowledgement of earlier ones (RFC 896).
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_LEN_MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// How much is taken for a peer that does not read, and how much of that lies with the peer.
    fn taken(prepare: impl Fn(&TcpStream) -> io::Result<()>) -> (usize, usize) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let (mut stream, _) = listener.accept().expect("accepted");
        prepare(&stream).expect("prepared");
        // What is taken within this time of the last bytes is all that is taken.
        stream.set_write_timeout(Some(Duration::from_millis(300))).expect("set");
        let bytes = vec![7; 64 * 1024];
        let taken = std::iter::from_fn(|| stream.write(&bytes).ok()).sum();
        let arrived = rustix::io::ioctl_fionread(&peer).expect("a count");
        (taken, usize::try_from(arrived).expect("it fits"))
    }

    #[test]
    fn who_does_not_read_holds_little_of_the_servers_memory() {
        let limit = 2 * UNSENT_LEN_MAX as usize;
        let (taken, arrived) = taken(prepare);
        assert!(taken - arrived < limit, "{taken} bytes taken, {arrived} arrived");
    }

    /// What the kernel does unless it is asked: without this, the test above would show nothing.
    #[test]
    fn a_socket_that_is_not_prepared_holds_much() {
        let limit = 2 * UNSENT_LEN_MAX as usize;
        let (taken, arrived) = taken(|_| Ok(()));
        assert!(taken - arrived > limit, "{taken} bytes taken, {arrived} arrived");
    }
}
