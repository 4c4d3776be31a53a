//! Any bytes as a manifest: opened, read through, its tail cut, compacted, emptied.
//!
//! The first byte says how the others become a manifest, and on which kind of file system it lies:
//! see `sprag_fuzz::manifest`. Its second highest bit gives half of them to the manifest's copy, and the
//! byte after it flips one of the manifest's: what was refused is read as far as that goes.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sprag::fs::Kind;
use sprag_fuzz::{MemoryFs, manifest};

const WITH_COPY: u8 = 0x40;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else {
        return;
    };
    let journal = manifest::has_journal(*how);
    if how & WITH_COPY == 0 {
        let manifest = manifest::from_bytes(*how, rest);
        sprag::fuzzing::recover(&Arc::new(MemoryFs::with_manifest(&manifest, journal)));
        return;
    }
    let Some((flip, rest)) = rest.split_first() else {
        return;
    };
    let (ours, copied) = rest.split_at(rest.len() / 2);
    let mut manifest = manifest::from_bytes(*how, ours);
    let frames = manifest.len().saturating_sub(4096);
    if let Some(at) = (usize::from(*flip) * frames).checked_div(256) {
        if let Some(byte) = manifest.get_mut(4096 + at) {
            *byte ^= 1;
        }
    }
    let fs = MemoryFs::with_manifest(&manifest, journal);
    let copy = manifest::from_bytes(*how, copied);
    fs.add(b".sprag/manifest.bak", Kind::File, &copy);
    sprag::fuzzing::recover(&Arc::new(fs));
});
