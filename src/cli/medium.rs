//! How content was read back, in words.

use super::units;

/// For so many files read directly, after eviction, and through the page cache. Begins with a line
/// feed, unless nothing was read.
pub(crate) fn how_text(files: [u64; 3]) -> String {
    let words = [
        "directly from the device",
        "after dropping it from the page cache",
        "through the page cache",
    ];
    let ways: Vec<String> = files
        .into_iter()
        .zip(words)
        .filter(|(files, _)| *files > 0)
        .map(|(files, way)| format!("{} {way}", units::count(files, "file", "files")))
        .collect();
    let mut text = match ways.is_empty() {
        true => String::new(),
        false => format!("\nRead back: {}.", ways.join(", ")),
    };
    if files[2] > 0 {
        text += "\nWarning: what was read through the page cache may not be what is on the device: \
                 the file system allows no other way, or another program has the file open. \
                 Unmount it, mount it again \
                 and verify once more to be sure.";
    }
    text
}
