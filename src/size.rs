//! Numbers of bytes as people read them. Pure.

use std::fmt;

const UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// Shows a number of bytes in the largest unit that it fills, a power of 1024, rounded down to a tenth so
/// that it never says more than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let filled = UNITS.into_iter().find(|(_, unit)| bytes >= *unit);
        let (name, unit) = filled.unwrap_or(("B", 1));
        if bytes.is_multiple_of(unit) {
            return write!(f, "{} {name}", bytes / unit);
        }
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
    }
}
