//! SIGTERM during uploads: what was acknowledged is there, what was not is not, and the exit code is 0.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use netdisk_client::{OnExisting, PutSource, Trust, Unobserved, dial, put};
use netdisk_model::Password;
use tokio_util::sync::CancellationToken;

use crate::fixture::{PASSWORD, Program, ServerProcess, path};

const WRITERS: usize = 8;
/// The signal comes in the thick of it.
const ACKNOWLEDGED_BEFORE_STOP: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stopped_during_uploads_keeps_what_it_acknowledged_and_nothing_else() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &[]);
    let fingerprint = server.fingerprint.as_deref().expect("TLS").parse().expect("a fingerprint");
    let endpoint: netdisk_client::Endpoint = server.address.parse().expect("an endpoint");

    let ledger = Arc::new(Mutex::new(Vec::new()));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(tokio::sync::Notify::new());
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (endpoint, ledger) = (endpoint.clone(), ledger.clone());
        let (acknowledged, enough) = (acknowledged.clone(), enough.clone());
        writers.push(tokio::spawn(async move {
            let door = dial(&endpoint, &Trust::Pinned(fingerprint)).await.expect("a door");
            let user = format!("writer{writer}");
            let account = user.parse().expect("a name");
            let mut client = door.register(&account, Password::new(PASSWORD), false).await.expect("an account");
            for number in 0.. {
                let name = format!("f{number}");
                let content = format!("{user} {name} ").repeat(20_000).into_bytes();
                let source = PutSource::Stream(Box::new(std::io::Cursor::new(content.clone())));
                let cancel = CancellationToken::new();
                let at = path(&format!("/{name}"));
                if put(&mut client, source, &at, OnExisting::Replace, &Unobserved, &cancel).await.is_err() {
                    return;
                }
                ledger.lock().expect("not poisoned").push((user.clone(), name, content));
                if acknowledged.fetch_add(1, Ordering::Relaxed) == ACKNOWLEDGED_BEFORE_STOP {
                    enough.notify_one();
                }
            }
        }));
    }
    enough.notified().await;
    server.terminate();
    let status = tokio::task::spawn_blocking(move || server.wait()).await.expect("waited");
    for writer in writers {
        writer.await.expect("a writer ends when its server does");
    }
    assert_eq!(status.code(), Some(0));

    let ledger = ledger.lock().expect("not poisoned");
    assert!(ledger.len() > ACKNOWLEDGED_BEFORE_STOP);
    for (user, name, content) in ledger.iter() {
        let stored = std::fs::read(data.path().join("homes").join(user).join("files").join(name));
        assert!(stored.expect("acknowledged, so it is there") == *content);
    }
    let stored: usize =
        (0..WRITERS).map(|writer| count(&data.path().join(format!("homes/writer{writer}/files")))).sum();
    assert_eq!(stored, ledger.len(), "what was not acknowledged is not there");
    let staged: usize =
        (0..WRITERS).map(|writer| count(&data.path().join(format!("homes/writer{writer}/staging")))).sum();
    assert_eq!(staged, 0, "nothing is left half done");
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).expect("a directory").count()
}
