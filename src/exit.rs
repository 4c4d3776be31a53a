//! The exit codes: one table, the same for the command line, `--json` and the manifest's history.
//!
//! Where rsync has a code for a situation, ours is the same.

use serde::Serialize;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for is done and durable.
    Done = 0,
    /// The command line is wrong.
    Usage = 1,
    /// The source or the destination cannot be used, or the user's selection leaves nothing to do.
    Unusable = 3,
    /// An I/O error ended the run.
    Io = 11,
    /// Stopped by a signal or by the user; progress is saved.
    Stopped = 20,
    /// Finished, but some entries failed.
    Partial = 23,
    /// Finished, but some source files vanished or kept changing.
    Vanished = 24,
    /// Finished, but `--delete` stopped at `--max-delete`.
    DeleteLimit = 25,
    /// Verify found damage.
    Damaged = 40,
    /// Another sprag holds the destination.
    Locked = 41,
    /// The device is gone; progress is saved.
    DeviceGone = 42,
    /// Refused before writing: the destination can never hold what was asked for.
    Refused = 43,
    /// The manifest is damaged beyond its torn tail.
    BadManifest = 44,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Exit; 13] = [
        Exit::Done,
        Exit::Usage,
        Exit::Unusable,
        Exit::Io,
        Exit::Stopped,
        Exit::Partial,
        Exit::Vanished,
        Exit::DeleteLimit,
        Exit::Damaged,
        Exit::Locked,
        Exit::DeviceGone,
        Exit::Refused,
        Exit::BadManifest,
    ];

    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit with this number, as a manifest stores it.
    pub fn from_code(code: u8) -> Option<Exit> {
        Exit::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// A few words for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done and durable",
            Exit::Usage => "wrong usage",
            Exit::Unusable => "source or destination cannot be used, or nothing selected",
            Exit::Io => "ended by an I/O error",
            Exit::Stopped => "stopped; progress saved",
            Exit::Partial => "finished, some entries failed",
            Exit::Vanished => "finished, some source files vanished or kept changing",
            Exit::DeleteLimit => "finished, deletions stopped at --max-delete",
            Exit::Damaged => "damage found",
            Exit::Locked => "another sprag holds the destination",
            Exit::DeviceGone => "device gone; progress saved",
            Exit::Refused => "refused: the destination cannot hold it",
            Exit::BadManifest => "the manifest is damaged",
        }
    }
}

impl Serialize for Exit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 3, 11, 20, 23, 24, 25, 40, 41, 42, 43, 44]);
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(exit));
        }
        assert_eq!(Exit::from_code(2), None);
    }
}
