//! The program under test: the `netdisk` binary once more, because Cargo tells tests only of binaries of their own
//! package.

fn main() -> std::process::ExitCode {
    netdisk::main()
}
