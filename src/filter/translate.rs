//! rsync's patterns in the words of globset.
//!
//! - Anchored at the top if it begins with `/`; otherwise it may begin at any component.
//! - `**` is any characters at all, which globset only has between slashes: it becomes
//!   `{*,*/**/*}`, "within a component, or across some".
//! - A class never matches a slash, which those of globset do.
//! - A backslash escapes only where there is a wildcard.

use super::FilterError;

/// One glob of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) glob: String,
    /// It speaks of directories only.
    pub(super) dirs_only: bool,
}

const ANYTHING: &str = "{*,*/**/*}";

/// The globs of a pattern: one, or two for a directory with all that is below it (`dir/***`).
pub(super) fn translate(pattern: &str) -> Result<Vec<Translated>, FilterError> {
    let (path, with_contents) = match pattern.strip_suffix("/***") {
        Some(dir) => (dir, true),
        None => (pattern, false),
    };
    let (path, dirs_only) = match path.trim_end_matches('/') {
        trimmed if trimmed.len() < path.len() => (trimmed, true),
        trimmed => (trimmed, with_contents),
    };
    let (mut path, anchored) = match path.strip_prefix('/') {
        Some(rest) => (rest, true),
        None => (path, false),
    };
    if !anchored {
        // It may begin anywhere as it is.
        while let Some(rest) = path.strip_prefix("**/") {
            path = rest;
        }
    }
    if path.is_empty() {
        return Err(FilterError::Empty(pattern.to_owned()));
    }
    let prefix = if anchored { "" } else { "**/" };
    let glob = format!("{prefix}{}", body(path, pattern)?);
    let mut globs = Vec::new();
    if with_contents {
        globs.push(Translated {
            glob: format!("{glob}/{ANYTHING}"),
            dirs_only: false,
        });
    }
    globs.push(Translated { glob, dirs_only });
    Ok(globs)
}

fn body(path: &str, pattern: &str) -> Result<String, FilterError> {
    let mut glob = String::new();
    if !path.contains(['*', '?', '[']) {
        path.chars().for_each(|c| literal(&mut glob, c));
        return Ok(glob);
    }
    let mut rest = path.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => literal(&mut glob, rest.next().unwrap_or('\\')),
            '*' => {
                let mut many = false;
                while rest.next_if_eq(&'*').is_some() {
                    many = true;
                }
                glob += if many { ANYTHING } else { "*" };
            }
            '?' => glob.push('?'),
            '[' => {
                let class = class(&mut rest).and_then(|class| class.glob());
                glob += &class.ok_or_else(|| FilterError::Class(pattern.to_owned()))?;
            }
            c => literal(&mut glob, c),
        }
    }
    Ok(glob)
}

fn literal(glob: &mut String, c: char) {
    if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | ',' | '\\') {
        glob.push('\\');
    }
    glob.push(c);
}

/// A class of ASCII characters.
struct Class {
    negated: bool,
    members: [bool; 128],
}

/// Reads a class behind its `[`. `None`: it is none that can be used.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Class> {
    let negated = rest.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut class = Class {
        negated,
        members: [false; 128],
    };
    let mut first = true;
    loop {
        let low = match rest.next()? {
            ']' if !first => return Some(class),
            '[' if rest.peek() == Some(&':') => {
                class.add_named(rest)?;
                first = false;
                continue;
            }
            '\\' => rest.next()?,
            c => c,
        };
        first = false;
        let mut ahead = rest.clone();
        let high = match (ahead.next(), ahead.peek()) {
            (Some('-'), Some(high)) if *high != ']' => {
                rest.next();
                match rest.next()? {
                    '\\' => rest.next()?,
                    high => high,
                }
            }
            _ => low,
        };
        if !(low.is_ascii() && high.is_ascii()) {
            return None;
        }
        (low as u8..=high as u8).for_each(|c| class.members[usize::from(c)] = true);
    }
}

impl Class {
    /// Reads `:alpha:]` and the like.
    fn add_named(&mut self, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<()> {
        rest.next();
        let mut name = String::new();
        while let Some(c) = rest.next_if(char::is_ascii_lowercase) {
            name.push(c);
        }
        (rest.next()? == ':' && rest.next()? == ']').then_some(())?;
        let is_member: fn(&u8) -> bool = match &name[..] {
            "alnum" => u8::is_ascii_alphanumeric,
            "alpha" => u8::is_ascii_alphabetic,
            "blank" => |c| matches!(c, b' ' | b'\t'),
            "cntrl" => u8::is_ascii_control,
            "digit" => u8::is_ascii_digit,
            "graph" => u8::is_ascii_graphic,
            "lower" => u8::is_ascii_lowercase,
            "print" => |c| matches!(c, b' '..=b'~'),
            "punct" => u8::is_ascii_punctuation,
            "space" => |c| matches!(c, b' ' | b'\t'..=b'\r'),
            "upper" => u8::is_ascii_uppercase,
            "xdigit" => u8::is_ascii_hexdigit,
            _ => return None,
        };
        for c in 0..128 {
            self.members[usize::from(c)] |= is_member(&c);
        }
        Some(())
    }

    /// As globset writes it. It has no escapes in classes, so that each character that means
    /// something there has to stand where it does not. `None`: nothing is in it.
    fn glob(mut self) -> Option<String> {
        self.members[usize::from(b'/')] = self.negated;
        let special = |c: &u8| matches!(c, b']' | b'-' | b'!' | b'^');
        let mut plain = String::new();
        let mut c = 0;
        while c < 128 {
            let is_plain = |c: u8| self.members[usize::from(c)] && !special(&c);
            if !is_plain(c) {
                c += 1;
                continue;
            }
            let low = c;
            while c < 127 && is_plain(c + 1) {
                c += 1;
            }
            plain.push(low.into());
            if c > low {
                plain.push('-');
                plain.push(c.into());
            }
            c += 1;
        }
        let has = |c: u8| self.members[usize::from(c)];
        let when = |c: u8| {
            if has(c) {
                (c as char).to_string()
            } else {
                String::new()
            }
        };
        let (bracket, dash) = (when(b']'), when(b'-'));
        let marks = when(b'!') + &when(b'^');
        Some(
            match (
                bracket.is_empty() && plain.is_empty(),
                &dash[..],
                &marks[..],
            ) {
                (true, "", "") => return None,
                (true, "", "!^") => "{!,^}".into(),
                (true, "", mark) => mark.into(),
                // First of all it means itself.
                (true, dash, marks) => format!("[{dash}{marks}]"),
                (false, dash, marks) => {
                    let not = if self.negated { "!" } else { "" };
                    format!("[{not}{bracket}{plain}{marks}{dash}]")
                }
            },
        )
    }
}
