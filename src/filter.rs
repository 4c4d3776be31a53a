//! Which entries the user's patterns leave out. Pure: names in, a yes or no out.
//!
//! Rules are asked in the order in which they were given and the first that matches decides; what
//! none matches is copied. The patterns mean what they mean to rsync; `docs/FILTERS.md` has a table
//! of examples. They are translated to those of globset, which differ in what `*` and classes
//! may match.

use globset::{Candidate, Glob, GlobBuilder, GlobSet};

use crate::path::RelPath;

mod translate;

use translate::translate;

/// Ordered rules, to be made ready with [`Rules::compile`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<(Verdict, String)>,
}

/// What a rule says of an entry that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Include,
    Exclude,
}

/// Why a pattern is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It names nothing.
    #[error("the pattern {0:?} names nothing: write a name, or leave the rule out")]
    Empty(String),
    /// A rule of a file is not UTF-8.
    #[error(
        "the pattern \"{0}\" is not UTF-8: write ? for each byte of a name that cannot be written"
    )]
    NotUtf8(String),
    /// A `[` without its `]`, or a class of characters that cannot be.
    #[error(
        "the class in the pattern {0:?} cannot be used: it needs a closing ], ASCII characters and one that is no /. Write \\[ for a bracket"
    )]
    Class(String),
    /// The patterns together are too many or too long.
    #[error("the pattern {pattern:?} cannot be used: {source}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What the matcher said.
        source: globset::Error,
    },
}

impl Rules {
    /// No rules.
    pub fn new() -> Rules {
        Rules::default()
    }

    /// Adds a pattern of entries to leave out. As with rsync, `+ ` in front turns the rule into an
    /// include, `- ` makes an exclude of it in any case, and `!` alone forgets all rules so far.
    pub fn exclude(&mut self, pattern: &str) {
        self.add(Verdict::Exclude, pattern);
    }

    /// Adds a pattern of entries to copy, though a later rule would leave them out.
    pub fn include(&mut self, pattern: &str) {
        self.add(Verdict::Include, pattern);
    }

    /// Adds the lines of a file as by [`Rules::exclude`]; empty ones and those that begin with `#`
    /// or `;` say nothing, nor does a byte order mark. With `nul`, a NUL ends a line, and nothing is a comment.
    pub fn exclude_lines(&mut self, content: &[u8], nul: bool) -> Result<(), FilterError> {
        for line in crate::file_list::lines(content, nul) {
            let line = str::from_utf8(line)
                .map_err(|_| FilterError::NotUtf8(line.escape_ascii().to_string()))?;
            self.exclude(line);
        }
        Ok(())
    }

    fn add(&mut self, verdict: Verdict, text: &str) {
        if text == "!" {
            return self.rules.clear();
        }
        let (verdict, pattern) = if let Some(pattern) = text.strip_prefix("+ ") {
            (Verdict::Include, pattern)
        } else if let Some(pattern) = text.strip_prefix("- ") {
            (Verdict::Exclude, pattern)
        } else {
            (verdict, text)
        };
        self.rules.push((verdict, pattern.to_owned()));
    }

    /// Makes a filter of them.
    pub fn compile(&self) -> Result<Filter, FilterError> {
        let mut set = GlobSet::builder();
        let mut globs = Vec::new();
        for (verdict, pattern) in &self.rules {
            for translated in translate(pattern)? {
                set.add(glob(&translated.glob, pattern)?);
                globs.push((*verdict, translated.dirs_only));
            }
        }
        let set = set.build().map_err(|source| FilterError::Glob {
            pattern: String::new(),
            source,
        })?;
        let rules = self.rules.clone();
        Ok(Filter { set, globs, rules })
    }
}

fn glob(glob: &str, pattern: &str) -> Result<Glob, FilterError> {
    let built = GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    built.map_err(|source| FilterError::Glob {
        pattern: pattern.to_owned(),
        source,
    })
}

/// Rules made ready. The default has none and leaves nothing out.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    set: GlobSet,
    /// Of each glob in the set, in order: what it says, and whether of directories only.
    globs: Vec<(Verdict, bool)>,
    /// What it was made of.
    rules: Vec<(Verdict, String)>,
}

impl Filter {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// The rules as an `--exclude-from` file would have them, a space between them.
    pub fn text(&self) -> String {
        let rules = self.rules.iter().map(|(verdict, pattern)| match verdict {
            Verdict::Exclude => format!("- {pattern}"),
            Verdict::Include => format!("+ {pattern}"),
        });
        rules.collect::<Vec<_>>().join(" ")
    }

    /// Whether an entry is left out. What is below a directory that is left out is not asked for.
    pub fn excludes(&self, path: &RelPath, is_dir: bool) -> bool {
        if self.globs.is_empty() || path.is_root() {
            return false;
        }
        let matching = self
            .set
            .matches_candidate(&Candidate::new(path.as_path()))
            .into_iter()
            .map(|number| self.globs[number])
            .find(|(_, dirs_only)| is_dir || !dirs_only);
        matches!(matching, Some((Verdict::Exclude, _)))
    }
}

#[cfg(test)]
mod tests;
