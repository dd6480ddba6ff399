//! The project's own checks and proofs: `cargo xtask tidy`, `cargo xtask prove ...`, and `cargo xtask dist`.

mod dist;
mod durability;
mod memory;
mod tidy;
mod trust;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The project's own checks and proofs.
#[derive(Debug, Parser)]
enum Task {
    /// Hold the tree against the rules that a reader relies on
    Tidy,
    /// Build a package for other machines, in target/dist
    Dist(dist::Args),
    /// Show that a promise holds
    #[command(subcommand)]
    Prove(Proof),
}

/// A promise, and how to show it.
#[derive(Debug, Subcommand)]
enum Proof {
    /// Server and client stay flat while gigabytes pass, each under 64 MiB
    Memory(memory::Args),
    /// Nobody gets in, nobody is held up, nobody is believed
    Trust(trust::Args),
    /// What was acknowledged survives kills, power cuts, lost connections, failing disks and stops
    Durability(durability::Args),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Tidy => tidy::tidy(&root()),
        Task::Dist(args) => dist::dist(&root(), &args),
        Task::Prove(Proof::Memory(args)) => memory::prove(&root(), &args),
        Task::Prove(Proof::Trust(args)) => trust::prove(&root(), &args),
        Task::Prove(Proof::Durability(args)) => durability::prove(&root(), &args),
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
