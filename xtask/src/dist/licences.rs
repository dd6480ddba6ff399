//! The licences of the crates that are in the binary: whoever passes the binary on passes these on, too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Beginnings of the names of files that hold a licence.
const NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE"];

/// Copies the licence files of every crate into a folder of its own, and writes a list of them all.
pub(super) fn gather(root: &Path, folder: &Path) -> Result<()> {
    let listed = super::output(
        Command::new("cargo")
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
            .current_dir(root),
    )?;
    let metadata: Value = serde_json::from_slice(&listed)?;
    let packages: HashMap<&str, &Value> =
        items(&metadata["packages"]).map(|package| (text(&package["id"]), package)).collect();
    let mut lines = BTreeMap::new();
    for id in in_binary(&metadata) {
        let package = packages.get(id).with_context(|| id.to_owned())?;
        // Ours have none of their own.
        if package["source"].is_null() {
            continue;
        }
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let licence = package["license"].as_str().unwrap_or("see its files");
        lines.insert(
            format!("{name} {version}"),
            format!("{licence}  {}", package["repository"].as_str().unwrap_or("")),
        );
        let source = Path::new(text(&package["manifest_path"])).with_file_name("");
        for found in fs::read_dir(&source).with_context(|| source.display().to_string())? {
            let found = found?.path();
            let file = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if found.is_file() && NAMES.iter().any(|name| file.to_uppercase().starts_with(name)) {
                super::copy(&found, &folder.join(format!("{name}-{version}")).join(file))?;
            }
        }
    }
    let list: String = lines.iter().map(|(name, licence)| format!("{name:<40} {licence}\n")).collect();
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join("LIST"), list)?)
}

/// What the program is built of, by the graph of dependencies: not what only its tests or its build use.
fn in_binary(metadata: &Value) -> HashSet<&str> {
    let nodes: HashMap<&str, &Value> =
        items(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let program = items(&metadata["packages"]).find(|package| package["name"] == "netdisk");
    let mut open: Vec<&str> = program.iter().map(|package| text(&package["id"])).collect();
    let mut seen = HashSet::new();
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id).filter(|_| seen.insert(id)) else { continue };
        let normal = items(&node["deps"])
            .filter(|dependency| items(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()));
        open.extend(normal.map(|dependency| text(&dependency["pkg"])));
    }
    seen
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
