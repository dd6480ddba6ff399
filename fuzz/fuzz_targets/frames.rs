//! Bytes to frames and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netdisk_fuzz::frames(data));
