//! Level 2, opening: hello, and who is let in.

use super::peer::{PASSWORD, Peer, ensure, hello, message, register, unexpected};
use super::{Check, Target, cases};
use serde_json::{Value, json};

cases! { 2:
    "hello-names-version-and-limits" hello_names_limits
        "The server's hello says which version holds and what it takes at most; clients go by it.";
    "newer-version-is-answered" newer_version
        "The server answers with a version that it speaks, at most the one offered: so an old server serves a new client.";
    "unknown-fields-are-ignored" unknown_fields
        "A receiver ignores fields that it does not know: so a later version can add some.";
    "register-then-login" register_then_login
        "An account outlives its connection.";
    "name-taken" name_taken
        "A name belongs to whoever came first; the refusal is a fault, and the connection may be used on.";
    "bad-name-and-bad-password" bad_name
        "A bad name or a short password is the fault of the request and not of the connection.";
    "refusals-look-alike" refusals_look_alike
        "A wrong password and an unknown user get the same answer: a difference tells strangers who has an account.";
    "request-before-login" request_before_login
        "Before login there is nothing but register and login; what else comes breaks the protocol.";
    "opening-in-one-flight" one_flight
        "Hello, login and a request may come in one piece; they are answered in order, and behind a refused login nothing is.";
    "token-instead-of-password" token
        "A token stands for the password until logout, and for nothing afterwards.";
}

async fn hello_names_limits(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    peer.send(&hello()).await?;
    let hello = peer.expect(None, "hello").await?;
    ensure(hello["version"] == 1, unexpected("version 1", &hello))?;
    let limits = &hello["limits"];
    let is_count = |value: &Value| value.as_u64().is_some_and(|count| count > 0);
    ensure(limits["message_len_max"] == 65_536 && limits["data_len_max"] == 262_144, unexpected("the limits", &hello))?;
    ensure(is_count(&limits["window"]), unexpected("the window", &hello))
}

async fn newer_version(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    peer.send(&json!({"type": "hello", "version": 7, "software": "from the future", "features": ["time travel"]}))
        .await?;
    let hello = peer.expect(None, "hello").await?;
    ensure(hello["version"] == 1, unexpected("version 1", &hello))
}

async fn unknown_fields(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    peer.send(&json!({"type": "hello", "version": 1, "software": "x", "colour": {"of": ["the", "sky"]}})).await?;
    peer.expect(None, "hello").await?;
    peer.send(&json!({"id": 1, "type": "register", "user": peer.user, "password": PASSWORD, "shoe size": 43})).await?;
    peer.expect(Some(1), "welcome").await.map(drop)
}

async fn register_then_login(target: &Target) -> Check {
    let peer = Peer::member(target).await?;
    let mut again = peer.again(target).await?;
    drop(peer);
    again.expect_alive().await
}

async fn name_taken(target: &Target) -> Check {
    let owner = Peer::member(target).await?;
    let mut peer = Peer::greeted(target).await?;
    peer.send(&json!({"id": 1, "type": "register", "user": owner.user, "password": "another horse"})).await?;
    peer.expect_fault(1, &["name_taken"]).await?;
    peer.send(&json!({"id": 2, "type": "register", "user": peer.user, "password": PASSWORD})).await?;
    peer.expect(Some(2), "welcome").await.map(drop)
}

async fn bad_name(target: &Target) -> Check {
    let mut peer = Peer::greeted(target).await?;
    peer.send(&json!({"id": 1, "type": "register", "user": "../Up", "password": PASSWORD})).await?;
    peer.expect_fault(1, &["bad_name"]).await?;
    peer.send(&json!({"id": 2, "type": "register", "user": peer.user, "password": "short"})).await?;
    peer.expect_fault(2, &["bad_password"]).await?;
    peer.send(&json!({"id": 3, "type": "register", "user": peer.user, "password": PASSWORD})).await?;
    peer.expect(Some(3), "welcome").await.map(drop)
}

async fn refusals_look_alike(target: &Target) -> Check {
    let owner = Peer::member(target).await?;
    let mut peer = Peer::greeted(target).await?;
    let mut answers = Vec::new();
    for user in [&owner.user, &peer.user.clone()] {
        peer.send(&json!({"id": 5, "type": "login", "user": user, "password": "a wrong horse"})).await?;
        answers.push(peer.recv().await?);
    }
    ensure(answers[0]["code"] == "login_refused", unexpected("a fault login_refused", &answers[0]))?;
    ensure(answers[0] == answers[1], format!("a known user gets {}, an unknown one {}", answers[0], answers[1]))
}

async fn request_before_login(target: &Target) -> Check {
    let mut peer = Peer::greeted(target).await?;
    peer.send(&json!({"id": 1, "type": "list", "path": "/"})).await?;
    peer.expect_closed_with("bad_request").await
}

async fn one_flight(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    let request = json!({"id": 2, "type": "whoami"});
    peer.write(&[message(&hello()), message(&register(&peer.user)), message(&request)].concat()).await?;
    peer.expect(None, "hello").await?;
    peer.expect(Some(1), "welcome").await?;
    peer.expect(Some(2), "account").await?;
    let mut refused = Peer::connect(target).await?;
    let login = json!({"id": 1, "type": "login", "user": peer.user, "password": "a wrong horse"});
    refused.write(&[message(&hello()), message(&login), message(&request)].concat()).await?;
    refused.expect(None, "hello").await?;
    refused.expect_fault(1, &["login_refused"]).await?;
    refused.expect_closed_with("bad_request").await
}

async fn token(target: &Target) -> Check {
    let mut peer = Peer::greeted(target).await?;
    peer.send(&json!({"id": 1, "type": "register", "user": peer.user, "password": PASSWORD, "keep": true})).await?;
    let welcome = peer.expect(Some(1), "welcome").await?;
    ensure(welcome["token"].is_string(), unexpected("a token", &welcome))?;
    let login = json!({"id": 4, "type": "login", "user": peer.user, "token": welcome["token"]});
    let mut second = Peer::greeted(target).await?;
    second.send(&login).await?;
    second.expect(Some(4), "welcome").await?;
    second.send(&json!({"id": 5, "type": "logout"})).await?;
    second.expect(Some(5), "done").await?;
    let mut third = Peer::greeted(target).await?;
    third.send(&login).await?;
    third.expect_fault(4, &["login_refused"]).await
}
