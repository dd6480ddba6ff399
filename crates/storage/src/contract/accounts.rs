//! The laws of [`Accounts`].

use super::*;

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

    /// By a name that tells nothing of the token, and nobody by that of another.
    kept_logins_are_listed_and_revoked(store) {
        home(&store).await;
        let (alice, bob) = (user("alice"), user("bob"));
        store.register(&bob, password()).await.expect("a new account");
        assert!(store.kept_logins(&alice).await.expect("listed").is_empty());
        let token = store.issue_token(&alice).await.expect("a token");
        let other = store.issue_token(&alice).await.expect("a token");
        let kept = store.kept_logins(&alice).await.expect("listed");
        let mut ids: Vec<_> = kept.iter().map(|kept| kept.id.clone()).collect();
        ids.sort();
        let mut expected = vec![token.id(), other.id()];
        expected.sort();
        assert_eq!(ids, expected);
        assert!(kept.iter().all(|kept| kept.created <= kept.used && kept.used < kept.expires));
        assert!(!store.revoke_login(&bob, &token.id()).await.expect("asked"), "it is not his");
        assert!(store.log_in_by_token(&alice, &token).await.is_ok());
        assert!(store.revoke_login(&alice, &token.id()).await.expect("revoked"));
        assert!(!store.revoke_login(&alice, &token.id()).await.expect("asked"), "it is gone");
        assert_refused!(store.log_in_by_token(&alice, &token).await, AccountsError::Refused);
        assert!(store.log_in_by_token(&alice, &other).await.is_ok());
    }

    /// And only one that was made, in its time; a registration that fails does not use it up.
    an_invitation_serves_once(store) {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        let invitation = store.invite(HOUR_MS).await.expect("an invitation");
        let made_up = "not an invitation".parse().expect("any text");
        let (alice, bob) = (user("alice"), user("bob"));
        assert_refused!(store.register_invited(&alice, password(), &made_up).await, AccountsError::NotInvited);
        let weak = store.register_invited(&alice, Password::new("short"), &invitation).await;
        assert_refused!(weak, AccountsError::BadPassword(_));
        store.register_invited(&alice, password(), &invitation).await.expect("a new account");
        assert_refused!(store.register_invited(&bob, password(), &invitation).await, AccountsError::NotInvited);
        let late = store.invite(0).await.expect("an invitation");
        assert_refused!(store.register_invited(&bob, password(), &late).await, AccountsError::NotInvited);
        assert!(store.log_in(&alice, password()).await.is_ok());
        assert_refused!(store.log_in(&bob, password()).await, AccountsError::Refused);
        // Of two who use it at once, one.
        let invitation = store.invite(HOUR_MS).await.expect("an invitation");
        let carol = user("carol");
        let (one, two) = tokio::join!(
            store.register_invited(&bob, password(), &invitation),
            store.register_invited(&carol, password(), &invitation),
        );
        assert_eq!([&one, &two].iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_refused!(one.and(two), AccountsError::NotInvited);
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

    /// By name, with what they use.
    accounts_are_listed(store) {
        store.register(&user("bob"), password()).await.expect("a new account");
        let alice = home(&store).await;
        put(&alice, "/f", b"12345").await;
        store.set_limits(&user("bob"), Limits { bytes: Some(7), files: None }).await.expect("set");
        let summaries = store.summaries().await.expect("listed");
        let names: Vec<_> = summaries.iter().map(|summary| summary.user.as_str()).collect();
        assert_eq!(names, ["alice", "bob"]);
        assert_eq!(summaries[0].usage, Usage { bytes: 5, files: 1, limits: Limits::default() });
        assert_eq!(summaries[1].usage.limits, Limits { bytes: Some(7), files: None });
        let nobody = store.set_limits(&user("nobody"), Limits::default()).await;
        assert_refused!(nobody, AccountsError::NoSuchAccount);
    }

    /// The old one too.
    another_password_ends_tokens(store) {
        home(&store).await;
        let alice = user("alice");
        let token = store.issue_token(&alice).await.expect("a token");
        let weak = store.set_password(&alice, Password::new("short")).await;
        assert_refused!(weak, AccountsError::BadPassword(_));
        assert!(store.log_in_by_token(&alice, &token).await.is_ok());
        store.set_password(&alice, Password::new("battery staple")).await.expect("set");
        assert_refused!(store.log_in_by_token(&alice, &token).await, AccountsError::Refused);
        assert_refused!(store.log_in(&alice, password()).await, AccountsError::Refused);
        assert!(store.log_in(&alice, Password::new("battery staple")).await.is_ok());
        let nobody = store.set_password(&user("nobody"), password()).await;
        assert_refused!(nobody, AccountsError::NoSuchAccount);
    }

    /// By password and token, like one that does not exist; its name stays taken.
    a_disabled_account_is_refused(store) {
        home(&store).await;
        let alice = user("alice");
        let token = store.issue_token(&alice).await.expect("a token");
        assert!(store.is_active(&alice).await.expect("known"));
        store.set_standing(&alice, Standing::Disabled).await.expect("set");
        assert!(!store.is_active(&alice).await.expect("known"));
        assert_refused!(store.log_in(&alice, password()).await, AccountsError::Refused);
        assert_refused!(store.log_in_by_token(&alice, &token).await, AccountsError::Refused);
        assert_refused!(store.register(&alice, password()).await, AccountsError::NameTaken);
        store.set_standing(&alice, Standing::Active).await.expect("set");
        assert!(store.log_in(&alice, password()).await.is_ok());
        assert_refused!(store.log_in_by_token(&alice, &token).await, AccountsError::Refused);
    }
}
