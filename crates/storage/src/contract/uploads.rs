//! The laws of uploads.

use super::*;

laws! {
    /// Empty, one byte, around a read's length, several reads.
    all_sizes_come_back(store) {
        let home = home(&store).await;
        for size in [0, 1, 262_143, 262_144, 262_145, 1_000_000] {
            let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
            let stored = put(&home, "/f", &content).await;
            assert_eq!((stored.size, stored.digest), (size as u64, Digest::of(&content)));
            assert!(get(&home, "/f").await.expect("stored") == content, "{size}");
        }
    }

    /// However far the disk is behind: nothing is left out, and nothing overtakes.
    what_comes_faster_than_it_is_written_keeps_its_order(store) {
        let home = home(&store).await;
        let chunks: Vec<Bytes> = (0..100).map(|number: u8| vec![number; 1 + usize::from(number) * 997].into()).collect();
        let mut upload = home.begin_upload(spec("/f", Existing::Replace)).await.expect("begun");
        for chunk in &chunks {
            upload.write(chunk.clone()).await.expect("written");
        }
        let content = chunks.concat();
        upload.commit(Digest::of(&content)).await.expect("whole");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// With something shorter too.
    an_upload_overwrites(store) {
        let home = home(&store).await;
        put(&home, "/f", b"the long old content").await;
        put(&home, "/f", b"new").await;
        assert_eq!(get(&home, "/f").await.expect("stored"), b"new");
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/f"]);
    }

    /// At the beginning, when it is known.
    create_refuses_what_stands(store) {
        let home = home(&store).await;
        put_as(&home, spec("/f", Existing::Refuse), b"first").await.expect("nothing stood there");
        assert_refused!(home.begin_upload(spec("/f", Existing::Refuse)).await, StorageError::Exists);
        assert_eq!(get(&home, "/f").await.expect("stored"), b"first");
    }

    /// And at the commit, when it was not.
    of_two_creates_one_wins(store) {
        let home = home(&store).await;
        let one = home.begin_upload(spec("/f", Existing::Refuse)).await.expect("nothing stands there");
        let two = home.begin_upload(spec("/f", Existing::Refuse)).await.expect("nothing stands there");
        two.commit(Digest::of(b"")).await.expect("the first to commit");
        assert_refused!(one.commit(Digest::of(b"")).await, StorageError::Exists);
    }

    /// Both end whole.
    of_two_uploads_the_last_commit_wins(store) {
        let home = home(&store).await;
        let mut one = home.begin_upload(spec("/f", Existing::Replace)).await.expect("begun");
        let mut two = home.begin_upload(spec("/f", Existing::Replace)).await.expect("begun");
        one.write(Bytes::from_static(b"one")).await.expect("written");
        two.write(Bytes::from_static(b"two")).await.expect("written");
        two.commit(Digest::of(b"two")).await.expect("whole");
        assert_eq!(get(&home, "/f").await.expect("stored"), b"two");
        one.commit(Digest::of(b"one")).await.expect("whole");
        assert_eq!(get(&home, "/f").await.expect("stored"), b"one");
    }

    /// The old file stays whole.
    a_wrong_digest_stores_nothing(store) {
        let home = home(&store).await;
        put(&home, "/f", b"old").await;
        let mut partial = home.begin_upload(spec("/f", Existing::Replace)).await.expect("begun");
        partial.write(Bytes::from_static(b"new")).await.expect("written");
        assert_refused!(partial.commit(Digest::of(b"other")).await, StorageError::DigestMismatch);
        assert_eq!(get(&home, "/f").await.expect("stored"), b"old");
    }

    /// One byte short, one byte over.
    a_wrong_size_stores_nothing(store) {
        let home = home(&store).await;
        let declared = UploadSpec { size: Some(3), ..spec("/f", Existing::Replace) };
        assert_refused!(put_as(&home, declared.clone(), b"12").await, StorageError::SizeMismatch { declared: 3, actual: 2 });
        assert_refused!(put_as(&home, declared.clone(), b"1234").await, StorageError::SizeMismatch { declared: 3, .. });
        assert_refused!(get(&home, "/f").await, StorageError::NotFound);
        put_as(&home, declared, b"123").await.expect("as declared");
    }

    /// A stream has no size before its end.
    an_unknown_size_is_settled_by_the_end(store) {
        let home = home(&store).await;
        assert_eq!(put(&home, "/f", b"from a stream").await.size, 13);
    }

    /// Nor is it seen while it is under way.
    a_dropped_upload_stores_nothing(store) {
        let home = home(&store).await;
        let mut partial = home.begin_upload(spec("/f", Existing::Replace)).await.expect("begun");
        partial.write(Bytes::from_static(b"half")).await.expect("written");
        assert_eq!(partial.offset(), 4);
        assert!(list(&home, "/", Depth::Tree).await.is_empty());
        drop(partial);
        assert!(list(&home, "/", Depth::Tree).await.is_empty());
    }

    /// Twice, and the digest covers all of it.
    an_interrupted_upload_goes_on_where_it_was(store) {
        let home = home(&store).await;
        interrupt(&home, resumable(9, "key"), b"one").await;
        interrupt(&home, resumable(9, "key"), b"onetwo").await;
        assert!(list(&home, "/", Depth::Tree).await.is_empty());
        let mut partial = home.begin_upload(resumable(9, "key")).await.expect("begun");
        assert_eq!(partial.offset(), 6);
        partial.write(Bytes::from_static(b"six")).await.expect("written");
        let stored = partial.commit(Digest::of(b"onetwosix")).await.expect("whole");
        assert_eq!(stored.size, 9);
        assert_eq!(get(&home, "/f").await.expect("stored"), b"onetwosix");
        let next = home.begin_upload(resumable(9, "key")).await.expect("begun");
        assert_eq!(next.offset(), 0, "what was committed is no longer open");
    }

    /// Another content, another size, another path, another user: from the start.
    only_the_same_upload_is_resumed(store) {
        let home = home(&store).await;
        interrupt(&home, resumable(9, "key"), b"one").await;
        let elsewhere = UploadSpec { path: path("/g"), ..resumable(9, "key") };
        for other in [resumable(9, "other"), resumable(8, "key"), elsewhere, spec("/f", Existing::Replace)] {
            assert_eq!(home.begin_upload(other).await.expect("begun").offset(), 0);
        }
        let bob = store.register(&user("bob"), password()).await.expect("a new account").home;
        assert_eq!(bob.begin_upload(resumable(9, "key")).await.expect("begun").offset(), 0);
        assert_eq!(home.begin_upload(resumable(9, "key")).await.expect("begun").offset(), 3);
    }

    /// A wrong digest may mean a wrong prefix: the next try begins anew.
    what_failed_is_not_resumed(store) {
        let home = home(&store).await;
        interrupt(&home, resumable(6, "key"), b"one").await;
        let mut partial = home.begin_upload(resumable(6, "key")).await.expect("begun");
        partial.write(Bytes::from_static(b"two")).await.expect("written");
        assert_refused!(partial.commit(Digest::of(b"ONEtwo")).await, StorageError::DigestMismatch);
        assert_eq!(home.begin_upload(resumable(6, "key")).await.expect("begun").offset(), 0);
    }

    /// Nobody writes into the upload of another, and both end whole.
    a_second_writer_has_its_own(store) {
        let home = home(&store).await;
        interrupt(&home, resumable(6, "key"), b"one").await;
        let mut first = home.begin_upload(resumable(6, "key")).await.expect("begun");
        let mut second = home.begin_upload(resumable(6, "key")).await.expect("begun");
        assert_eq!(first.offset(), 3);
        // It may know what the first one has.
        let at = usize::try_from(second.offset()).expect("short");
        assert!(matches!(at, 0 | 3));
        second.write(Bytes::from_static(&b"onetwo"[at..at + 1])).await.expect("written");
        first.write(Bytes::from_static(b"two")).await.expect("written");
        second.write(Bytes::from_static(&b"onetwo"[at + 1..])).await.expect("written");
        first.commit(Digest::of(b"onetwo")).await.expect("whole");
        assert_eq!(get(&home, "/f").await.expect("stored"), b"onetwo");
        second.commit(Digest::of(b"onetwo")).await.expect("whole");
        assert_eq!(get(&home, "/f").await.expect("stored"), b"onetwo");
    }

    /// Each as if it came alone, the second at a path over the first; one that is refused spoils no other.
    whole_files_are_stored_in_their_order(store) {
        let home = home(&store).await;
        home.make_directory(&path("/d")).await.expect("made");
        put(&home, "/old", b"old").await;
        let whole = |at: &str, existing, data: &'static [u8]| WholeFile {
            spec: UploadSpec { size: Some(data.len() as u64), modified: Some(1), ..spec(at, existing) },
            data: Bytes::from_static(data),
            claimed: Digest::of(data),
        };
        let mut wrong_digest = whole("/digest", Existing::Replace, b"digest");
        wrong_digest.claimed = Digest::of(b"another");
        let mut wrong_size = whole("/size", Existing::Replace, b"size");
        wrong_size.spec.size = Some(5);
        let outcomes = home.store(vec![
            whole("/d/f", Existing::Replace, b"one"),
            whole("/d/f", Existing::Replace, b"twice"),
            whole("/d/f", Existing::Refuse, b"refused"),
            wrong_digest,
            wrong_size,
            whole("/no/f", Existing::Replace, b"no"),
            whole("/d", Existing::Replace, b"d"),
            whole("/old", Existing::Replace, b""),
        ]);
        let mut outcomes = outcomes.await.into_iter();
        let mut next = || outcomes.next().expect("an outcome of each");
        assert_eq!(next().expect("stored").size, 3);
        let stored = next().expect("stored over it");
        assert_eq!((stored.size, stored.digest), (5, Digest::of(b"twice")));
        assert_refused!(next(), StorageError::Exists);
        assert_refused!(next(), StorageError::DigestMismatch);
        assert_refused!(next(), StorageError::SizeMismatch { declared: 5, actual: 4 });
        assert_refused!(next(), StorageError::NotFound);
        assert_refused!(next(), StorageError::NotAFile);
        assert_eq!(next().expect("stored").size, 0);
        assert!(outcomes.next().is_none());
        assert_eq!(get(&home, "/d/f").await.expect("stored"), b"twice");
        assert_eq!(home.stat(&path("/d/f")).await.expect("stored").version, Some(stored.version));
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/d", "/d/f", "/old"]);
        let usage = home.usage().await.expect("counted");
        assert_eq!((usage.bytes, usage.files), (5, 2));
    }

    /// One that exists, and nothing but a file or nothing at the path.
    uploads_need_a_directory(store) {
        let home = home(&store).await;
        assert_refused!(home.begin_upload(spec("/no/f", Existing::Replace)).await, StorageError::NotFound);
        put(&home, "/f", b"").await;
        assert_refused!(home.begin_upload(spec("/f/g", Existing::Replace)).await, StorageError::NotADirectory);
        home.make_directory(&path("/d")).await.expect("made");
        assert_refused!(home.begin_upload(spec("/d", Existing::Replace)).await, StorageError::NotAFile);
        assert_refused!(home.begin_upload(spec("/", Existing::Replace)).await, StorageError::NotAFile);
    }
}
