//! The UUID of a file system, from its superblock: for systems that keep no list of them. Reading a device
//! takes root.
//!
//! Written as blkid writes it. Source of the places: each format's own documentation, in Linux under
//! `Documentation/filesystems` or in the headers of its driver.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A magic number, where it is, and where the UUID is.
struct Format {
    magic: &'static [u8],
    magic_at: u64,
    id_at: u64,
    id: Id,
}

#[derive(Clone, Copy)]
enum Id {
    /// 16 bytes, in the order in which they are written.
    Uuid,
    /// 4 bytes, as DOS writes them.
    Serial32,
    /// 8 bytes, as Windows writes them.
    Serial64,
}

/// FAT32 comes before FAT16: its boot sector has space where the other's magic is.
const FORMATS: [Format; 8] = [
    format(b"\x53\xEF", 0x438, 0x468, Id::Uuid),
    format(b"XFSB", 0, 32, Id::Uuid),
    format(b"_BHRfS_M", 0x1_0040, 0x1_0020, Id::Uuid),
    format(b"\x10\x20\xF5\xF2", 0x400, 0x46C, Id::Uuid),
    format(b"EXFAT   ", 3, 0x64, Id::Serial32),
    format(b"NTFS    ", 3, 0x48, Id::Serial64),
    format(b"FAT32   ", 0x52, 0x43, Id::Serial32),
    format(b"FAT1", 0x36, 0x27, Id::Serial32),
];

const fn format(magic: &'static [u8], magic_at: u64, id_at: u64, id: Id) -> Format {
    Format {
        magic,
        magic_at,
        id_at,
        id,
    }
}

/// The UUID of the file system on a device. `None` if it is of no kind that is known here.
pub(super) fn uuid(device: &Path) -> io::Result<Option<String>> {
    uuid_in(&File::open(device)?)
}

fn uuid_in(device: &File) -> io::Result<Option<String>> {
    for format in &FORMATS {
        let mut magic = [0; 8];
        let magic = &mut magic[..format.magic.len()];
        // A device may be too small for it.
        if device.read_exact_at(magic, format.magic_at).is_err() || magic != format.magic {
            continue;
        }
        let mut id = [0; 16];
        device.read_exact_at(&mut id, format.id_at)?;
        return Ok(Some(written(&id, format.id)));
    }
    Ok(None)
}

fn written(id: &[u8; 16], kind: Id) -> String {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let [a, b, c, d, e, f, g, h, ..] = *id;
    match kind {
        Id::Uuid => {
            let parts = [&id[..4], &id[4..6], &id[6..8], &id[8..10], &id[10..]];
            parts.map(hex).join("-")
        }
        Id::Serial32 => format!("{d:02X}{c:02X}-{b:02X}{a:02X}"),
        Id::Serial64 => format!("{:016X}", u64::from_le_bytes([a, b, c, d, e, f, g, h])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device with these bytes at these places.
    fn device(parts: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        for (at, bytes) in parts {
            file.write_all_at(bytes, *at).unwrap();
        }
        file
    }

    #[test]
    fn each_kind_has_its_uuid_where_its_superblock_says() {
        let id: Vec<u8> = (1..=16).collect();
        let uuid = "01020304-0506-0708-090a-0b0c0d0e0f10";
        for (magic, magic_at, id_at, wanted) in [
            (&b"\x53\xEF"[..], 0x438, 0x468, uuid),
            (b"XFSB", 0, 32, uuid),
            (b"_BHRfS_M", 0x1_0040, 0x1_0020, uuid),
            (b"\x10\x20\xF5\xF2", 0x400, 0x46C, uuid),
            (b"EXFAT   ", 3, 0x64, "0403-0201"),
            (b"NTFS    ", 3, 0x48, "0807060504030201"),
            (b"FAT32   ", 0x52, 0x43, "0403-0201"),
            (b"FAT16   ", 0x36, 0x27, "0403-0201"),
        ] {
            let bytes = if wanted == uuid { 16 } else { 8 };
            let device = device(&[(magic_at, magic), (id_at, &id[..bytes])]);
            assert_eq!(uuid_in(&device).unwrap().as_deref(), Some(wanted));
        }
        assert_eq!(uuid_in(&device(&[])).unwrap(), None);
        let tiny = tempfile::tempfile().unwrap();
        assert_eq!(uuid_in(&tiny).unwrap(), None);
    }
}
