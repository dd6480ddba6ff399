//! A whole session, the fuzzer being the client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(netdisk_fuzz::server(data)));
