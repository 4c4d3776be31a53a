//! The bytes of a simulated file, shared copy-on-write between the many disks they appear on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Small, because a short append to a shared chunk copies all of it.
const CHUNK: usize = 16 << 10;

/// A file's content. A chunk may be shorter than its place, or missing: what it lacks is zero.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub(crate) struct Content {
    chunks: Vec<Option<Arc<Vec<u8>>>>,
    len: u64,
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads up to the end of the content; returns how much was read.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let have = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < have {
            let (index, within) = place(offset + done as u64);
            let step = (CHUNK - within).min(have - done);
            let out = &mut buf[done..done + step];
            out.fill(0);
            if let Some(Some(chunk)) = self.chunks.get(index)
                && within < chunk.len()
            {
                let there = step.min(chunk.len() - within);
                out[..there].copy_from_slice(&chunk[within..within + there]);
            }
            done += step;
        }
        have
    }

    /// Writes, growing if need be.
    pub(crate) fn write_at(&mut self, data: &[u8], offset: u64) {
        let mut done = 0;
        while done < data.len() {
            let (index, within) = place(offset + done as u64);
            let step = (CHUNK - within).min(data.len() - done);
            if self.chunks.len() <= index {
                self.chunks.resize(index + 1, None);
            }
            let part = &data[done..done + step];
            let slot = &mut self.chunks[index];
            match slot {
                Some(chunk) if within > 0 || step < chunk.len() => {
                    let chunk = Arc::make_mut(chunk);
                    if chunk.len() < within + step {
                        chunk.resize(within + step, 0);
                    }
                    chunk[within..within + step].copy_from_slice(part);
                }
                _ => {
                    let mut chunk = vec![0; within];
                    chunk.extend_from_slice(part);
                    *slot = Some(Arc::new(chunk));
                }
            }
            done += step;
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    /// Cuts off, or extends with zeros.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (index, within) = place(len);
            self.chunks.truncate(index + 1);
            if let Some(Some(chunk)) = self.chunks.get_mut(index)
                && chunk.len() > within
            {
                Arc::make_mut(chunk).truncate(within);
            }
        }
        self.len = len;
    }

    /// All of it.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read_at(&mut bytes, 0);
        bytes
    }
}

fn place(offset: u64) -> (usize, usize) {
    let chunk = CHUNK as u64;
    ((offset / chunk) as usize, (offset % chunk) as usize)
}

fn same_chunk(a: Option<&Option<Arc<Vec<u8>>>>, b: Option<&Option<Arc<Vec<u8>>>>) -> bool {
    match (a.and_then(Option::as_ref), b.and_then(Option::as_ref)) {
        (Some(a), Some(b)) if Arc::ptr_eq(a, b) => true,
        (a, b) => {
            let a = a.map_or(&[][..], |chunk| chunk);
            let b = b.map_or(&[][..], |chunk| chunk);
            let common = a.len().min(b.len());
            a[..common] == b[..common] && a[common..].iter().chain(&b[common..]).all(|b| *b == 0)
        }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        let chunks = self.chunks.len().max(other.chunks.len());
        self.len == other.len
            && (0..chunks).all(|n| same_chunk(self.chunks.get(n), other.chunks.get(n)))
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write_at(bytes, 0);
        content
    }
}

impl From<serde_bytes::ByteBuf> for Content {
    fn from(bytes: serde_bytes::ByteBuf) -> Content {
        Content::from(bytes.as_slice())
    }
}

impl From<Content> for serde_bytes::ByteBuf {
    fn from(content: Content) -> serde_bytes::ByteBuf {
        serde_bytes::ByteBuf::from(content.to_vec())
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut start = [0; 16];
        let have = self.read_at(&mut start, 0);
        write!(
            f,
            "{} bytes \"{}\"…",
            self.len,
            start[..have].escape_ascii()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;

    #[test]
    fn content_behaves_as_a_plain_vector_would() {
        let mut rng = Rng::of(&[1]);
        let (mut content, mut plain) = (Content::default(), Vec::new());
        for _ in 0..400 {
            let offset = rng.below(5 * CHUNK as u64) as usize;
            if rng.chance(1, 4) {
                content.set_len(offset as u64);
                plain.resize(offset, 0);
            } else {
                let mut data = vec![0; rng.below(2 * CHUNK as u64) as usize + 1];
                rng.fill(&mut data);
                content.write_at(&data, offset as u64);
                plain.resize(plain.len().max(offset + data.len()), 0);
                plain[offset..offset + data.len()].copy_from_slice(&data);
            }
            assert!(content.to_vec() == plain);
            assert!(content == Content::from(plain.as_slice()));
        }
    }
}
