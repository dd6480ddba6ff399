//! Many at once.

use std::sync::Arc;

use futures::future::join_all;
use netdisk_client::{GetTarget, OnExisting, PutSource, Unobserved, get, put};
use tokio_util::sync::CancellationToken;

use crate::fixture::{TestServer, path};

const CLIENTS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_at_once_each_see_only_their_own() {
    let server = Arc::new(TestServer::tls().await);
    let folder = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let clients = (0..CLIENTS).map(|number| {
        let (server, folder) = (server.clone(), folder.clone());
        tokio::spawn(async move {
            let mut client = server.register(&format!("user{number}")).await;
            let content = vec![u8::try_from(number).expect("few"); 300_000 + number];
            let cancel = CancellationToken::new();
            // All use the same path.
            let (shared, own) = (path("/same name"), path(&format!("/of {number}")));
            for at in [&shared, &own] {
                let source = PutSource::Stream(Box::new(std::io::Cursor::new(content.clone())));
                put(&mut client, source, at, OnExisting::Refuse, &Unobserved, &cancel).await.expect("stored");
            }
            let back = folder.path().join(number.to_string());
            let target = GetTarget::File(back.clone());
            get(&mut client, &shared, target, OnExisting::Refuse, &Unobserved, &cancel).await.expect("fetched");
            assert!(std::fs::read(back).expect("there") == content);
            let mut seen: Vec<_> = client.list(&path("/"), true).await.expect("listed").entries;
            seen.sort_by(|a, b| a.path.cmp(&b.path));
            assert_eq!(seen.iter().map(|entry| &entry.path).collect::<Vec<_>>(), [&own, &shared]);
            client.close().await.expect("closed");
        })
    });
    let outcomes = join_all(clients).await;
    assert_eq!(outcomes.len(), CLIENTS);
    for outcome in outcomes {
        outcome.expect("no client failed");
    }
}
