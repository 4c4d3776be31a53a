//! `--report`: one page that says what was copied or verified, and how it went. It refers to nothing
//! outside itself, and its size does not grow with the tree's.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sprag::error::Error;
use sprag::exit::Exit;
use sprag::path::{Printable, RelPath};

use super::hashes::HashList;
use super::html::Html;
use super::series::Series;
use super::{Damaged, End, Manifest, Subject, svg};
use crate::cli::{summary, units, whole_file};

/// So many problems and warnings are named each.
const NAMED_MAX: usize = 1000;
/// So many files get a map of their blocks.
const MAPS_MAX: usize = 50;
/// So many damaged ranges of a file are kept.
const RANGES_MAX: usize = 10_000;

const STYLE: &str = include_str!("page.css");

/// A report, gathered while the run goes on.
pub(super) struct Page {
    file: PathBuf,
    command: String,
    dest: PathBuf,
    sources: Vec<PathBuf>,
    /// Whether there is a manifest, and one that is kept elsewhere.
    manifest: Option<Option<PathBuf>>,
    started_ms: u64,
    series: Series,
    problems: Named,
    warnings: Named,
    maps: Vec<Map>,
}

/// The first of many texts, and how many there were.
#[derive(Default)]
struct Named {
    first: Vec<(String, String)>,
    all: u64,
}

impl Named {
    fn add(&mut self, kind: &str, text: &str) {
        self.all += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push((kind.to_owned(), text.to_owned()));
        }
    }
}

/// A file of which a part is damaged.
struct Map {
    path: RelPath,
    ranges: Vec<Range<u64>>,
    /// There were more of them than are kept.
    more: bool,
}

impl Page {
    pub(super) fn new(file: &Path, command: &str, subject: &Subject<'_>) -> Page {
        Page {
            file: file.to_path_buf(),
            command: command.to_owned(),
            dest: subject.dest.to_path_buf(),
            sources: subject.sources.to_vec(),
            manifest: match subject.manifest {
                Manifest::There => Some(None),
                Manifest::Kept(file) => Some(Some(file.to_path_buf())),
                Manifest::Unasked => None,
            },
            started_ms: now_ms(),
            series: Series::new(),
            problems: Named::default(),
            warnings: Named::default(),
            maps: Vec::new(),
        }
    }

    pub(super) fn warning(&mut self, text: &str) {
        self.warnings.add("warning", text);
    }

    pub(super) fn problem(&mut self, kind: &str, text: &str, damaged: Option<&Damaged<'_>>) {
        self.problems.add(kind, text);
        if let Some(damaged) = damaged.filter(|_| self.maps.len() < MAPS_MAX) {
            let ranges = damaged.ranges.iter().take(RANGES_MAX).cloned();
            self.maps.push(Map {
                path: damaged.path.clone(),
                ranges: ranges.collect(),
                more: damaged.ranges.len() > RANGES_MAX,
            });
        }
    }

    pub(super) fn sample(&mut self, at: Duration, written: u64, durable: u64) {
        self.series.take(at, written, durable);
    }

    /// Writes the page. By now the run is over and its manifest unlocked.
    pub(super) fn write(mut self, end: &End<'_>) -> anyhow::Result<()> {
        if end.exit == Exit::Done {
            self.series.end(end.elapsed_ms, end.bytes);
        }
        let page = self.render(end);
        whole_file::write(&self.file, |out| Ok(out.write_all(page.as_bytes())?))
    }

    fn render(&self, end: &End<'_>) -> String {
        let mut page = Html::default();
        page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page.raw("<meta name=\"viewport\" content=\"width=device-width\">\n");
        page.element("title", format_args!("sprag: {}", Printable(&self.dest)));
        page.raw("<style>\n").raw(STYLE).raw("</style>\n</head>\n");
        page.raw(match end.exit {
            Exit::Done => "<body class=\"done\">\n",
            _ => "<body class=\"failed\">\n",
        });
        page.element("h1", self.title());
        page.raw("<p class=\"verdict\">")
            .text(capital(end.exit.meaning()));
        page.raw("</p>\n");
        if let Some(failure) = end.failure {
            page.raw("<p class=\"failure\">")
                .text(failure)
                .raw("</p>\n");
        }
        for line in end.text.lines() {
            page.element("p", line);
        }
        if !end.text.contains("Read back:") {
            page.element(
                "p",
                "Nothing was read back in this run; sprag verify does that.",
            );
        }
        let manifest = self.manifest.as_ref().map(Option::as_deref);
        let state = manifest.and_then(|kept| sprag::status(self.holder(), kept).ok());
        self.about(&mut page, end, state.as_ref());
        self.charts(&mut page);
        named(&mut page, "Problems", &self.problems);
        named(&mut page, "Warnings", &self.warnings);
        self.block_maps(&mut page, state.as_ref());
        figures(&mut page, end);
        if let Some(kept) = manifest {
            hash_list(&mut page, HashList::of(self.holder(), kept));
        }
        page.raw("</body>\n</html>\n");
        page.finish()
    }

    /// The directory whose manifest it is.
    fn holder(&self) -> &Path {
        summary::state_dir(&self.dest)
    }

    fn title(&self) -> String {
        let dest = Printable(&self.dest);
        match self.sources.is_empty() {
            true => format!("Verification of {dest}"),
            false => format!("Copy to {dest}"),
        }
    }

