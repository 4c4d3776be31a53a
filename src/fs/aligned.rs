//! A buffer whose start is aligned for O_DIRECT.

/// The alignment that O_DIRECT reads are given: offset, length and address. Every Linux file
/// system accepts the page size of 4 KiB; a drive with 512-byte sectors accepts less.
pub const ALIGN: usize = 4096;

/// A fixed-size byte buffer that starts at a multiple of [`ALIGN`].
pub struct AlignedBuf {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// A zeroed buffer of `len` bytes.
    pub fn new(len: usize) -> AlignedBuf {
        let bytes = vec![0; len + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN);
        AlignedBuf { bytes, start, len }
    }
}

impl std::ops::Deref for AlignedBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_aligned_and_as_long_as_asked() {
        for len in [1, 4096, 100_000] {
            let mut buf = AlignedBuf::new(len);
            buf[len - 1] = 7;
            assert_eq!(buf.len(), len);
            assert_eq!(buf.as_ptr() as usize % ALIGN, 0);
        }
    }
}
