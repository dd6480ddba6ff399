//! Texts to paths, user names and endpoints.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netdisk_fuzz::paths(data));
