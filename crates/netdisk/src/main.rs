//! The `netdisk` binary.

/// Buffers of file bytes come and go by the thousand: the C library gives each back to the kernel and fetches it anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    netdisk::main()
}
