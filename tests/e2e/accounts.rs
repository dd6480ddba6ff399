//! Passwords, kept logins, and those who guess.

use netdisk_model::Password;
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Program, Scene, ServerProcess, TestServer};
use crate::raw::Raw;

const NEW: &str = "battery staple";

#[test]
fn a_changed_password_makes_other_logins_worthless() {
    let scene = Scene::new();
    let program = &scene.program;
    let elsewhere = Program::for_server(&scene.server);
    elsewhere.ok(&["login", "alice", "--accept-new"]);
    let passwd = |old: &str, new: &str| {
        let mut command = program.command(&["passwd"]);
        command.env("NETDISK_PASSWORD", old).env("NETDISK_NEW_PASSWORD", new);
        command.output().expect("it runs").status.code()
    };
    assert_eq!(passwd("wrong horse", NEW), Some(4));
    assert_eq!(passwd(PASSWORD, "short"), Some(2));
    assert_eq!(passwd(PASSWORD, NEW), Some(0));
    // This login goes on, the other one does not, and the old password is of no use.
    let whoami = |program: &Program, password: Option<&str>| {
        let mut command = program.command(&["whoami"]);
        match password {
            Some(password) => command.env("NETDISK_PASSWORD", password).env("NETDISK_USER", "alice"),
            None => command.env_remove("NETDISK_PASSWORD"),
        };
        command.output().expect("it runs").status.code()
    };
    assert_eq!(whoami(program, None), Some(0));
    assert_eq!(whoami(&elsewhere, None), Some(4));
    assert_eq!(whoami(&elsewhere, Some(PASSWORD)), Some(4));
    assert_eq!(whoami(&elsewhere, Some(NEW)), Some(0));
}

#[test]
fn kept_logins_are_listed_and_revoked() {
    let scene = Scene::new();
    let program = &scene.program;
    let elsewhere = Program::for_server(&scene.server);
    elsewhere.ok(&["login", "alice", "--accept-new"]);
    let listed: Vec<Value> =
        program.ok(&["sessions", "--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(listed.len(), 2);
    let other = listed.iter().find(|session| session["current"] == false).expect("the other one");
    let id = other["id"].as_str().expect("an id");
    program.ok(&["sessions", "--revoke", id]);
    program.fails(&["sessions", "--revoke", id], 6);
    let output = elsewhere.command(&["whoami"]).env_remove("NETDISK_PASSWORD").output().expect("it runs");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(program.ok(&["sessions"]).lines().count(), 1);
    assert!(program.ok(&["sessions"]).contains("this one"));
}

#[tokio::test]
async fn who_guesses_waits_and_the_owner_does_not() {
    let server = TestServer::plaintext().await;
    let token = {
        let mut alice = Raw::connect(&server).await;
        alice.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
        alice.recv().await;
        let register = json!({"id": 1, "type": "register", "user": "alice", "password": PASSWORD, "keep": true});
        alice.send(&register).await;
        alice.recv().await["token"].clone()
    };
    // The same machine, so the same network: it is the account from there that waits.
    let mut codes = Vec::new();
    for _ in 0..2 {
        let mut guesser = Raw::connect(&server).await;
        guesser.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
        guesser.recv().await;
        for _ in 0..5 {
            guesser.send(&json!({"id": 1, "type": "login", "user": "alice", "password": "a guess"})).await;
            codes.push(guesser.recv().await["code"].clone());
        }
    }
    assert_eq!(codes[..5], vec![json!("login_refused"); 5]);
    assert!(codes[5..].contains(&json!("busy")), "{codes:?}");
    let mut owner = Raw::connect(&server).await;
    owner.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
    owner.recv().await;
    owner.send(&json!({"id": 1, "type": "login", "user": "alice", "token": token})).await;
    assert_eq!(owner.recv().await["type"], "welcome");
}

#[tokio::test]
async fn an_open_session_is_no_way_to_guess_without_end() {
    let server = TestServer::plaintext().await;
    let mut client = server.register("alice").await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        let changed = client.change_password(Password::new("a guess"), Password::new(NEW), false).await;
        codes.push(changed.expect_err("wrong").fault_code().expect("a fault").name());
    }
    assert!(codes[..5].iter().all(|code| *code == "login_refused"), "{codes:?}");
    assert!(codes[5..].contains(&"busy"), "{codes:?}");
    client.whoami().await.expect("the session lives");
}

#[test]
fn an_invitation_makes_one_account() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &["--registration", "invited"]);
    program.server = Some(server.address.clone());
    let store = data.path().to_str().expect("UTF-8");
    // While the server runs.
    let code = program.ok(&["admin", "invite", "--data", store]);
    let code = code.trim();
    assert!(program.fails(&["register", "alice", "--accept-new"], 7).contains("invitation"));
    program.fails(&["register", "alice", "--invitation", &"0".repeat(64)], 7);
    program.ok(&["register", "alice", "--invitation", code]);
    assert_eq!(program.ok(&["whoami"]), "alice\n");
    program.fails(&["register", "bob", "--invitation", code], 7);
    let late = program.ok(&["admin", "invite", "--days", "0", "--data", store]);
    program.fails(&["register", "bob", "--invitation", late.trim()], 7);
}