    fn about(&self, page: &mut Html, end: &End<'_>, state: Option<&sprag::Status>) {
        page.raw("<h2>What, where, when</h2>\n<table>\n");
        for source in &self.sources {
            page.row("From", Printable(source));
        }
        let whole = std::path::absolute(&self.dest).unwrap_or_else(|_| self.dest.clone());
        page.row(
            if self.sources.is_empty() { "Of" } else { "To" },
            Printable(&whole),
        );
        page.row("To repeat", &self.command);
        page.row("Begun", units::utc(self.started_ms));
        page.row("Ended", units::utc(now_ms()));
        page.row(
            "Took",
            units::duration(Duration::from_millis(end.elapsed_ms)),
        );
        let host = rustix::system::uname();
        page.row("On", host.nodename().to_string_lossy());
        page.row("By", concat!("sprag ", env!("CARGO_PKG_VERSION")));
        if let Some(state) = state {
            page.row("Manifest", &state.manifest_id);
            let files = units::count(state.files_done, "file", "files");
            let bytes = units::size(state.bytes_done);
            page.row("There now", format_args!("{files}, {bytes}"));
        }
        page.raw("</table>\n");
    }

    fn charts(&self, page: &mut Html) {
        let samples = self.series.samples();
        let charts = [svg::speed(samples), svg::lag(samples)];
        if charts.iter().any(Option::is_some) {
            page.raw("<h2>Over time</h2>\n");
        }
        for chart in charts.into_iter().flatten() {
            page.raw(&chart).raw("\n");
        }
    }

    fn block_maps(&self, page: &mut Html, state: Option<&sprag::Status>) {
        let partial = state.map_or(&[][..], |state| &state.partial);
        let block = state.map_or(1 << 20, |state| state.block_size);
        if self.maps.is_empty() && partial.is_empty() {
            return;
        }
        page.raw("<h2>Damaged and partial files</h2>\n<p class=\"legend\">");
        page.raw("<span class=\"good\"></span> good <span class=\"missing\"></span> not copied ");
        page.raw("<span class=\"bad\"></span> damaged</p>\n");
        page.element(
            "p",
            "Each square is a block, or as many of them as is said; then as much of it is in a \
             colour as of its blocks are so, and pointing at it shows how many.",
        );
        for map in &self.maps {
            let end = map.ranges.last().map_or(0, |range| range.end);
            let at = map.path.below(&self.dest);
            // Of a file that is gone by now, what is known to be damaged.
            let size = std::fs::symlink_metadata(at).map_or(0, |stat| stat.len());
            let size = size.max(end);
            page.element("h3", format_args!("{} ({})", map.path, units::size(size)));
            if map.more {
                page.element(
                    "p",
                    format_args!(
                        "Only the first {RANGES_MAX} damaged ranges are shown. Of what is behind \
                         them, in white, the summary and the log tell."
                    ),
                );
            }
            let blocks = svg::Blocks {
                size,
                block,
                there: size,
                bad: &map.ranges,
                known: if map.more { end } else { size },
            };
            picture(page, &blocks);
        }
        for file in partial {
            let (bytes, of) = (units::size(file.bytes), units::size(file.of));
            page.element("h3", format_args!("{} ({bytes} of {of})", file.path));
            let blocks = svg::Blocks {
                size: file.of,
                block,
                there: file.bytes,
                bad: &[],
                known: file.of,
            };
            picture(page, &blocks);
        }
    }
}

fn picture(page: &mut Html, blocks: &svg::Blocks<'_>) {
    if blocks.each() > 1 {
        page.element("p", format_args!("A square is {} blocks.", blocks.each()));
    }
    page.raw(&svg::block_map(blocks));
}

fn named(page: &mut Html, title: &str, named: &Named) {
    if named.all == 0 {
        return;
    }
    page.element("h2", format_args!("{title} ({})", named.all));
    page.raw("<ul>\n");
    for (kind, text) in &named.first {
        page.raw("<li><b>").text(kind).raw("</b> ").text(text);
        page.raw("</li>\n");
    }
    let more = named.all - named.first.len() as u64;
    if more > 0 {
        page.element(
            "li",
            format_args!("and {more} more; the log file has them all"),
        );
    }
    page.raw("</ul>\n");
}

fn figures(page: &mut Html, end: &End<'_>) {
    page.raw("<h2>Totals</h2>\n<table class=\"figures\">\n");
    for (name, value) in &end.figures {
        let what = capital(&name.replace('_', " "));
        match value.as_u64().filter(|_| name.starts_with("bytes_")) {
            Some(bytes) => page.row(what, format_args!("{bytes} ({})", units::size(bytes))),
            // There is nothing to say of it.
            None if value.is_null() => continue,
            None => page.row(what, value),
        };
    }
    page.raw("</table>\n");
}

fn hash_list(page: &mut Html, list: Result<HashList, Error>) {
    page.raw("<h2>Hashes</h2>\n");
    let list = match list {
        Ok(list) => list,
        Err(error) => {
            page.element("p", format_args!("They could not be read: {error}"));
            return;
        }
    };
    page.element(
        "p",
        format_args!(
            "{} with BLAKE3 hashes are recorded. The list that sprag export prints has this BLAKE3 \
             hash itself:",
            units::count(list.files, "file", "files")
        ),
    );
    page.raw("<p class=\"digest\">")
        .text(&list.digest)
        .raw("</p>\n");
    page.raw("<details><summary>");
    page.text(match list.files > list.lines.len() as u64 {
        true => format!("The first {} of them", list.lines.len()),
        false => "All of them".to_owned(),
    });
    page.raw("</summary>\n<pre>");
    for line in &list.lines {
        page.text(line).raw("\n");
    }
    page.raw("</pre></details>\n");
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
