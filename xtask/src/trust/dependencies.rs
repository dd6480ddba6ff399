//! P18: what the lock file and the manifests say: nothing from elsewhere, nothing with a hole that is known to us, no
//! `unsafe` of ours.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::scene::Effort;
use super::table::Row;

/// The first release without a hole that matters here, and which hole that was.
const AT_LEAST: &[(&str, &[u64], &str)] = &[
    ("rustls", &[0, 23, 45], "accepts what later releases refuse"),
    ("rustls-webpki", &[0, 103, 16], "names and chains of certificates"),
    ("libsqlite3-sys", &[0, 37, 0], "bundles a SQLite that can corrupt a WAL on reset"),
    ("tokio", &[1, 44, 2], "RUSTSEC-2025-0023"),
    ("idna", &[1, 0, 0], "RUSTSEC-2024-0421"),
    ("tracing-subscriber", &[0, 3, 20], "RUSTSEC-2025-0055: escapes in logs"),
];

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let lock = fs::read_to_string(effort.root.join("Cargo.lock"))?;
    let (packages, findings) = check_lock(&lock);
    let (manifests, unsafe_findings) = check_manifests(&effort.root)?;
    findings.iter().chain(&unsafe_findings).for_each(|finding| eprintln!("  {finding}"));
    let doctored =
        lock.replacen("registry+https://github.com/rust-lang/crates.io-index", "git+https://example.org/x", 1);
    let old = doctored.replace("name = \"rustls\"\nversion = \"0.23.", "name = \"rustls\"\nversion = \"0.22.");
    Ok(vec![Row {
        promise: "P18",
        what: "packages of Cargo.lock, manifests of ours".to_owned(),
        tried: packages + manifests,
        failed: (findings.len() + unsafe_findings.len()) as u64,
        figure: format!("{packages} packages from crates.io with checksums; `unsafe` forbidden in {manifests} crates"),
        control: "a lock file with a git source and an old rustls: findings",
        control_failed: check_lock(&old).1.len() as u64,
    }])
}

fn check_lock(lock: &str) -> (u64, Vec<String>) {
    let mut findings = Vec::new();
    let mut count = 0;
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
        };
        let (name, version, source) = (value("name"), value("version"), value("source"));
        // Ours have no source.
        if source.is_empty() {
            continue;
        }
        count += 1;
        if !source.starts_with("registry+https://github.com/rust-lang/crates.io-index") || value("checksum").is_empty()
        {
            findings.push(format!("{name} {version} comes from {source}"));
        }
        let parts: Vec<u64> = version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
        for (of, least, hole) in AT_LEAST {
            if *of == name && parts.as_slice() < *least {
                findings.push(format!("{name} {version}: {hole}"));
            }
        }
    }
    (count, findings)
}

/// Every crate of ours takes over the lints of the workspace, and they forbid `unsafe`.
fn check_manifests(root: &Path) -> Result<(u64, Vec<String>)> {
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    let mut findings = Vec::new();
    if !workspace.contains("unsafe_code = \"forbid\"") {
        findings.push("the workspace does not forbid `unsafe`".to_owned());
    }
    let mut manifests = vec![root.join("xtask/Cargo.toml"), root.join("tests/Cargo.toml")];
    for entry in fs::read_dir(root.join("crates"))? {
        manifests.push(entry?.path().join("Cargo.toml"));
    }
    for manifest in &manifests {
        let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
        if !text.contains("[lints]\nworkspace = true") {
            findings.push(format!("{} does not take over the lints", manifest.display()));
        }
    }
    Ok((manifests.len() as u64, findings))
}
