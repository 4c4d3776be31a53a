//! Reading a manifest's header, and what its faults mean for whoever opens it.

use super::*;

/// Reads the header of an open manifest.
pub(super) fn read_header<F: FsFile>(
    file: &F,
    path: &Path,
) -> Result<Result<Header, HeaderError>, ManifestError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let have = file.read_at(&mut bytes, 0).at("read", path)?;
    bytes.truncate(have);
    let header = Header::decode(&bytes);
    // A making that was cut short left nothing behind the header; what is there had one.
    if header == Err(HeaderError::Blank) && file.stat().at("look at", path)?.size > have as u64 {
        return Ok(Err(HeaderError::Damaged("the header is gone")));
    }
    Ok(header)
}

/// What is wrong with a header, as it is told.
pub(super) fn header_error(error: HeaderError, path: &Path) -> ManifestError {
    let path = path.to_path_buf();
    match error {
        HeaderError::Newer(version) => ManifestError::Newer {
            path,
            version,
            known: VERSION,
        },
        HeaderError::Damaged(what) => ManifestError::Damaged {
            path,
            offset: 0,
            what,
        },
        HeaderError::Blank => ManifestError::Damaged {
            path,
            offset: 0,
            what: "it is empty",
        },
    }
}
