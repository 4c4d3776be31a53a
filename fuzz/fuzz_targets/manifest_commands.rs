//! Any bytes as the manifest of a destination with files, on which `verify` and `copy` then run.
//!
//! The input is as for `manifest_recover`; the top bit of the first byte chooses `copy`, after
//! which its result is verified, or `verify` alone. Slower, since runs have threads of their own.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sprag_fuzz::{MemoryFs, manifest, runs};

const COPY: u8 = 0x80;

fuzz_target!(|bytes: &[u8]| {
    if let Some((how, rest)) = bytes.split_first() {
        let journal = manifest::has_journal(*how);
        let manifest = manifest::from_bytes(*how, rest);
        let opens = sprag::fuzzing::recover(&Arc::new(MemoryFs::with_manifest(&manifest, journal)));
        let fs = Arc::new(runs::destination(&manifest, journal));
        if how & COPY == 0 {
            runs::verify(&fs, opens);
        } else {
            runs::copy(&fs, opens);
        }
    }
});
