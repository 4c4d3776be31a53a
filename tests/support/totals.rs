//! What always holds between the figures of a summary, as `docs/JSON.md` states it. Everything that a
//! test has the program print with `--json` goes through here.

use serde_json::Value;

const KINDS: [&str; 4] = ["files", "dirs", "symlinks", "specials"];

/// One line of totals.
struct Totals<'a>(&'a Value);

impl Totals<'_> {
    #[track_caller]
    fn get(&self, field: &str) -> u64 {
        let figure = self.0[field].as_u64();
        figure.unwrap_or_else(|| panic!("no {field} in {}", self.0))
    }

    fn sum(&self, fields: &[&str]) -> u64 {
        fields.iter().map(|field| self.get(field)).sum()
    }

    #[track_caller]
    fn hold(&self, holds: bool, what: &str) {
        assert!(holds, "not so: {what}: {}", self.0);
    }

    #[track_caller]
    fn none(&self, fields: &[&str]) {
        self.hold(self.sum(fields) == 0, &format!("{fields:?} are 0"));
    }

    /// Those that are counted by kind add up.
    fn add_up(&self) {
        let fields = self.0.as_object().unwrap().keys();
        for name in fields.filter_map(|field| field.strip_prefix("entries_")) {
            let field = |of| format!("{of}_{name}");
            if self.0.get(field("dirs")).is_none() {
                continue;
            }
            let kinds: u64 = KINDS.iter().map(|of| self.get(&field(of))).sum();
            let all = self.get(&field("entries"));
            self.hold(kinds <= all, &format!("the kinds of entries_{name}"));
        }
    }
}

/// Checks the totals among the lines of a run that ended with `code`.
#[track_caller]
pub(crate) fn check(lines: &[Value], code: i32) {
    for (nth, line) in lines.iter().enumerate() {
        let totals = Totals(line);
        match (line["type"].as_str(), line["command"].as_str()) {
            (Some("summary"), Some("copy")) => copy(&totals, lines),
            (Some("summary"), Some("verify")) => verify(&totals, &lines[..nth]),
            (Some("summary"), Some("repair")) => repair(&totals),
            (Some("summary"), Some("clean")) => clean(&totals),
            (Some("status"), _) => status(&totals, code),
            _ => continue,
        }
        totals.add_up();
    }
    if let Some(last) = lines.last().filter(|line| line["type"] == "summary") {
        // A summary that could not be printed is an I/O error.
        let lost = code == 11 && last["exit_code"] == 0;
        assert!(last["exit_code"] == code || lost, "{code}: {last}");
    }
}

fn copy(totals: &Totals<'_>, lines: &[Value]) {
    let problems = lines.iter().filter(|line| line["type"] == "problem");
    let problems = problems.count() as u64;
    let failed = totals.get("entries_failed");
    totals.hold(failed <= problems, "each failure has its line");
    let there = totals.sum(&["files_unchanged", "dirs", "symlinks", "specials"]);
    totals.hold(
        totals.get("entries_mended") <= there,
        "what is mended is unchanged",
    );
    totals.hold(
        totals.get("files_mended") <= totals.get("files_unchanged"),
        "files that are mended are unchanged",
    );
    let copied = [
        "files_copied",
        "files_unchanged",
        "files_adopted",
        "symlinks",
    ];
    totals.hold(
        totals.get("sources_removed") <= totals.sum(&copied),
        "only what is there is removed from the source",
    );
    let read = totals.sum(&["read_direct", "read_evicted", "read_cached"]);
    totals.hold(
        read <= totals.get("files_read_back"),
        "files are read in one way",
    );
    let dry = totals.0["dry_run"] == true;
    if dry {
        totals.none(&["bytes_durable", "bytes_rehashed", "bytes_read_back"]);
        let written = totals.sum(&["bytes_copied", "bytes_resumed"]);
        totals.hold(
            written <= totals.get("bytes_total"),
            "no more is copied than is there",
        );
    }
    let (durable, total) = (totals.get("bytes_durable"), totals.get("bytes_total"));
    let warned = lines.iter().any(|line| line["type"] == "warning");
    match totals.get("exit_code") {
        0 => {
            totals.none(&["entries_failed"]);
            let done = [
                "files_adopted",
                "files_copied",
                "entries_skipped",
                "entries_deleted",
            ];
            totals.hold(
                there + totals.sum(&done) > 0,
                "something was done or is there",
            );
            totals.hold(dry || durable == total, "all that is there is durable");
        }
        23 | 24 => {
            totals.hold(problems > 0 || warned, "what failed is named");
            totals.hold(dry || durable >= total, "all that is there is durable");
        }
        25 => totals.hold(dry || durable >= total, "all that is there is durable"),
        _ => {}
    }
}

