//! Bytes turned into manifests, with the right checksums where the fuzzer could not guess them.
//!
//! The layout stands in `docs/FORMAT.md`; writing it here a second time checks that text, too.

use sprag::fuzzing::{frame_checksum, header_checksum};

/// The id of every manifest that is made here.
pub const ID: [u8; 16] = *b"sprag fuzz id 16";

/// The nonce of every file that is made here.
const NONCE: [u8; 16] = *b"sprag fuzz nonce";

const HEADER_BYTES: usize = 4096;
/// The log2 of the smallest block size, so that small files have several blocks.
const BLOCK_LOG2: u8 = 16;

/// The paths that scripted records are about: those of the destination and its source, and some
/// that are nowhere or not paths at all.
const PATHS: [&[u8]; 14] = [
    b"a", b"m", b"d", b"d/f", b"l", b"p", b"h", b"", b"x", b"x/y", b"a/b", b"l/b", b"../out",
    b".sprag",
];

/// Whether the low bits of the first byte of an input ask for a file system with a journal.
pub fn has_journal(how: u8) -> bool {
    how & 4 == 0
}

/// A manifest from any bytes. The low two bits of `how` choose:
///
/// - 0: the bytes are the whole file;
/// - 1: they stand behind a good header;
/// - 2: they are the payloads of frames, each with its length before it in two bytes;
/// - 3: they are a script that makes records which lead to each other.
pub fn from_bytes(how: u8, bytes: &[u8]) -> Vec<u8> {
    match how & 3 {
        0 => bytes.to_vec(),
        1 => [&header()[..], bytes].concat(),
        2 => frames(bytes),
        _ => script(bytes),
    }
}

fn header() -> Vec<u8> {
    let mut bytes = b"\x89sprag\r\n".to_vec();
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&[BLOCK_LOG2, 0, 0, 0]);
    bytes.extend_from_slice(&ID);
    bytes.extend_from_slice(&NONCE);
    bytes.extend_from_slice(&1_700_000_000_000u64.to_le_bytes());
    let checksum = header_checksum(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

fn push_frame(file: &mut Vec<u8>, payload: &[u8]) {
    let checksum = frame_checksum(&ID, &NONCE, file.len() as u64, payload);
    file.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend_from_slice(&checksum.to_le_bytes());
    file.extend_from_slice(payload);
}

fn frames(bytes: &[u8]) -> Vec<u8> {
    let mut file = header();
    let mut rest = bytes;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes(*len)).min(behind.len());
        let (payload, behind) = behind.split_at(len);
        push_frame(&mut file, payload);
        rest = behind;
    }
    file
}

/// A script being read: what it lacks at its end is zero.
struct Script<'a> {
    bytes: &'a [u8],
    /// Where the frames so far begin.
    positions: Vec<u64>,
}

