//! The `netdisk` binary.

fn main() -> std::process::ExitCode {
    netdisk::main()
}
