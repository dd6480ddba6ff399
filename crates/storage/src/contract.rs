//! The laws of [`Accounts`] and [`Home`]: what every back end must do, written once.
//!
//! A back end calls [`crate::storage_contract!`] in a test file; each law becomes a test of its own.

use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{Digest, Entry, EntryKind, Password, RemotePath, ResumeKey, UserName};

use crate::{Accounts, AccountsError, Depth, Existing, Home, Removal, StorageError, Stored, UploadSpec};

/// Makes a test of each law; `$open` is an expression that gives `(store, guard)`: an `Arc<dyn Accounts>` over an empty
/// store, and whatever must outlive it.
#[macro_export]
macro_rules! storage_contract {
    ($open:expr) => {
        $crate::storage_contract! { $open;
            registration_makes_an_empty_home, a_name_is_taken_once, weak_passwords_are_refused,
            refusals_do_not_say_which_half_was_wrong, tokens_work_until_revoked, tokens_are_their_users_alone,
            homes_are_apart, all_sizes_come_back, an_upload_overwrites, what_was_opened_stays_as_it_was,
            create_refuses_what_stands, of_two_creates_one_wins, of_two_uploads_the_last_commit_wins,
            a_wrong_digest_stores_nothing, a_wrong_size_stores_nothing, an_unknown_size_is_settled_by_the_end,
            a_dropped_upload_stores_nothing, an_interrupted_upload_goes_on_where_it_was,
            only_the_same_upload_is_resumed, what_failed_is_not_resumed, a_second_writer_begins_anew, uploads_need_a_directory, times_are_kept, versions_change_with_content,
            reading_from_an_offset_gives_the_whole_digest, listings_are_one_level_or_all, listing_needs_a_directory,
            stat_tells_what_stands, directories_are_made_once, parents_are_made_on_demand,
            removal_takes_files_and_empty_directories, removal_of_a_tree, the_root_stays, files_move,
            trees_move_with_all_that_is_in_them, only_a_file_is_ever_replaced, moves_into_itself_are_refused,
            a_file_is_no_directory, names_of_all_kinds_work
        }
    };
    ($open:expr; $($law:ident),*) => {$(
        #[tokio::test]
        async fn $law() {
            let (store, guard) = $open;
            $crate::contract::$law(store).await;
            drop(guard);
        }
    )*};
}

type Store = Arc<dyn Accounts>;

fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

fn user(name: &str) -> UserName {
    name.parse().expect("a user name")
}

fn password() -> Password {
    Password::new("correct horse")
}

async fn home(store: &Store) -> Arc<dyn Home> {
    store.register(&user("alice"), password()).await.expect("a new account").home
}

fn spec(at: &str, existing: Existing) -> UploadSpec {
    UploadSpec { path: path(at), size: None, modified: None, existing, resume: None }
}

/// An upload of `/f` that can be resumed.
fn resumable(size: u64, key: &str) -> UploadSpec {
    UploadSpec {
        size: Some(size),
        resume: Some(key.parse::<ResumeKey>().expect("a key")),
        ..spec("/f", Existing::Replace)
    }
}

/// Begins an upload, writes to it and drops it; then waits until what was written can be seen.
async fn interrupt(home: &Arc<dyn Home>, spec: UploadSpec, content: &'static [u8]) {
    let mut partial = home.begin_upload(spec.clone()).await.expect("begun");
    let at = partial.offset() + content.len() as u64;
    partial.write(Bytes::from_static(content)).await.expect("written");
    drop(partial);
    // The last write may still be under way.
    while home.begin_upload(spec.clone()).await.expect("begun").offset() != at {
        tokio::task::yield_now().await;
    }
}

async fn put_as(home: &Arc<dyn Home>, spec: UploadSpec, content: &[u8]) -> Result<Stored, StorageError> {
    let mut partial = home.begin_upload(spec).await?;
    for chunk in content.chunks(100_000) {
        partial.write(Bytes::copy_from_slice(chunk)).await?;
    }
    partial.commit(Digest::of(content)).await
}

async fn put(home: &Arc<dyn Home>, at: &str, content: &[u8]) -> Stored {
    put_as(home, spec(at, Existing::Replace), content).await.expect("an upload that must succeed")
}

async fn get(home: &Arc<dyn Home>, at: &str) -> Result<Vec<u8>, StorageError> {
    let mut file = home.open(&path(at), 0).await?;
    let mut content = Vec::new();
    loop {
        let data = file.read().await?;
        if data.is_empty() {
            break;
        }
        content.extend_from_slice(&data);
    }
    assert_eq!(file.digest(), Digest::of(&content));
    assert_eq!(file.entry().size, content.len() as u64);
    Ok(content)
}

