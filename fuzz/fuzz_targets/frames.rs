//! Bytes to frames and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(netdisk_fuzz::frames(data)));
