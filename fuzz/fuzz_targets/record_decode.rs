//! Any bytes as the payload of one frame.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sprag::fuzzing::decode_record(bytes));
