//! The client library over a real socket: sizes, overwriting, names, cancelling, bytes that differ.

use netdisk_client::{ClientError, GetTarget, Observer, OnExisting, Progress, PutSource, Reuse, Unobserved, get, put};
use netdisk_model::Digest;
use netdisk_protocol::FaultCode;
use netdisk_protocol::limits::DATA_LEN_MAX;
use tokio_util::sync::CancellationToken;

use crate::fixture::{TestServer, content, path};

#[tokio::test]
async fn files_of_all_sizes_come_back_over_tls() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    // Nothing, one byte, around a frame, around several, and what no power of two divides.
    for size in [0, 1, DATA_LEN_MAX - 1, DATA_LEN_MAX, DATA_LEN_MAX + 1, 4 * DATA_LEN_MAX, 3_000_001] {
        let (local, back) = (folder.path().join("local"), folder.path().join(format!("back{size}")));
        let content = content(size);
        std::fs::write(&local, &content).expect("written");
        let cancel = CancellationToken::new();
        let at = path("/f");
        let stored = put(&mut client, PutSource::File(local), &at, OnExisting::Replace, &Unobserved, &cancel).await;
        let stored = stored.expect("stored");
        assert_eq!((stored.size, stored.digest), (size as u64, Digest::of(&content)));
        let target = GetTarget::File(back.clone());
        let got = get(&mut client, &at, target, OnExisting::Refuse, &Unobserved, &cancel).await.expect("fetched");
        assert_eq!(got, stored);
        assert!(std::fs::read(back).expect("there") == content, "{size}");
        assert!(std::fs::read(server.files("alice").join("f")).expect("a plain file") == content);
    }
    client.close().await.expect("closed");
    server.stop().await;
}

#[tokio::test]
async fn a_time_of_modification_travels_both_ways() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (local, back) = (folder.path().join("local"), folder.path().join("back"));
    std::fs::write(&local, b"x").expect("written");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_234_567_890_123);
    std::fs::File::options().append(true).open(&local).expect("there").set_modified(time).expect("set");
    let cancel = CancellationToken::new();
    let source = PutSource::File(local);
    put(&mut client, source, &path("/f"), OnExisting::Replace, &Unobserved, &cancel).await.expect("stored");
    assert_eq!(client.stat(&path("/f")).await.expect("there").modified, 1_234_567_890_123);
    let target = GetTarget::File(back.clone());
    get(&mut client, &path("/f"), target, OnExisting::Refuse, &Unobserved, &cancel).await.expect("fetched");
    assert_eq!(std::fs::metadata(back).expect("there").modified().expect("a time"), time);
}

/// Cancels when a transfer has come half way.
struct CancelHalfWay(CancellationToken);

impl Observer for CancelHalfWay {
    fn progress(&self, progress: Progress) {
        if progress.size.is_some_and(|size| size > 0 && progress.position >= size / 2) {
            self.0.cancel();
        }
    }
}

#[tokio::test]
async fn a_cancelled_transfer_changes_nothing_and_the_connection_lives() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (old, new, back) = (folder.path().join("old"), folder.path().join("new"), folder.path().join("back"));
    std::fs::write(&old, content(20_000_000)).expect("written");
    std::fs::write(&new, content(20_000_001)).expect("written");
    let never = CancellationToken::new();
    let at = path("/f");
    put(&mut client, PutSource::File(old.clone()), &at, OnExisting::Replace, &Unobserved, &never)
        .await
        .expect("stored");

    let cancel = CancellationToken::new();
    let watch = CancelHalfWay(cancel.clone());
    let refused = put(&mut client, PutSource::File(new), &at, OnExisting::Replace, &watch, &cancel).await;
    assert!(matches!(refused, Err(ClientError::Fault(fault)) if fault.code == FaultCode::Cancelled));

    let cancel = CancellationToken::new();
    let watch = CancelHalfWay(cancel.clone());
    let target = GetTarget::File(back.clone());
    let refused = get(&mut client, &at, target, OnExisting::Refuse, &watch, &cancel).await;
    assert!(matches!(refused, Err(ClientError::Fault(fault)) if fault.code == FaultCode::Cancelled));
    assert!(!back.exists());

    let target = GetTarget::File(back.clone());
    get(&mut client, &at, target, OnExisting::Refuse, &Unobserved, &never).await.expect("fetched");
    assert!(std::fs::read(back).expect("there") == std::fs::read(old).expect("there"));
    server.stop().await;
}

#[tokio::test]
async fn an_existing_local_file_is_not_touched_unasked() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let local = folder.path().join("local");
    std::fs::write(&local, b"mine").expect("written");
    let cancel = CancellationToken::new();
    let source = || PutSource::Stream(Box::new(&b"from a stream"[..]));
    put(&mut client, source(), &path("/f"), OnExisting::Refuse, &Unobserved, &cancel).await.expect("stored");
    let again = put(&mut client, source(), &path("/f"), OnExisting::Refuse, &Unobserved, &cancel).await;
    assert!(matches!(again, Err(ClientError::Fault(fault)) if fault.code == FaultCode::Exists));

    let target = || GetTarget::File(local.clone());
    let refused = get(&mut client, &path("/f"), target(), OnExisting::Refuse, &Unobserved, &cancel).await;
    assert!(matches!(refused, Err(ClientError::LocalExists { .. })));
    assert_eq!(std::fs::read(&local).expect("there"), b"mine");
    get(&mut client, &path("/f"), target(), OnExisting::Replace, &Unobserved, &cancel).await.expect("fetched");
    assert_eq!(std::fs::read(&local).expect("there"), b"from a stream");
}

