//! The laws of [`Home`].

use super::*;

laws! {
    /// A reader sees one version from beginning to end.
    what_was_opened_stays_as_it_was(store) {
        let home = home(&store).await;
        put(&home, "/f", b"old").await;
        let mut opened = home.open(&path("/f"), 0).await.expect("stored");
        put(&home, "/f", b"something new").await;
        assert_eq!(opened.read().await.expect("readable"), Some(Bytes::from_static(b"old")));
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
