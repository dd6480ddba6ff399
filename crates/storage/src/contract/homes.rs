//! The laws of [`Home`].

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

    /// With something shorter too.
    an_upload_overwrites(store) {
        let home = home(&store).await;
        put(&home, "/f", b"the long old content").await;
        put(&home, "/f", b"new").await;
        assert_eq!(get(&home, "/f").await.expect("stored"), b"new");
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/f"]);
    }

    /// A reader sees one version from beginning to end.
    what_was_opened_stays_as_it_was(store) {
        let home = home(&store).await;
        put(&home, "/f", b"old").await;
        let mut opened = home.open(&path("/f"), 0).await.expect("stored");
        put(&home, "/f", b"something new").await;
        assert_eq!(opened.read().await.expect("readable"), Some(Bytes::from_static(b"old")));
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

    /// Before 1970 too.
    times_are_kept(store) {
        let home = home(&store).await;
        for modified in [1_760_000_000_123, 0, -1, -1_234_567] {
            let spec = UploadSpec { modified: Some(modified), ..spec("/f", Existing::Replace) };
            put_as(&home, spec, b"").await.expect("stored");
            assert_eq!(home.stat(&path("/f")).await.expect("stored").modified, modified);
        }
    }

    /// The version of the reply is the one that listings show.
    versions_change_with_content(store) {
        let home = home(&store).await;
        let one = put(&home, "/f", b"one").await;
        assert_eq!(home.stat(&path("/f")).await.expect("stored").version, Some(one.version.clone()));
        let two = put(&home, "/f", b"two").await;
        assert_ne!(one.version, two.version);
        assert_eq!(list(&home, "/", Depth::OneLevel).await[0].version, Some(two.version));
        // Also where size and time are the same, and the disk uses an inode again.
        let mut seen = std::collections::HashSet::new();
        for content in [b"aaa", b"bbb", b"ccc", b"ddd", b"eee"] {
            let spec = UploadSpec { modified: Some(0), ..spec("/f", Existing::Replace) };
            assert!(seen.insert(put_as(&home, spec, content).await.expect("stored").version));
        }
    }

    /// From everywhere up to the end, and not beyond it.
    reading_from_an_offset_gives_the_whole_digest(store) {
        let home = home(&store).await;
        let content = vec![b'x'; 600_000];
        put(&home, "/f", &content).await;
        for offset in [0, 1, 262_143, 262_144, 262_145, 599_999, 600_000] {
            let mut file = home.open(&path("/f"), offset).await.expect("stored");
            let mut left = 600_000 - offset;
            while let Some(data) = file.read().await.expect("readable") {
                left -= data.len() as u64;
            }
            assert_eq!((left, file.digest()), (0, Digest::of(&content)), "{offset}");
        }
        assert_refused!(home.open(&path("/f"), 600_001).await, StorageError::Changed);
    }

    /// With a sibling whose name begins alike.
    listings_are_one_level_or_all(store) {
        let home = home(&store).await;
        home.make_directories(&path("/a/b")).await.expect("made");
        home.make_directory(&path("/ab")).await.expect("made");
        put(&home, "/a/b/f", b"").await;
        put(&home, "/a/g", b"12").await;
        assert_eq!(names(&home, "/", Depth::OneLevel).await, ["/a", "/ab"]);
        assert_eq!(names(&home, "/a", Depth::OneLevel).await, ["/a/b", "/a/g"]);
        assert_eq!(names(&home, "/a", Depth::Tree).await, ["/a/b", "/a/b/f", "/a/g"]);
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/a", "/a/b", "/a/b/f", "/a/g", "/ab"]);
        let file = &list(&home, "/a", Depth::OneLevel).await[1];
        assert_eq!((file.kind, file.size), (EntryKind::File, 2));
    }

    /// A file is none, and nothing is none.
    listing_needs_a_directory(store) {
        let home = home(&store).await;
        put(&home, "/f", b"").await;
        assert_refused!(home.list(&path("/f"), Depth::OneLevel).await, StorageError::NotADirectory);
        assert_refused!(home.list(&path("/no"), Depth::OneLevel).await, StorageError::NotFound);
    }

    /// Kind, size, and where nothing does.
    stat_tells_what_stands(store) {
        let home = home(&store).await;
        put(&home, "/f", b"12345").await;
        let entry = home.stat(&path("/f")).await.expect("stored");
        assert_eq!((entry.path, entry.kind, entry.size), (path("/f"), EntryKind::File, 5));
        assert_refused!(home.stat(&path("/g")).await, StorageError::NotFound);
        assert_refused!(home.stat(&path("/no/g")).await, StorageError::NotFound);
    }

    /// And not below what is missing.
    directories_are_made_once(store) {
        let home = home(&store).await;
        home.make_directory(&path("/d")).await.expect("made");
        assert_refused!(home.make_directory(&path("/d")).await, StorageError::Exists);
        assert_refused!(home.make_directory(&path("/")).await, StorageError::Exists);
        assert_refused!(home.make_directory(&path("/no/d")).await, StorageError::NotFound);
    }

    /// What exists on the way is no error, unless it is a file.
    parents_are_made_on_demand(store) {
        let home = home(&store).await;
        home.make_directories(&path("/a/b/c")).await.expect("made");
        home.make_directories(&path("/a/b/d")).await.expect("made");
        home.make_directories(&path("/a/b/d")).await.expect("there already");
        put(&home, "/f", b"").await;
        assert_refused!(home.make_directories(&path("/f/d")).await, StorageError::NotADirectory);
        assert_refused!(home.make_directories(&path("/f")).await, StorageError::NotADirectory);
        assert_eq!(names(&home, "/a/b", Depth::OneLevel).await, ["/a/b/c", "/a/b/d"]);
    }

    /// And nothing that holds something.
    removal_takes_files_and_empty_directories(store) {
        let home = home(&store).await;
        home.make_directory(&path("/d")).await.expect("made");
        put(&home, "/d/f", b"").await;
        assert_refused!(home.remove(&path("/d"), Removal::Single).await, StorageError::NotEmpty);
        home.remove(&path("/d/f"), Removal::Single).await.expect("a file");
        home.remove(&path("/d"), Removal::Single).await.expect("empty now");
        assert_refused!(home.remove(&path("/d"), Removal::Single).await, StorageError::NotFound);
        assert!(list(&home, "/", Depth::Tree).await.is_empty());
    }

    /// Its siblings stay.
    removal_of_a_tree(store) {
        let home = home(&store).await;
        home.make_directories(&path("/a/b/c")).await.expect("made");
        put(&home, "/a/b/c/f", b"").await;
        put(&home, "/a/b/g", b"").await;
        put(&home, "/ab", b"").await;
        home.remove(&path("/a"), Removal::Tree).await.expect("a tree");
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/ab"]);
        home.remove(&path("/ab"), Removal::Tree).await.expect("a file is a tree of one");
    }

    /// Whatever is asked of it.
    the_root_stays(store) {
        let home = home(&store).await;
        assert_refused!(home.remove(&path("/"), Removal::Single).await, StorageError::IsRoot);
        assert_refused!(home.remove(&path("/"), Removal::Tree).await, StorageError::IsRoot);
        assert_refused!(home.rename(&path("/"), &path("/d"), Existing::Refuse).await, StorageError::IsRoot);
        put(&home, "/f", b"").await;
        assert_refused!(home.rename(&path("/f"), &path("/"), Existing::Replace).await, StorageError::IsRoot);
        assert_refused!(home.open(&path("/"), 0).await, StorageError::NotAFile);
    }

    /// Over another only when told.
    files_move(store) {
        let home = home(&store).await;
        put(&home, "/f", b"f").await;
        put(&home, "/g", b"g").await;
        assert_refused!(home.rename(&path("/f"), &path("/g"), Existing::Refuse).await, StorageError::Exists);
        home.rename(&path("/f"), &path("/h"), Existing::Refuse).await.expect("moved");
        home.rename(&path("/h"), &path("/g"), Existing::Replace).await.expect("moved over");
        assert_eq!(get(&home, "/g").await.expect("there"), b"f");
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/g"]);
        home.rename(&path("/g"), &path("/g"), Existing::Refuse).await.expect("to where it is");
        assert_refused!(home.rename(&path("/no"), &path("/x"), Existing::Refuse).await, StorageError::NotFound);
        assert_refused!(home.rename(&path("/g"), &path("/no/g"), Existing::Refuse).await, StorageError::NotFound);
    }

    /// Into another directory too.
    trees_move_with_all_that_is_in_them(store) {
        let home = home(&store).await;
        home.make_directories(&path("/a/b")).await.expect("made");
        home.make_directory(&path("/c")).await.expect("made");
        put(&home, "/a/b/f", b"f").await;
        home.rename(&path("/a"), &path("/c/d"), Existing::Refuse).await.expect("moved");
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/c", "/c/d", "/c/d/b", "/c/d/b/f"]);
        assert_eq!(get(&home, "/c/d/b/f").await.expect("there"), b"f");
    }

    /// Never a directory, empty or not.
    only_a_file_is_ever_replaced(store) {
        let home = home(&store).await;
        home.make_directory(&path("/d")).await.expect("made");
        home.make_directory(&path("/e")).await.expect("made");
        put(&home, "/f", b"").await;
        assert_refused!(home.rename(&path("/f"), &path("/d"), Existing::Replace).await, StorageError::Exists);
        assert_refused!(home.rename(&path("/e"), &path("/d"), Existing::Replace).await, StorageError::Exists);
        assert_refused!(home.rename(&path("/e"), &path("/f"), Existing::Replace).await, StorageError::Exists);
    }

    /// At any depth.
    moves_into_itself_are_refused(store) {
        let home = home(&store).await;
        home.make_directories(&path("/a/b")).await.expect("made");
        assert_refused!(home.rename(&path("/a"), &path("/a/c"), Existing::Refuse).await, StorageError::IntoItself);
        assert_refused!(home.rename(&path("/a"), &path("/a/b/c"), Existing::Refuse).await, StorageError::IntoItself);
    }

    /// On the way or at the end.
    a_file_is_no_directory(store) {
        let home = home(&store).await;
        put(&home, "/f", b"").await;
        assert_refused!(home.stat(&path("/f/g")).await, StorageError::NotADirectory);
        assert_refused!(home.open(&path("/f/g"), 0).await, StorageError::NotADirectory);
        assert_refused!(home.remove(&path("/f/g"), Removal::Single).await, StorageError::NotADirectory);
        home.make_directory(&path("/d")).await.expect("made");
        assert_refused!(home.open(&path("/d"), 0).await, StorageError::NotAFile);
    }

    /// Spaces, brackets, quotes, Chinese, an emoji, the longest.
    names_of_all_kinds_work(store) {
        let home = home(&store).await;
        let longest = "x".repeat(netdisk_model::COMPONENT_LEN_MAX);
        let mut all = Vec::new();
        for name in ["a b", "[x] (y) {z}", "it's \"here\"", "夏天 文件", "🎉👩‍👧", "-rf", "*?", "$HOME", "...", &longest] {
            put(&home, &format!("/{name}"), name.as_bytes()).await;
            assert_eq!(get(&home, &format!("/{name}")).await.expect("stored"), name.as_bytes());
            all.push(format!("/{name}"));
        }
        all.sort();
        assert_eq!(names(&home, "/", Depth::OneLevel).await, all);
    }
}
