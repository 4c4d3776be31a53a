//! Whether a record fits the ones that it leads back to.
//!
//! A good checksum shows that a record was written, not that it makes sense. What is checked here
//! when a record is read or appended need not be doubted where it is used: the blocks of a file
//! follow each other without gaps, and belong to one path. Whether there are as many as the file's
//! size asks for is not checked here.

use super::*;

impl<F: Fs> Store<F> {
    /// Checks a `Blocks` or `Cut`; `before` is what its path had until now.
    pub(super) fn check_more(
        &self,
        pos: u64,
        record: &Record,
        before: &Entry,
    ) -> Result<(), ManifestError> {
        let Entry::Partial(before) = before else {
            return Err(self.damaged(pos, "blocks of a file that is not in progress"));
        };
        let (begin, fits) = match record {
            Record::Blocks(blocks) => (blocks.begin, blocks.first == before.blocks),
            Record::Cut(cut) => (cut.begin, cut.keep <= before.blocks),
            _ => return Ok(()),
        };
        if begin != before.begin_pos || !fits {
            return Err(self.damaged(pos, "blocks that do not go on where their file was"));
        }
        Ok(())
    }

    /// Checks a `Done`; `old` is what its path had until now.
    pub(super) fn check_done(
        &self,
        pos: u64,
        done: &Done,
        old: Option<&(u64, Entry)>,
    ) -> Result<(), ManifestError> {
        let fits = match old {
            _ if done.chain == 0 => true,
            Some((old, Entry::Partial(_))) => done.chain == *old,
            // The same file with other metadata.
            Some((_, Entry::Done(before))) => {
                (done.chain, done.hash, done.size) == (before.chain, before.hash, before.size)
            }
            _ => false,
        };
        if !fits {
            return Err(self.damaged(pos, "a done file with blocks that are not its own"));
        }
        Ok(())
    }
}
