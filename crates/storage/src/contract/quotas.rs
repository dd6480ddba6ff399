//! The laws of quotas.

use super::*;

async fn limit(store: &Store, bytes: Option<u64>, files: Option<u64>) {
    store.set_limits(&user("alice"), Limits { bytes, files }).await.expect("set");
}

async fn used(home: &Arc<dyn Home>) -> (u64, u64) {
    let usage = home.usage().await.expect("known");
    (usage.bytes, usage.files)
}

fn sized(at: &str, size: u64) -> UploadSpec {
    UploadSpec { size: Some(size), ..spec(at, Existing::Replace) }
}

laws! {
    /// Uploads, overwrites, renames with and without replacing, removals of one and of many.
    usage_follows_every_change(store) {
        let home = home(&store).await;
        assert_eq!(used(&home).await, (0, 0));
        home.make_directories(&path("/d/e")).await.expect("made");
        put(&home, "/d/a", b"12345").await;
        put(&home, "/d/e/b", b"123").await;
        assert_eq!(used(&home).await, (8, 2));
        put(&home, "/d/a", b"1").await;
        assert_eq!(used(&home).await, (4, 2));
        home.rename(&path("/d/a"), &path("/c"), Existing::Refuse).await.expect("moved");
        assert_eq!(used(&home).await, (4, 2));
        home.rename(&path("/c"), &path("/d/e/b"), Existing::Replace).await.expect("moved over");
        assert_eq!(used(&home).await, (1, 1));
        put(&home, "/f", b"12").await;
        home.remove(&path("/f"), Removal::Single).await.expect("removed");
        assert_eq!(used(&home).await, (1, 1));
        home.remove(&path("/d"), Removal::Tree).await.expect("removed");
        assert_eq!(used(&home).await, (0, 0));
    }

    /// So two cannot both have the last bytes; what is left goes to whoever fits in.
    a_quota_is_reserved_when_an_upload_begins(store) {
        let home = home(&store).await;
        limit(&store, Some(10), None).await;
        let mut first = home.begin_upload(sized("/a", 6)).await.expect("there is room");
        assert_refused!(
            home.begin_upload(sized("/b", 5)).await.map(drop),
            StorageError::QuotaExceeded { quota: Quota::Bytes, max: 10, missing: 1 }
        );
        let second = home.begin_upload(sized("/b", 4)).await.expect("it fits in");
        drop(second);
        first.write(Bytes::from_static(b"123456")).await.expect("written");
        first.commit(Digest::of(b"123456")).await.expect("stored");
        put_as(&home, sized("/c", 4), b"1234").await.expect("exactly full");
        assert_eq!(used(&home).await, (10, 2));
        put_as(&home, sized("/empty", 0), b"").await.expect("no byte more");
        assert_refused!(put_as(&home, sized("/d", 1), b"1").await, StorageError::QuotaExceeded { missing: 1, .. });
        // Room that is made can be used at once.
        home.remove(&path("/c"), Removal::Single).await.expect("removed");
        put_as(&home, sized("/d", 4), b"1234").await.expect("there is room again");
    }

    /// Also when the file that stands there is the whole quota.
    an_overwrite_counts_the_difference(store) {
        let home = home(&store).await;
        limit(&store, Some(10), Some(1)).await;
        put_as(&home, sized("/a", 10), b"0123456789").await.expect("exactly full");
        put_as(&home, sized("/a", 10), b"9876543210").await.expect("no more than before");
        put_as(&home, spec("/a", Existing::Replace), b"0123456789").await.expect("of unknown size too");
        assert_eq!(used(&home).await, (10, 1));
        let over = home.begin_upload(sized("/a", 11)).await.map(drop);
        assert_refused!(over, StorageError::QuotaExceeded { quota: Quota::Bytes, max: 10, missing: 1 });
        assert_eq!(get(&home, "/a").await.expect("there"), b"0123456789");
    }

    /// The number of files, and bytes as they come.
    a_quota_holds_for_files_and_unknown_sizes(store) {
        let home = home(&store).await;
        limit(&store, Some(10), Some(2)).await;
        put(&home, "/a", b"").await;
        put(&home, "/b", b"").await;
        let third = home.begin_upload(spec("/c", Existing::Replace)).await.map(drop);
        assert_refused!(third, StorageError::QuotaExceeded { quota: Quota::Files, max: 2, missing: 1 });
        let stream = put_as(&home, spec("/a", Existing::Replace), b"0123456789a").await;
        assert_refused!(stream, StorageError::QuotaExceeded { quota: Quota::Bytes, .. });
        assert_eq!(used(&home).await, (0, 2));
        put_as(&home, spec("/a", Existing::Replace), b"0123456789").await.expect("exactly full");
    }

    /// However many of them come to the disk together.
    overwrites_at_once_count_their_differences(store) {
        let home = home(&store).await;
        let names: Vec<_> = (0..9).map(|number| format!("/{number}")).collect();
        for name in &names {
            put(&home, name, b"0123456789").await;
        }
        limit(&store, Some(99), None).await;
        let mut partials = Vec::new();
        for name in &names {
            let mut partial = home.begin_upload(sized(name, 11)).await.expect("there is room");
            partial.write(Bytes::from_static(b"0123456789a")).await.expect("written");
            partials.push(partial);
        }
        let commit = |partial: Box<dyn PartialFile>| tokio::spawn(partial.commit(Digest::of(b"0123456789a")));
        let commits: Vec<_> = partials.into_iter().map(commit).collect();
        for commit in commits {
            commit.await.expect("no panic").expect("stored");
        }
        assert_eq!(used(&home).await, (99, 9));
    }

    /// Whoever is over a lower limit may make room, and take no more.
    what_is_over_a_lower_limit_may_shrink(store) {
        let home = home(&store).await;
        put(&home, "/a", b"0123456789").await;
        put(&home, "/b", b"0123456789").await;
        limit(&store, Some(5), Some(1)).await;
        put_as(&home, sized("/a", 3), b"012").await.expect("less than before");
        put_as(&home, spec("/a", Existing::Replace), b"01").await.expect("less than before");
        let more = put_as(&home, sized("/a", 3), b"012").await;
        assert_refused!(more, StorageError::QuotaExceeded { quota: Quota::Bytes, .. });
        let another = home.begin_upload(sized("/c", 0)).await.map(drop);
        assert_refused!(another, StorageError::QuotaExceeded { quota: Quota::Files, .. });
        assert_eq!(used(&home).await, (12, 2));
    }

    /// Whether it is dropped or refused at its end.
    what_fails_gives_its_reservation_back(store) {
        let home = home(&store).await;
        limit(&store, Some(10), Some(1)).await;
        for _ in 0..3 {
            drop(home.begin_upload(sized("/a", 10)).await.expect("there is room"));
            let mut partial = home.begin_upload(sized("/a", 10)).await.expect("there is room");
            partial.write(Bytes::from_static(b"0123456789")).await.expect("written");
            assert_refused!(partial.commit(Digest::of(b"other")).await, StorageError::DigestMismatch);
        }
        put_as(&home, sized("/a", 10), b"0123456789").await.expect("there is room");
    }
}