#[tokio::test]
async fn what_stands_under_the_name_of_a_part_file_is_left_alone() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let cancel = CancellationToken::new();
    let source = PutSource::Stream(Box::new(&b"content"[..]));
    put(&mut client, source, &path("/f"), OnExisting::Replace, &Unobserved, &cancel).await.expect("stored");

    let precious = folder.path().join("precious");
    std::fs::write(&precious, b"precious").expect("written");
    std::os::unix::fs::symlink(&precious, folder.path().join("f.part")).expect("linked");
    std::fs::write(folder.path().join("f.1.part"), b"mine").expect("written");
    let target = || GetTarget::File(folder.path().join("f"));
    get(&mut client, &path("/f"), target(), OnExisting::Refuse, &Unobserved, &cancel).await.expect("fetched");
    let missing = get(&mut client, &path("/no"), target(), OnExisting::Replace, &Unobserved, &cancel).await;
    assert!(matches!(missing, Err(ClientError::Fault(fault)) if fault.code == FaultCode::NotFound));

    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("there");
    assert_eq!(
        (read("precious"), read("f.1.part"), read("f")),
        (b"precious".to_vec(), b"mine".to_vec(), b"content".to_vec())
    );
    assert!(folder.path().join("f.part").is_symlink());
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 4, "nothing of its own is left");
}

#[tokio::test]
async fn a_target_that_cannot_be_made_leaves_the_connection_in_step() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(server.files("alice").join("f"), content(3_000_000)).expect("written");
    let target = GetTarget::File(folder.path().join("missing").join("f"));
    let cancel = CancellationToken::new();
    let refused = get(&mut client, &path("/f"), target, OnExisting::Refuse, &Unobserved, &cancel).await;
    assert!(matches!(refused, Err(ClientError::Local { .. })));
    client.whoami().await.expect("in step");
}

/// Writes into a file that is being sent, as many bytes as before, so many times.
struct Rewrite {
    local: std::path::PathBuf,
    times: std::sync::Mutex<u8>,
}

impl Observer for Rewrite {
    fn progress(&self, progress: Progress) {
        let mut times = self.times.lock().expect("not poisoned");
        if progress.position > 0 && *times > 0 {
            *times -= 1;
            let file = std::fs::File::options().write(true).open(&self.local).expect("there");
            std::os::unix::fs::FileExt::write_all_at(&file, b"another content", 4_900_000).expect("written");
            // The clock of a file system may stand still between two writes, a time that is set does not.
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(*times) + 1);
            file.set_modified(time).expect("set");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_rewritten_while_it_is_sent_is_never_stored_as_a_mixture() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let local = folder.path().join("local");
    std::fs::write(&local, content(5_000_000)).expect("written");
    let cancel = CancellationToken::new();
    // Once: it is sent again, and is then what it is here.
    let watch = Rewrite { local: local.clone(), times: 1.into() };
    let source = PutSource::File(local.clone());
    put(&mut client, source, &path("/f"), OnExisting::Replace, &watch, &cancel).await.expect("stored in the end");
    let stored = server.files("alice").join("f");
    assert!(std::fs::read(&stored).expect("there") == std::fs::read(&local).expect("there"));
    // Again and again: it fails, and what was there stays. It is what the server has, and is to be sent nevertheless.
    client.set_reuse(Reuse::Never);
    let before = std::fs::read(&stored).expect("there");
    let watch = Rewrite { local: local.clone(), times: u8::MAX.into() };
    let source = PutSource::File(local.clone());
    let refused = put(&mut client, source, &path("/f"), OnExisting::Replace, &watch, &cancel).await;
    assert!(matches!(refused, Err(ClientError::Changed { .. })), "{refused:?}");
    assert!(std::fs::read(&stored).expect("there") == before);
    client.whoami().await.expect("in step");
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_sent_is_not_stored() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let local = folder.path().join("local");
    std::fs::write(&local, content(5_000_000)).expect("written");

    /// Makes the file longer when its transfer begins.
    struct Grow(std::path::PathBuf);
    impl Observer for Grow {
        fn progress(&self, progress: Progress) {
            if progress.position == 0 {
                use std::io::Write as _;
                let mut file = std::fs::File::options().append(true).open(&self.0).expect("there");
                file.write_all(b"more").expect("written");
            }
        }
    }

    let cancel = CancellationToken::new();
    let watch = Grow(local.clone());
    let refused = put(&mut client, PutSource::File(local), &path("/f"), OnExisting::Replace, &watch, &cancel).await;
    match refused {
        // Who notices first depends on how the bytes fall; that it is a matter of this machine, or of sizes, does not.
        Err(ClientError::Changed { .. }) => {}
        Err(ClientError::Fault(fault)) => assert_eq!(fault.code, FaultCode::SizeMismatch),
        other => panic!("{other:?}"),
    }
    assert!(client.list(&path("/"), true).await.expect("listed").entries.is_empty());
}
