//! Keeping a connection while nobody asks anything: signs of life, for the server's patience and for routers on the way
//! that forget what is silent.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Pause between two signs of life. Routers that translate addresses keep a silent connection for two minutes and
/// more; a server waits for ten.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

impl Client {
    /// Keeps the connection until `wake` is cancelled; `None` when it was lost meanwhile. Cancel safe, but the
    /// connection is then gone.
    ///
    /// ```no_run
    /// # async fn example(client: netdisk_client::Client) {
    /// let wake = tokio_util::sync::CancellationToken::new();
    /// let resting = tokio::spawn(client.rest(wake.clone()));
    /// // A person thinks.
    /// wake.cancel();
    /// let client = resting.await.ok().flatten();
    /// # }
    /// ```
    pub async fn rest(mut self, wake: CancellationToken) -> Option<Self> {
        // A server has less patience with strangers.
        self.admitted().await.ok()?;
        loop {
            tokio::select! {
                () = wake.cancelled() => return Some(self),
                () = sleep(HEARTBEAT_INTERVAL) => {}
            }
            // Outside of the select: a sign of life that was dropped midway would leave half a frame.
            if self.is_closed() || self.connection().send_heartbeat().await.is_err() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netdisk_protocol::{Connection, Numbered, Reply, Request};
    use tokio::io::duplex;

    use super::*;
    use crate::dial::Stream;

    /// The patience of a server, in whose place this test stands.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_rests_for_a_day_is_still_there() {
        let (near, far) = duplex(1024);
        let near: Box<dyn Stream> = Box::new(near);
        let user: netdisk_model::UserName = "alice".parse().expect("a name");
        let client = Client::new(Connection::new(near, Duration::from_secs(60)), user.clone(), None, None, 1);
        let mut server = Connection::new(far, IDLE_TIMEOUT);
        let wake = CancellationToken::new();
        let resting = tokio::spawn(client.rest(wake.clone()));
        let serving = tokio::spawn(async move {
            let request: Numbered<Request> = server.recv().await.expect("not cut").expect("a request");
            server.send(&Numbered::new(request.id, Reply::Account { user })).await.expect("taken");
            server
        });
        sleep(Duration::from_secs(24 * 60 * 60)).await;
        wake.cancel();
        let mut client = resting.await.expect("no panic").expect("still connected");
        assert_eq!(client.whoami().await.expect("answered").as_str(), "alice");
        drop(serving.await.expect("the server never lost patience"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_gone_is_noticed() {
        let (near, far) = duplex(1024);
        let near: Box<dyn Stream> = Box::new(near);
        let user = "alice".parse().expect("a name");
        let client = Client::new(Connection::new(near, Duration::from_secs(60)), user, None, None, 1);
        drop(far);
        assert!(client.rest(CancellationToken::new()).await.is_none());
    }
}
