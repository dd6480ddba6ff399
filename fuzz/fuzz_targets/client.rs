//! A whole session, the fuzzer being the server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netdisk_fuzz::client(data));
