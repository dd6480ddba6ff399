//! Holds the tree against the rules that a reader relies on: layers, sizes, openings, words that promise and do not keep.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A file beyond this has a second reason to exist.
const LINES_MAX: usize = 400;

/// Who may use whom: each crate, and the crates of ours that it may name as dependencies.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("protocol", &["model"]),
    ("storage", &["model"]),
    ("server", &["model", "protocol", "storage"]),
    ("client", &["model", "protocol"]),
    ("lab", &["model", "protocol"]),
    ("netdisk", &["model", "protocol", "storage", "server", "client", "lab"]),
];

/// What no source line may hold, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("let ", "_ ="), "a swallowed result: handle it, or `drop(..)` it with the reason beside it"),
    (concat!("TO", "DO"), "work left open belongs in an issue"),
    (concat!("FIX", "ME"), "work left open belongs in an issue"),
    (concat!("thread::", "sleep"), "a test that sleeps is slow or wrong"),
    (concat!("#[", "ignore"), "a test that does not run proves nothing"),
];

/// Runs every check; all findings are printed, and any fails the task.
pub(crate) fn tidy(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    let files = tracked_files(root)?;
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(root.join(file)).with_context(|| file.display().to_string())?;
        findings.extend(check_source(file, &text));
    }
    for (name, allowed) in LAYERS {
        let manifest = root.join("crates").join(name).join("Cargo.toml");
        // A room that is not built yet has no manifest.
        if manifest.exists() {
            findings.extend(check_layer(name, allowed, &fs::read_to_string(&manifest)?));
        }
    }
    findings.extend(check_readmes(root)?);
    findings.extend(check_links(root, &files)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("tidy: {} files, nothing to say", files.len());
    Ok(())
}

/// What git has or would take: neither ignored nor deleted.
fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git lists the files")?;
    let text = String::from_utf8(listed.stdout)?;
    Ok(text.lines().map(PathBuf::from).filter(|file| root.join(file).exists()).collect())
}

fn check_source(file: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let at = file.display();
    if !text.starts_with("//! ") {
        findings.push(format!("{at}: a file opens with `//!` and one sentence"));
    }
    let lines = text.lines().count();
    let is_test = file.components().any(|component| component.as_os_str() == "tests")
        || file.to_string_lossy().contains("storage/src/contract");
    if lines > LINES_MAX && !is_test {
        findings.push(format!("{at}: {lines} lines; more than {LINES_MAX} have a second reason to exist"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (forbidden, why) in FORBIDDEN {
            if line.contains(forbidden) {
                findings.push(format!("{at}:{number}: `{forbidden}`: {why}"));
            }
        }
    }
    findings
}

fn check_layer(name: &str, allowed: &[&str], manifest: &str) -> Vec<String> {
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    let ours = dependencies.lines().filter_map(|line| line.strip_prefix("netdisk-")?.split(['.', ' ', '=']).next());
    ours.filter(|used| !allowed.contains(used)).map(|used| format!("crates/{name} must not use {used}")).collect()
}

/// The two READMEs say the same: as many sections, and the same code blocks.
fn check_readmes(root: &Path) -> Result<Vec<String>> {
    let read = |name: &str| fs::read_to_string(root.join(name)).with_context(|| name.to_owned());
    let (english, chinese) = (read("README.md")?, read("README.zh.md")?);
    let mut findings = Vec::new();
    let blocks = |text: &str| text.split("```").skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    if blocks(&english) != blocks(&chinese) {
        findings.push("README.md and README.zh.md have different code blocks".to_owned());
    }
    let sections = |text: &str| text.lines().filter(|line| line.starts_with("## ")).count();
    if sections(&english) != sections(&chinese) {
        findings.push("README.md and README.zh.md have different numbers of sections".to_owned());
    }
    Ok(findings)
}

/// Relative links in documents lead somewhere.
fn check_links(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(root.join(file))?;
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_relative = !target.is_empty() && !target.contains("://");
            let resolved = root.join(file).with_file_name("").join(target);
            if is_relative && !resolved.exists() {
                findings.push(format!("{}: a link to {target}, which is not there", file.display()));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let file = Path::new("crates/x/src/a.rs");
        assert!(check_source(file, "//! Good.\n\nfn good() {}\n").is_empty());
        assert_eq!(check_source(file, "fn no_opening() {}\n").len(), 1);
        assert_eq!(check_source(file, &format!("//! Long.\n{}", "\n".repeat(LINES_MAX))).len(), 1);
        for (forbidden, _) in FORBIDDEN {
            assert_eq!(check_source(file, &format!("//! Bad.\n{forbidden}\n")).len(), 1, "{forbidden}");
        }
    }

    #[test]
    fn a_wrong_layer_is_found_and_a_test_may_use_more() {
        let manifest =
            "[dependencies]\nnetdisk-storage.workspace = true\n\n[dev-dependencies]\nnetdisk-server.workspace = true\n";
        assert_eq!(check_layer("protocol", &["model"], manifest), ["crates/protocol must not use storage"]);
        assert!(check_layer("server", &["storage"], manifest).is_empty());
    }
}
