//! What the fuzz targets share: a destination in memory, and ways to turn bytes into manifests.

pub mod manifest;
mod memory;
pub mod runs;

pub use memory::MemoryFs;