const DAMAGED: [&str; 6] = [
    "files_corrupt",
    "entries_modified",
    "entries_metadata",
    "entries_missing",
    "entries_incomplete",
    "entries_unreadable",
];

fn verify(totals: &Totals<'_>, lines: &[Value]) {
    let changed = ["source_edited", "source_missing", "source_unreadable"];
    let good = ["entries_ok", "files_sampled", "files_unread"];
    let passed = totals.sum(&["entries_before", "entries_recent"]);
    let judged = totals.sum(&good)
        + totals.sum(&DAMAGED)
        + totals.sum(&["files_unproven", "entries_unknown"]);
    let sources = totals.sum(&changed) + totals.get("source_rotten");
    match totals.get("exit_code") {
        0 => {
            totals.none(&DAMAGED);
            totals.none(&changed);
            totals.none(&["files_unproven", "entries_unknown", "source_rotten"]);
            totals.hold(judged + passed > 0, "something was checked");
        }
        23 => totals.hold(
            totals.get("files_unproven") + totals.sum(&changed) > 0,
            "something is unproven, or a source changed",
        ),
        40 => totals.hold(
            totals.sum(&DAMAGED) + totals.get("source_rotten") > 0,
            "something is damaged",
        ),
        _ => {}
    }
    totals.hold(
        totals.get("both_changed") <= sources,
        "both sides are one of two",
    );
    let damaged = !totals.0["manifest_damage"].is_null();
    totals.hold(
        !damaged || ![0, 23, 40].contains(&totals.get("exit_code")),
        "a damaged manifest is told by the exit code",
    );
    let ended = matches!(totals.get("exit_code"), 0 | 23 | 40);
    let opened = lines.iter().find(|line| line["type"] == "opened");
    if let Some(opened) = opened.filter(|_| ended) {
        let opened = Totals(opened);
        opened.add_up();
        // Several sources may have one name.
        let rebuilds = totals.0.get("entries_recorded").is_some();
        let all = rebuilds || judged >= opened.get("entries_total");
        totals.hold(all, "everything was judged");
        for field in ["entries_before", "entries_recent"] {
            totals.hold(totals.get(field) == opened.get(field), field);
        }
    }
}

fn repair(totals: &Totals<'_>) {
    if totals.get("exit_code") == 0 {
        totals.none(&["entries_left", "entries_failed"]);
    }
}

fn clean(totals: &Totals<'_>) {
    if totals.get("partials_removed") == 0 {
        totals.none(&["bytes_freed"]);
    }
}

fn status(totals: &Totals<'_>, code: i32) {
    let body = totals.0;
    let list = |of: &Value, field: &str| of[field].as_array().unwrap().clone();
    let partial = list(body, "partial");
    let bytes = partial
        .iter()
        .map(|of| Totals(of).get("bytes"))
        .sum::<u64>();
    let count = partial.len() as u64;
    totals.hold(
        count <= totals.get("files_partial"),
        "what is partial is counted",
    );
    totals.hold(
        bytes <= totals.get("bytes_partial"),
        "its bytes are counted",
    );
    for of in partial.iter().map(Totals) {
        of.hold(
            of.get("bytes") <= of.get("of"),
            "a partial is no larger than its file",
        );
    }
    for of in list(body, "verified").iter().map(Totals) {
        let files = of.get("files");
        of.hold(of.get("files_never") <= files, "files_never");
        of.hold(of.get("files_cached") <= files, "files_cached");
        of.hold(
            of.0["oldest_ms"].as_u64() <= of.0["newest_ms"].as_u64(),
            "times",
        );
    }
    let run = Totals(&body["last_run"]);
    if !run.0.is_null() {
        let listed = list(run.0, "failures").len() as u64;
        run.hold(listed <= run.get("entries_failed"), "failures are counted");
        let ended = !run.0["ended_ms"].is_null();
        run.hold(
            ended || run.0["exit_code"].is_null(),
            "no exit without an end",
        );
    }
    let damaged = !body["manifest_damage"].is_null();
    totals.hold(
        !damaged || code == 44,
        "a damaged manifest is told by the exit code",
    );
}
