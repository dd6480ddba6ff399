//! What time does to tokens and password hashes, seen in the database itself.

use std::path::Path;

use netdisk_model::{Password, UserName};
use netdisk_storage::{Accounts as _, AccountsError, DiskStore};
use rusqlite::{Connection, params};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn database(data: &Path) -> Connection {
    Connection::open(data.join("netdisk.db")).expect("a database")
}

fn used_at(data: &Path) -> i64 {
    database(data).query_row("SELECT used_at FROM tokens", [], |row| row.get(0)).expect("a token")
}

fn age(data: &Path, days: i64) {
    let aged = database(data).execute("UPDATE tokens SET used_at = used_at - ?1", params![days * DAY_MS]);
    assert_eq!(aged.expect("aged"), 1);
}

#[tokio::test]
async fn a_token_expires_when_it_is_not_used() {
    let data = tempfile::tempdir().expect("a directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let alice: UserName = "alice".parse().expect("a name");
    store.register(&alice, Password::new("correct horse")).await.expect("a new account");
    let token = store.issue_token(&alice).await.expect("a token");
    let given = used_at(data.path());
    store.log_in_by_token(&alice, &token).await.expect("good");
    assert_eq!(used_at(data.path()), given, "no write for each login");

    age(data.path(), 89);
    store.log_in_by_token(&alice, &token).await.expect("good still");
    assert!(used_at(data.path()) >= given, "and for another while, because it was used");

    age(data.path(), 90);
    assert!(matches!(store.log_in_by_token(&alice, &token).await, Err(AccountsError::Refused)));
    assert!(store.kept_logins(&alice).await.expect("listed").is_empty());
    store.maintain().await;
    let left: i64 =
        database(data.path()).query_row("SELECT count(*) FROM tokens", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_hash_of_other_days_is_renewed_at_login() {
    let data = tempfile::tempdir().expect("a directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let alice: UserName = "alice".parse().expect("a name");
    store.register(&alice, Password::new("correct horse")).await.expect("a new account");
    // `correct horse` by argon2id with 8 MiB and one pass.
    let weak = {
        use argon2::password_hash::PasswordHasher as _;
        let params = argon2::Params::new(8 * 1024, 1, 1, None).expect("parameters");
        let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        argon.hash_password(b"correct horse").expect("hashed").to_string()
    };
    let hash = || -> String {
        database(data.path()).query_row("SELECT password_hash FROM accounts", [], |row| row.get(0)).expect("a hash")
    };
    database(data.path()).execute("UPDATE accounts SET password_hash = ?1", [&weak]).expect("set back");
    assert!(store.log_in(&alice, Password::new("wrong horse")).await.is_err());
    assert_eq!(hash(), weak, "a wrong password renews nothing");
    store.log_in(&alice, Password::new("correct horse")).await.expect("let in");
    assert!(hash().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash());
    store.log_in(&alice, Password::new("correct horse")).await.expect("let in again");
}
