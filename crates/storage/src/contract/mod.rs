//! The laws of [`Accounts`] and [`Home`]: what every back end must do, written once.
//!
//! A back end calls [`crate::storage_contract!`] in a test file; each law becomes a test of its own.

use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{
    Digest, Entry, EntryKind, Limits, PART_LEN, PartHasher, Parts, Password, RemotePath, ResumeKey, Usage, UserName,
};

use crate::{
    Accounts, AccountsError, Depth, Existing, Home, KNOWN_LEN_MIN, PARTS_AHEAD_MAX, PartTaker, PartialFile, Quota,
    Removal, Standing, StorageError, Stored, UploadSpec, WholeFile,
};

/// Makes a test of each law; `$open` is an expression that gives `(store, guard)`: an `Arc<dyn Accounts>` over an empty
/// store, and whatever must outlive it.
#[macro_export]
macro_rules! storage_contract {
    ($open:expr) => {
        $crate::storage_contract! { $open;
            registration_makes_an_empty_home, a_name_is_taken_once, weak_passwords_are_refused,
            refusals_do_not_say_which_half_was_wrong, tokens_work_until_revoked, tokens_are_their_users_alone, kept_logins_are_listed_and_revoked, an_invitation_serves_once,
            homes_are_apart, all_sizes_come_back,
            what_comes_faster_than_it_is_written_keeps_its_order, an_upload_overwrites, whole_files_are_stored_in_their_order, parts_make_the_digest_of_the_whole, parts_come_in_any_order, parts_come_at_the_same_time, each_part_is_checked,
            a_part_is_taken_over, parts_that_are_not_the_whole_store_nothing, what_is_there_without_a_gap_is_kept,
            parts_go_on_behind_a_plain_upload, two_uploads_in_parts_are_apart, uploads_in_parts_take_room,
            not_every_upload_comes_in_parts, parts_do_not_run_ahead, what_was_opened_stays_as_it_was,
            create_refuses_what_stands, of_two_creates_one_wins, of_two_uploads_the_last_commit_wins,
            a_wrong_digest_stores_nothing, a_wrong_size_stores_nothing, an_unknown_size_is_settled_by_the_end,
            a_dropped_upload_stores_nothing, an_interrupted_upload_goes_on_where_it_was,
            only_the_same_upload_is_resumed, what_failed_is_not_resumed, a_second_writer_has_its_own, uploads_need_a_directory, times_are_kept, versions_change_with_content,
            reading_from_an_offset_gives_the_whole_digest, listings_are_one_level_or_all, listing_needs_a_directory,
            stat_tells_what_stands, directories_are_made_once, parents_are_made_on_demand,
            removal_takes_files_and_empty_directories, removal_of_a_tree, the_root_stays, files_move,
            trees_move_with_all_that_is_in_them, only_a_file_is_ever_replaced, moves_into_itself_are_refused,
            a_file_is_no_directory, names_of_all_kinds_work, usage_follows_every_change,
            a_quota_is_reserved_when_an_upload_begins, an_overwrite_counts_the_difference, overwrites_at_once_count_their_differences,
            a_quota_holds_for_files_and_unknown_sizes, what_is_over_a_lower_limit_may_shrink, what_fails_gives_its_reservation_back, files_are_copied,
            trees_are_copied, a_copy_counts, accounts_are_listed, another_password_ends_tokens,
            a_disabled_account_is_refused,
            known_content_is_stored_again_without_being_sent, a_clone_stays_whatever_becomes_of_its_source,
            known_content_replaces_what_stands_there, only_what_is_there_is_known, sizes_are_known_of_what_is_there,
            what_another_user_has_is_not_known, known_content_counts_as_an_upload_does
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

/// Sends of an upload what is not kept of its beginning, drops it, and waits until all of that is kept: its writer may not be
/// done with it yet.
async fn interrupt(home: &Arc<dyn Home>, spec: UploadSpec, beginning: &'static [u8]) {
    let mut partial = home.begin_upload(spec.clone()).await.expect("begun");
    let kept = usize::try_from(partial.offset()).expect("short");
    partial.write(Bytes::from_static(&beginning[kept..])).await.expect("written");
    drop(partial);
    while home.begin_upload(spec.clone()).await.expect("begun").offset() < beginning.len() as u64 {
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
    while let Some(data) = file.read().await? {
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

mod accounts;
mod copies;
mod homes;
mod known;
mod parts;
mod quotas;
mod uploads;

pub use self::accounts::*;
pub use self::copies::*;
pub use self::homes::*;
pub use self::known::*;
pub use self::parts::*;
pub use self::quotas::*;
pub use self::uploads::*;
