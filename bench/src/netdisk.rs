//! The `netdisk` binary once more, for the smoke test: Cargo tells tests only of binaries of their own package.

fn main() -> std::process::ExitCode {
    netdisk::main()
}