fn script(bytes: &[u8]) -> Vec<u8> {
    let mut script = Script {
        bytes,
        positions: Vec::new(),
    };
    let mut file = header();
    while !script.bytes.is_empty() {
        let end = file.len() as u64;
        let payload = script.record(end);
        script.positions.push(end);
        push_frame(&mut file, &payload);
    }
    file
}

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        self.bytes.split_off_first().copied().unwrap_or(0)
    }

    /// A number, small ones in one byte.
    fn number(&mut self) -> u64 {
        match self.byte() {
            0xff => {
                let mut number = [0; 8];
                number.fill_with(|| self.byte());
                u64::from_le_bytes(number)
            }
            0xfe => u64::from(u16::from_le_bytes([self.byte(), self.byte()])),
            0xfd => u64::from(self.byte()) << 16,
            small => u64::from(small),
        }
    }

    /// A position, mostly that of an earlier frame, counted from the last.
    fn position(&mut self) -> u64 {
        let back = self.byte();
        if back >= 0xf0 {
            return self.number();
        }
        let at = self.positions.len().checked_sub(1 + usize::from(back));
        at.map_or(0, |at| self.positions[at])
    }

    fn record(&mut self, end: u64) -> Vec<u8> {
        let kind = match self.byte() % 13 {
            12 => 18,
            kind => kind,
        };
        let mut out = vec![kind];
        match kind {
            0 => self.run_begin(&mut out),
            1 => self.run_end(&mut out),
            2 => {
                self.path(&mut out);
                self.numbers(&mut out, 2);
                self.dest_meta(&mut out);
            }
            3 => self.symlink(&mut out),
            4 => {
                self.path(&mut out);
                self.numbers(&mut out, 4);
                out.push(self.byte() % 4);
                out.push(self.byte() & 1);
            }
            5 => {
                put_number(&mut out, self.position());
                put_number(&mut out, self.position());
                self.numbers(&mut out, 1);
                let hashes = self.byte() % 8;
                out.push(hashes);
                (0..hashes).for_each(|_| self.hash(&mut out));
            }
            6 => {
                put_number(&mut out, self.position());
                put_number(&mut out, self.position());
                self.numbers(&mut out, 1);
            }
            7 => self.done(&mut out),
            8 | 9 => {
                self.path(&mut out);
                self.path(&mut out);
            }
            10 => self.path(&mut out),
            18 => self.mounted(&mut out),
            _ => {
                let covers = match self.byte() {
                    0 => end,
                    _ => self.position(),
                };
                put_number(&mut out, covers);
            }
        }
        out
    }

    fn run_begin(&mut self, out: &mut Vec<u8>) {
        self.numbers(out, 1);
        for _ in ["sources", "earlier"] {
            out.push(1);
            self.path(out);
            put_bytes(out, b"ext4");
        }
        out.push(1);
        put_bytes(out, b"--delete");
        let mounts = self.byte() % 3;
        out.push(mounts);
        (0..mounts).for_each(|_| self.mounted(out));
    }

    fn mounted(&mut self, out: &mut Vec<u8>) {
        self.path(out);
        put_bytes(out, &[self.byte(); 16]);
        self.numbers(out, 1);
        out.push(self.byte() % 2);
    }

    fn run_end(&mut self, out: &mut Vec<u8>) {
        self.numbers(out, 1);
        out.push(self.byte());
        self.numbers(out, 3);
        out.push(1);
        self.path(out);
        put_bytes(out, b"why");
    }

    fn symlink(&mut self, out: &mut Vec<u8>) {
        self.path(out);
        put_bytes(out, PATHS[usize::from(self.byte()) % PATHS.len()]);
        self.numbers(out, 1);
        self.dest_meta(out);
        out.push(self.byte() % 4);
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        self.path(out);
        self.numbers(out, 2);
        self.dest_meta(out);
        self.hash(out);
        match self.byte() % 4 {
            0 => out.push(0),
            attempt => out.extend_from_slice(&[1, attempt - 1]),
        }
        let chain = match self.byte() {
            0 => 0,
            _ => self.position(),
        };
        put_number(out, chain);
        // No change times.
        out.push(0);
        out.push(self.byte() & 1);
    }

    fn dest_meta(&mut self, out: &mut Vec<u8>) {
        match self.byte() {
            0 => out.push(0),
            _ => {
                out.push(1);
                self.numbers(out, 1);
            }
        }
        self.numbers(out, 3);
        self.option(out);
        self.option(out);
        if self.byte() < 128 {
            out.push(0);
            return;
        }
        out.push(1);
        self.option(out);
        match self.byte() & 1 {
            0 => out.push(0),
            _ => {
                out.push(1);
                self.numbers(out, 2);
            }
        }
        out.push(self.byte() & 1);
        self.option(out);
        self.option(out);
    }

    fn option(&mut self, out: &mut Vec<u8>) {
        match self.byte() & 1 {
            0 => out.push(0),
            _ => {
                out.push(1);
                self.numbers(out, 1);
            }
        }
    }

    fn path(&mut self, out: &mut Vec<u8>) {
        put_bytes(out, PATHS[usize::from(self.byte()) % PATHS.len()]);
    }

    fn numbers(&mut self, out: &mut Vec<u8>, count: u32) {
        (0..count).for_each(|_| put_number(out, self.number()));
    }

    /// The hash of something that is there, or of nothing in particular.
    fn hash(&mut self, out: &mut Vec<u8>) {
        let which = self.byte();
        let hashes = crate::runs::hashes();
        match hashes.get(usize::from(which)) {
            Some(hash) => out.extend_from_slice(hash),
            None => out.extend_from_slice(&[which; 32]),
        }
    }
}

/// A number as bincode has it: small ones in one byte.
fn put_number(out: &mut Vec<u8>, number: u64) {
    if number < 251 {
        out.push(number as u8);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(251);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(252);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        out.push(253);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
