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
        text += "\nWarning: this file system allows no reading past the page cache, so the files \
                 read through it may not show what is on the device. Unmount it, mount it again \
                 and verify once more to be sure.";
    }
    text
}