async fn list(home: &Arc<dyn Home>, at: &str, depth: Depth) -> Vec<Entry> {
    let mut listing = home.list(&path(at), depth).await.expect("a directory");
    let mut entries = Vec::new();
    loop {
        let batch = listing.next_batch().await.expect("a good disk");
        if batch.is_empty() {
            break;
        }
        entries.extend(batch);
    }
    assert_eq!(listing.skipped(), 0);
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

async fn names(home: &Arc<dyn Home>, at: &str, depth: Depth) -> Vec<String> {
    list(home, at, depth).await.into_iter().map(|entry| entry.path.to_string()).collect()
}

macro_rules! assert_refused {
    ($outcome:expr, $pattern:pat) => {
        match $outcome {
            Err($pattern) => {}
            Err(other) => panic!("refused for another reason: {other:?}"),
            Ok(_) => panic!("not refused"),
        }
    };
}

macro_rules! laws {
    ($($(#[$doc:meta])* $name:ident($store:ident) $body:block)*) => {$(
        $(#[$doc])*
        pub async fn $name($store: Store) $body
    )*};
}

laws! {
    /// A new account has a home with nothing in it.
    registration_makes_an_empty_home(store) {
        let account = store.register(&user("alice"), password()).await.expect("a new account");
        assert_eq!(account.user, user("alice"));
        assert!(list(&account.home, "/", Depth::Tree).await.is_empty());
        assert_eq!(account.home.stat(&path("/")).await.expect("the root").kind, EntryKind::Directory);
    }

    /// Also when two register at once.
    a_name_is_taken_once(store) {
        let (alice, secret) = (user("alice"), password());
        let (one, two) = tokio::join!(store.register(&alice, secret.clone()), store.register(&alice, secret));
        assert_eq!([&one, &two].iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_refused!(one.and(two), AccountsError::NameTaken);
        assert_refused!(store.register(&alice, password()).await, AccountsError::NameTaken);
    }

    /// And no account comes of it.
    weak_passwords_are_refused(store) {
        assert_refused!(store.register(&user("alice"), Password::new("short")).await, AccountsError::BadPassword(_));
        assert_refused!(store.log_in(&user("alice"), Password::new("short")).await, AccountsError::Refused);
    }

    /// Wrong password and unknown user are one error.
    refusals_do_not_say_which_half_was_wrong(store) {
        home(&store).await;
        assert_refused!(store.log_in(&user("alice"), Password::new("wrong horse")).await, AccountsError::Refused);
        assert_refused!(store.log_in(&user("nobody"), password()).await, AccountsError::Refused);
        assert!(store.log_in(&user("alice"), password()).await.is_ok());
    }

    /// Revoking one leaves the other.
    tokens_work_until_revoked(store) {
        home(&store).await;
        let alice = user("alice");
        let one = store.issue_token(&alice).await.expect("a token");
        let two = store.issue_token(&alice).await.expect("a token");
        assert_ne!(one, two);
        assert!(store.log_in_by_token(&alice, &one).await.is_ok());
        store.revoke_token(&one).await.expect("revoked");
        assert_refused!(store.log_in_by_token(&alice, &one).await, AccountsError::Refused);
        assert!(store.log_in_by_token(&alice, &two).await.is_ok());
        store.revoke_token(&one).await.expect("twice is no error");
    }

    /// A token opens no other door, and a made-up one none.
    tokens_are_their_users_alone(store) {
        home(&store).await;
        store.register(&user("bob"), password()).await.expect("a new account");
        let token = store.issue_token(&user("alice")).await.expect("a token");
        assert_refused!(store.log_in_by_token(&user("bob"), &token).await, AccountsError::Refused);
        let made_up = "not a token".parse().expect("any text");
        assert_refused!(store.log_in_by_token(&user("alice"), &made_up).await, AccountsError::Refused);
    }

    /// What one user stores, another does not see, under the same path.
    homes_are_apart(store) {
        let alice = home(&store).await;
        let bob = store.register(&user("bob"), password()).await.expect("a new account").home;
        put(&alice, "/a", b"hers").await;
        assert_refused!(get(&bob, "/a").await, StorageError::NotFound);
        put(&bob, "/a", b"his").await;
        assert_eq!(get(&alice, "/a").await.expect("hers"), b"hers");
        let again = store.log_in(&user("alice"), password()).await.expect("logged in").home;
        assert_eq!(get(&again, "/a").await.expect("hers"), b"hers");
    }

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
        assert_eq!(opened.read().await.expect("readable"), &b"old"[..]);
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
        interrupt(&home, resumable(9, "key"), b"two").await;
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

    /// Nobody writes into the upload of another.
    a_second_writer_begins_anew(store) {
        let home = home(&store).await;
        interrupt(&home, resumable(6, "key"), b"one").await;
        let mut first = home.begin_upload(resumable(6, "key")).await.expect("begun");
        let mut second = home.begin_upload(resumable(6, "key")).await.expect("begun");
        assert_eq!((first.offset(), second.offset()), (3, 0));
        first.write(Bytes::from_static(b"two")).await.expect("written");
        second.write(Bytes::from_static(b"ONETWO")).await.expect("written");
        first.commit(Digest::of(b"onetwo")).await.expect("whole");
        second.commit(Digest::of(b"ONETWO")).await.expect("whole");
        assert_eq!(get(&home, "/f").await.expect("stored"), b"ONETWO");
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
            loop {
                let data = file.read().await.expect("readable");
                if data.is_empty() {
                    break;
                }
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
