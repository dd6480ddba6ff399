//! Laws of content that a home has already.

use super::*;

fn long(byte: u8) -> Vec<u8> {
    vec![byte; usize::try_from(KNOWN_LEN_MIN).expect("short")]
}

fn announced(at: &str, existing: Existing) -> UploadSpec {
    UploadSpec { size: Some(KNOWN_LEN_MIN), modified: Some(7), ..spec(at, existing) }
}

laws! {
    /// With all that an upload has: its time, its digest, its version, and every refusal.
    known_content_is_stored_again_without_being_sent(store) {
        let home = home(&store).await;
        let content = long(b'k');
        let digest = Digest::of(&content);
        let known = announced;
        assert_eq!(home.store_known(known("/f", Existing::Replace), digest).await.expect("asked"), None);
        put(&home, "/g", &content).await;
        let stored = home.store_known(known("/f", Existing::Refuse), digest).await.expect("asked").expect("known");
        assert_eq!((stored.size, stored.digest), (KNOWN_LEN_MIN, digest));
        let entry = home.stat(&path("/f")).await.expect("stored");
        assert_eq!((entry.modified, entry.version), (7, Some(stored.version)));
        assert!(get(&home, "/f").await.expect("stored") == content);
        assert_refused!(home.store_known(known("/f", Existing::Refuse), digest).await, StorageError::Exists);
        assert_refused!(home.store_known(known("/no/f", Existing::Refuse), digest).await, StorageError::NotFound);
        home.make_directory(&path("/d")).await.expect("made");
        assert_refused!(home.store_known(known("/d", Existing::Replace), digest).await, StorageError::NotAFile);
        let usage = home.usage().await.expect("counted");
        assert_eq!((usage.bytes, usage.files), (2 * KNOWN_LEN_MIN, 2));
    }

    /// Two files that share content are two files.
    a_clone_stays_whatever_becomes_of_its_source(store) {
        let home = home(&store).await;
        let content = long(b'k');
        put(&home, "/g", &content).await;
        let clone = home.store_known(announced("/f", Existing::Replace), Digest::of(&content)).await.expect("asked");
        assert!(clone.is_some());
        put(&home, "/g", b"another").await;
        assert!(get(&home, "/f").await.expect("stored") == content);
        home.remove(&path("/g"), Removal::Single).await.expect("removed");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// Also where it has the content already: then its time is set, and it is a new version.
    known_content_replaces_what_stands_there(store) {
        let home = home(&store).await;
        let content = long(b'k');
        put(&home, "/g", &content).await;
        put(&home, "/f", b"old").await;
        for at in ["/f", "/g"] {
            let before = home.stat(&path(at)).await.expect("there").version;
            let stored = home.store_known(announced(at, Existing::Replace), Digest::of(&content)).await.expect("asked");
            assert_ne!(Some(stored.expect("known").version), before);
            assert_eq!(home.stat(&path(at)).await.expect("there").modified, 7);
            assert!(get(&home, at).await.expect("stored") == content);
        }
        let usage = home.usage().await.expect("counted");
        assert_eq!((usage.bytes, usage.files), (2 * KNOWN_LEN_MIN, 2));
    }

    /// Another digest, another size, what is gone or was replaced, what is short.
    only_what_is_there_is_known(store) {
        let home = home(&store).await;
        let content = long(b'k');
        let digest = Digest::of(&content);
        put(&home, "/f", &content).await;
        put(&home, "/g", &content).await;
        let wanted = || announced("/h", Existing::Refuse);
        assert_eq!(home.store_known(wanted(), Digest::of(b"")).await.expect("asked"), None);
        let longer = UploadSpec { size: Some(KNOWN_LEN_MIN + 1), ..wanted() };
        assert_eq!(home.store_known(longer, digest).await.expect("asked"), None);
        assert_eq!(home.known_sizes(&[KNOWN_LEN_MIN]).await.expect("asked"), [KNOWN_LEN_MIN]);
        home.remove(&path("/f"), Removal::Single).await.expect("removed");
        put(&home, "/g", b"another").await;
        assert_eq!(home.store_known(wanted(), digest).await.expect("asked"), None);
        assert_eq!(home.known_sizes(&[KNOWN_LEN_MIN]).await.expect("asked"), [0_u64; 0]);
        let short = &content[1..];
        put(&home, "/short", short).await;
        let shorter = UploadSpec { size: Some(KNOWN_LEN_MIN - 1), ..wanted() };
        assert_eq!(home.store_known(shorter, Digest::of(short)).await.expect("asked"), None);
        assert_eq!(home.known_sizes(&[KNOWN_LEN_MIN - 1]).await.expect("asked"), [0_u64; 0]);
        assert_eq!(names(&home, "/", Depth::Tree).await, ["/g", "/short"]);
    }

    /// Each once, in ascending order, whatever else is asked for.
    sizes_are_known_of_what_is_there(store) {
        let home = home(&store).await;
        let mut content = long(b'k');
        content.push(b'k');
        put(&home, "/longer", &content).await;
        for (at, byte) in [("/f", b'1'), ("/g", b'2')] {
            put(&home, at, &long(byte)).await;
        }
        let asked = [0, KNOWN_LEN_MIN + 2, KNOWN_LEN_MIN + 1, KNOWN_LEN_MIN, KNOWN_LEN_MIN + 1, u64::MAX >> 11];
        let known = home.known_sizes(&asked).await.expect("asked");
        assert_eq!(known, [KNOWN_LEN_MIN, KNOWN_LEN_MIN + 1]);
        assert_eq!(home.known_sizes(&[]).await.expect("asked"), [0_u64; 0]);
        let many: Vec<u64> = (0..1000).map(|more| KNOWN_LEN_MIN + more).collect();
        assert_eq!(home.known_sizes(&many).await.expect("asked"), [KNOWN_LEN_MIN, KNOWN_LEN_MIN + 1]);
    }

    /// Whoever has the content, and however often the same is asked.
    what_another_user_has_is_not_known(store) {
        let alice = home(&store).await;
        let bob = store.register(&user("bob"), password()).await.expect("a new account").home;
        let content = long(b'k');
        let digest = Digest::of(&content);
        put(&alice, "/f", &content).await;
        for _ in 0..2 {
            assert_eq!(bob.known_sizes(&[KNOWN_LEN_MIN]).await.expect("asked"), [0_u64; 0]);
            assert_eq!(bob.store_known(announced("/f", Existing::Replace), digest).await.expect("asked"), None);
        }
        assert!(list(&bob, "/", Depth::Tree).await.is_empty());
        // Once it is theirs, it is known to both, and to each by itself.
        put(&bob, "/g", &content).await;
        assert!(bob.store_known(announced("/h", Existing::Refuse), digest).await.expect("asked").is_some());
        alice.remove(&path("/f"), Removal::Single).await.expect("removed");
        assert_eq!(alice.known_sizes(&[KNOWN_LEN_MIN]).await.expect("asked"), [0_u64; 0]);
        assert_eq!(alice.store_known(announced("/f", Existing::Replace), digest).await.expect("asked"), None);
    }

    /// A clone takes as much as an upload; in place of something, the difference.
    known_content_counts_as_an_upload_does(store) {
        let home = home(&store).await;
        let content = long(b'k');
        let digest = Digest::of(&content);
        put(&home, "/f", &content).await;
        put(&home, "/other", &long(b'x')).await;
        let limits = |bytes, files| Limits { bytes: Some(bytes), files: Some(files) };
        let alice = user("alice");
        store.set_limits(&alice, limits(3 * KNOWN_LEN_MIN - 1, 3)).await.expect("set");
        let wanted = |at| announced(at, Existing::Replace);
        let by_one = |outcome| match outcome {
            Err(StorageError::QuotaExceeded { quota: Quota::Bytes, missing, .. }) => missing == 1,
            _ => false,
        };
        assert!(by_one(home.store_known(wanted("/g"), digest).await));
        // In place of another of its size it needs nothing more.
        assert!(home.store_known(wanted("/other"), digest).await.expect("asked").is_some());
        store.set_limits(&alice, limits(3 * KNOWN_LEN_MIN, 2)).await.expect("set");
        let outcome = home.store_known(wanted("/g"), digest).await;
        assert_refused!(outcome, StorageError::QuotaExceeded { quota: Quota::Files, .. });
        store.set_limits(&alice, limits(3 * KNOWN_LEN_MIN, 3)).await.expect("set");
        assert!(home.store_known(wanted("/g"), digest).await.expect("asked").is_some());
        let usage = home.usage().await.expect("counted");
        assert_eq!((usage.bytes, usage.files), (3 * KNOWN_LEN_MIN, 3));
    }
}
