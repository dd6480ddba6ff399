//! Who the server is: certificates of an authority, renewed ones, servers that are forgotten.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use netdisk_client::{Trust, dial};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::fixture::{Program, Scene, ServerProcess};

/// An authority that makes certificates for servers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `cert.pem` and `key.pem` of a server of this name.
    fn certify(&self, name: &str, folder: &Path) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(folder.join("cert.pem"), certificate.pem()).expect("written");
        let key_path = folder.join("key.pem");
        std::fs::write(&key_path, key.serialize_pem()).expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(key_path, private).expect("private");
    }
}

/// A server with a certificate for `name`, and a program that has the authority among the system's.
fn certified(name: &str) -> (Program, ServerProcess, Authority, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let authority = Authority::new();
    authority.certify(name, program.folder.path());
    std::fs::write(program.path("ca.pem"), &authority.pem).expect("written");
    let (cert, key) = (program.path("cert.pem"), program.path("key.pem"));
    let options = ["--tls-cert", cert.to_str().expect("UTF-8"), "--tls-key", key.to_str().expect("UTF-8")];
    let server = ServerProcess::start(&program, data.path(), &options);
    program.server = Some(server.address.clone());
    (program, server, authority, data)
}

fn run(program: &Program, args: &[&str], ca: &str) -> (Option<i32>, String) {
    let output = program.command(args).env("SSL_CERT_FILE", program.path(ca)).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn an_authoritys_word_counts_for_the_right_name_alone() {
    let (program, _server, _authority, _data) = certified("127.0.0.1");
    assert_eq!(run(&program, &["register", "alice", "--ca", "system"], "ca.pem").0, Some(0));
    // It is remembered how this server is known.
    assert_eq!(run(&program, &["ls"], "ca.pem").0, Some(0));
    assert!(program.ok(&["pins", "list"]).ends_with(" ca:system\n"));
    // An authority that this system does not know.
    std::fs::write(program.path("other.pem"), Authority::new().pem).expect("written");
    let (code, text) = run(&program, &["ls"], "other.pem");
    assert!(code == Some(5) && text.contains("no authority known here vouches"), "{text}");

    let (program, _server, _authority, _data) = certified("somebody-else.example.org");
    let (code, text) = run(&program, &["register", "alice", "--ca", "system"], "ca.pem");
    assert!(code == Some(5) && text.contains("not valid for name"), "{text}");
    assert_eq!(program.ok(&["pins", "list"]), "", "nobody to remember");
}

#[tokio::test]
async fn a_renewed_certificate_comes_into_force_without_a_stop() {
    let (program, server, authority, _data) = certified("127.0.0.1");
    let endpoint = server.address.parse().expect("an endpoint");
    let trust = Trust::Pinned(server.fingerprint.clone().expect("TLS").parse().expect("a fingerprint"));
    let door = dial(&endpoint, &trust).await.expect("a door");
    let password = netdisk_model::Password::new(crate::fixture::PASSWORD);
    let mut inside = door.register(&"alice".parse().expect("a name"), password, false).await.expect("a new account");
    authority.certify("127.0.0.1", program.folder.path());
    server.signal(rustix::process::Signal::HUP);
    // The old key is refused once the new one is in force.
    while dial(&endpoint, &trust).await.is_ok() {
        tokio::task::yield_now().await;
    }
    inside.whoami().await.expect("who is in stays in");
    assert_eq!(run(&program, &["login", "alice", "--ca", "system"], "ca.pem").0, Some(0));
}

#[test]
fn a_reload_reads_where_the_files_were_and_nowhere_else() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let program = Program::new();
    let authority = Authority::new();
    authority.certify("127.0.0.1", program.folder.path());
    authority.certify("127.0.0.1", elsewhere.path());
    let (cert, key) = (program.path("cert.pem"), program.path("key.pem"));
    let mut command = program.command(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data.path()).arg("--tls-cert").arg(&cert).arg("--tls-key").arg(&key).stderr(Stdio::piped());
    let mut server = ServerProcess::spawn_with_log(command, "info");
    let mut log = BufReader::new(server.take_stderr()).lines();
    let mut line_with = |what: &str| log.by_ref().map(|line| line.expect("text")).find(|line| line.contains(what));
    let wall = line_with("landlock").expect("its level is logged");
    if !wall.contains("wall=whole") && !wall.contains("wall=partial") {
        eprintln!("skipped: no landlock in this kernel: {wall}");
        return;
    }
    for file in ["cert.pem", "key.pem"] {
        std::fs::remove_file(program.path(file)).expect("removed");
        std::os::unix::fs::symlink(elsewhere.path().join(file), program.path(file)).expect("a link");
    }
    server.signal(rustix::process::Signal::HUP);
    let refused = line_with("read again").expect("it says so");
    assert!(refused.contains("not read again") && refused.contains("Permission denied"), "{refused}");
    // The same files where the server looks: it was the place that was wrong.
    for file in ["cert.pem", "key.pem"] {
        std::fs::remove_file(program.path(file)).expect("removed");
        std::fs::copy(elsewhere.path().join(file), program.path(file)).expect("copied");
    }
    server.signal(rustix::process::Signal::HUP);
    let read = line_with("read again").expect("it says so");
    assert!(read.contains("the key is ANOTHER"), "{read}");
}

#[test]
fn a_server_that_is_forgotten_is_unknown_again() {
    let Scene { program, server, data: _data } = Scene::new();
    let fingerprint = server.fingerprint.clone().expect("TLS");
    assert_eq!(program.ok(&["pins", "list"]), format!("{} {fingerprint}\n", server.address));
    program.ok(&["pins", "forget", &server.address]);
    assert_eq!(program.ok(&["pins", "list"]), "");
    program.fails(&["ls"], 5);
    program.fails(&["pins", "forget", &server.address], 6);
    program.ok(&["ls", "--fingerprint", &fingerprint]);
}

#[test]
fn a_certificate_without_its_key_is_a_mistake() {
    let program = Program::new();
    program.fails(&["serve", "--tls-cert", "cert.pem"], 2);
    program.write("netdisk.toml", b"tls_cert = \"cert.pem\"\n");
    assert!(program.fails(&["serve", "--config", "netdisk.toml", "--check"], 2).contains("go together"));
}
