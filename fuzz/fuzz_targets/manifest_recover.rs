//! Any bytes as a manifest: opened, read through, its tail cut, compacted, emptied.
//!
//! The first byte says how the others become a manifest, and on which kind of file system it lies:
//! see `sprag_fuzz::manifest`.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sprag_fuzz::{MemoryFs, manifest};

fuzz_target!(|bytes: &[u8]| {
    if let Some((how, rest)) = bytes.split_first() {
        let journal = manifest::has_journal(*how);
        let manifest = manifest::from_bytes(*how, rest);
        sprag::fuzzing::recover(&Arc::new(MemoryFs::with_manifest(&manifest, journal)));
    }
});
