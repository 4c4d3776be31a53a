//! Buffers whose start is aligned for O_DIRECT.

use memmap2::MmapMut;

use super::sys;

/// The alignment that O_DIRECT reads are given: offset, length and address. Every Linux file
/// system accepts the page size of 4 KiB; a drive with 512-byte sectors accepts less.
pub const ALIGN: usize = 4096;

/// The size of a huge page on most machines. Where it is another, a buffer is just aligned to this.
const HUGE_PAGE: usize = 2 << 20;

/// A fixed-size byte buffer that starts at a multiple of [`ALIGN`].
pub struct AlignedBuf {
    memory: Memory,
    start: usize,
    len: usize,
}

enum Memory {
    Heap(Vec<u8>),
    Mapped(MmapMut),
}

impl AlignedBuf {
    /// A zeroed buffer of `len` bytes.
    pub fn new(len: usize) -> AlignedBuf {
        AlignedBuf::within(Memory::Heap(vec![0; len + ALIGN]), len, ALIGN)
    }

    /// The same, if possible of huge pages: a request to a device names each separate piece of
    /// memory that it is to fill and can name only so many, so that a read into small pages is
    /// cut into several requests.
    pub fn huge(len: usize) -> AlignedBuf {
        let Ok(map) = MmapMut::map_anon(len + HUGE_PAGE) else {
            return AlignedBuf::new(len);
        };
        sys::ask_for_huge_pages(&map);
        AlignedBuf::within(Memory::Mapped(map), len, HUGE_PAGE)
    }

    fn within(memory: Memory, len: usize, align: usize) -> AlignedBuf {
        let start = memory.bytes().as_ptr().align_offset(align);
        AlignedBuf { memory, start, len }
    }
}

impl Memory {
    fn bytes(&self) -> &[u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Mapped(map) => map,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Mapped(map) => map,
        }
    }
}

impl std::ops::Deref for AlignedBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory.bytes()[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_zeroed_and_as_long_as_asked() {
        for len in [1, 4096, 100_000, HUGE_PAGE] {
            for (mut buf, align) in [
                (AlignedBuf::new(len), ALIGN),
                (AlignedBuf::huge(len), HUGE_PAGE),
            ] {
                assert!(buf.iter().all(|byte| *byte == 0));
                buf[len - 1] = 7;
                assert_eq!(buf.len(), len);
                assert_eq!(buf.as_ptr() as usize % align, 0);
            }
        }
    }
}
