//! What a copy leaves at the destination, first time and again.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::support::*;

#[test]
fn a_copy_is_the_same_as_its_source_and_a_rerun_copies_nothing() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 60, &[3 << 20, (5 << 20) + 7]);
    let first = fixture.copy(0);
    fixture.assert_same();
    assert_eq!(first.sum("files_copied"), 60 + 2 + 4);
    assert_eq!(first.sum("bytes_durable"), first.sum("bytes_total"));
    let again = fixture.copy(0);
    assert_eq!(again.sum("bytes_copied"), 0);
    assert_eq!(again.sum("files_copied"), 0);
    assert_eq!(again.sum("files_unchanged"), 66);
    assert_eq!(again.sum("bytes_rehashed"), 0);
    fixture.assert_same();
}

#[test]
fn entries_that_are_unchanged_are_counted_though_nobody_wants_to_hear_of_each() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 60, &[3 << 20]);
    fixture.copy(0);
    write(fixture.source.join("one more"), "new");
    let run = |tells: bool| {
        let mut options = sprag::CopyOptions::new([&fixture.source], &fixture.dest);
        options.tell_unchanged = tells;
        let mut told = 0;
        for event in sprag::copy(options).unwrap() {
            match event {
                sprag::Event::Entry { outcome, .. } => {
                    let unchanged = outcome == sprag::event::Outcome::Unchanged;
                    told += u64::from(unchanged);
                }
                sprag::Event::Finished { summary, .. } => return (told, *summary),
                _ => {}
            }
        }
        panic!("no end");
    };
    copy(0, [&fixture.source, &fixture.dest]);
    let (told, expected) = run(true);
    let entries = walkdir::WalkDir::new(&fixture.source).into_iter().count();
    assert_eq!(told, entries as u64);
    let (told, summary) = run(false);
    assert_eq!(told, 0);
    assert_eq!(
        (summary.files_unchanged, summary.bytes_total, summary.dirs),
        (
            expected.files_unchanged,
            expected.bytes_total,
            expected.dirs
        )
    );
    assert_eq!(summary.symlinks, expected.symlinks);
}

#[test]
fn every_entry_is_counted_once() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 20, &[2 << 20]);
    let ran = fixture.copy(0);
    let entries = walkdir::WalkDir::new(&fixture.source).into_iter().count();
    let counts = [
        "files_copied",
        "files_unchanged",
        "files_adopted",
        "entries_skipped",
        "entries_failed",
        "dirs",
        "symlinks",
    ];
    let total: u64 = counts.iter().map(|count| ran.sum(count)).sum();
    assert_eq!(total, entries as u64);
}

#[test]
fn a_source_without_a_slash_is_copied_under_its_name_and_several_go_side_by_side() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    let file = fixture.temp.path().join("one file");
    write(&file, "single");
    fs::create_dir(&fixture.dest).unwrap();
    copy(0, [&fixture.source, &file, &fixture.dest]);
    assert_eq!(fs::read(fixture.dest.join("source/a")).unwrap(), b"a");
    assert_eq!(fs::read(fixture.dest.join("one file")).unwrap(), b"single");
}

#[test]
fn one_file_can_be_copied_under_a_new_name() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "content");
    let dest = fixture.temp.path().join("b");
    copy(0, [&fixture.source.join("a"), &dest]);
    assert_eq!(fs::read(&dest).unwrap(), b"content");
    assert!(fixture.temp.path().join(".sprag/manifest").exists());
}

#[test]
fn hard_links_stay_hard_links_and_are_made_again_when_broken() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "shared");
    for name in ["b", "c"] {
        fs::hard_link(fixture.source.join("a"), fixture.source.join(name)).unwrap();
    }
    fixture.copy(0);
    let ino = |name: &str| fs::metadata(fixture.dest.join(name)).unwrap().ino();
    assert!(ino("a") == ino("b") && ino("b") == ino("c"));
    fs::remove_file(fixture.dest.join("b")).unwrap();
    write(fixture.dest.join("b"), "shared");
    fixture.copy(0);
    assert_eq!(ino("a"), ino("b"));
    fixture.assert_same();
}

#[test]
fn a_changed_source_file_replaces_its_copy_and_nothing_else_is_written() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20]);
    fixture.copy(0);
    write(fixture.source.join("large0"), vec![7; 3 << 20]);
    let ran = fixture.copy(0);
    assert_eq!(ran.sum("files_copied"), 1);
    assert_eq!(ran.sum("bytes_copied"), 3 << 20);
    fixture.assert_same();
}

#[test]
fn a_file_that_stands_there_already_is_adopted_if_it_is_the_same_and_replaced_if_not() {
    let fixture = Fixture::new();
    let content = Rng::new(5).bytes(3 << 20);
    for name in ["same", "small same", "other"] {
        let content = if name == "small same" {
            &content[..5]
        } else {
            &content[..]
        };
        write(fixture.source.join(name), content);
        write(fixture.dest.join(name), content);
        age(&fixture.source.join(name), 3);
    }
    let mut other = content.clone();
    other[2 << 20] ^= 1;
    write(fixture.dest.join("other"), &other);
    let inode = fs::metadata(fixture.dest.join("same")).unwrap().ino();
    let ran = fixture.copy(0);
    assert_eq!(ran.sum("files_adopted"), 2);
    assert_eq!(ran.sum("files_copied"), 1);
    assert_eq!(ran.sum("bytes_copied"), 3 << 20);
    assert_eq!(
        fs::metadata(fixture.dest.join("same")).unwrap().ino(),
        inode
    );
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    assert_eq!(fixture.copy(0).sum("files_unchanged"), 3);
}

#[test]
fn a_directory_is_never_deleted_to_place_a_file_nor_a_file_to_place_a_directory() {
    let fixture = Fixture::new();
    write(fixture.source.join("thing"), "a file");
    write(fixture.source.join("dir/below"), "x");
    write(fixture.source.join("good"), "good");
    write(fixture.dest.join("thing/inside"), "kept");
    write(fixture.dest.join("dir"), "kept too");
    let ran = fixture.copy(23);
    let mut problems = ran.problems();
    problems.sort();
    let conflict = |path: &str| (path.to_string(), "conflict".to_string());
    assert_eq!(problems, [conflict("dir"), conflict("thing")]);
    assert_eq!(
        fs::read(fixture.dest.join("thing/inside")).unwrap(),
        b"kept"
    );
    assert_eq!(fs::read(fixture.dest.join("dir")).unwrap(), b"kept too");
    assert_eq!(fs::read(fixture.dest.join("good")).unwrap(), b"good");
}

#[test]
fn a_symlink_at_the_destination_is_replaced_and_never_written_through() {
    let fixture = Fixture::new();
    let outside = fixture.temp.path().join("outside");
    write(outside.join("victim"), "untouched");
    write(fixture.source.join("file"), "new content");
    write(fixture.source.join("dir/file"), "below");
    fs::create_dir(&fixture.dest).unwrap();
    symlink(outside.join("victim"), fixture.dest.join("file")).unwrap();
    symlink(&outside, fixture.dest.join("dir")).unwrap();
    let ran = fixture.copy(23);
    assert_eq!(ran.problems(), [("dir".into(), "conflict".into())]);
    assert_eq!(fs::read(fixture.dest.join("file")).unwrap(), b"new content");
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"untouched");
    assert!(!outside.join("file").exists());
}

#[test]
fn restart_forgets_progress_but_takes_over_what_is_whole() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20]);
    fixture.copy(0);
    let args = ["--restart".into(), fixture.contents(), fixture.dest.clone()];
    let ran = copy(0, args);
    assert_eq!(ran.sum("bytes_copied"), 0);
    assert_eq!(
        ran.sum("files_adopted") + ran.sum("files_copied"),
        10 + 1 + 4
    );
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn the_state_of_another_destination_inside_the_source_is_not_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    copy(0, ["/dev/null".into(), fixture.source.clone()]);
    fs::remove_file(fixture.source.join("null")).unwrap();
    fixture.copy(0);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    assert_eq!(
        fs::read_dir(fixture.dest.join(".sprag")).unwrap().count(),
        2,
        "a manifest and its copy"
    );
}

#[test]
fn two_sources_with_the_same_name_clash_and_the_first_wins() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.temp.path().join("a"), fixture.temp.path().join("b"));
    write(a.join("x/one"), "from a");
    write(b.join("x/one"), "from b");
    write(b.join("x/two"), "only b");
    let ran = copy(
        23,
        [a.join("x"), b.join("x"), {
            fs::create_dir(&fixture.dest).unwrap();
            fixture.dest.clone()
        }],
    );
    assert_eq!(ran.problems(), [("x/one".into(), "clash".into())]);
    assert_eq!(fs::read(fixture.dest.join("x/one")).unwrap(), b"from a");
    assert_eq!(fs::read(fixture.dest.join("x/two")).unwrap(), b"only b");
}

#[test]
fn a_source_that_is_named_twice_by_any_path_is_copied_once_and_that_is_said() {
    let fixture = Fixture::new();
    let link = fixture.temp.path().join("link");
    write(fixture.source.join("dir/f"), "content");
    write(fixture.source.join("f"), "more");
    symlink(&fixture.source, &link).unwrap();
    fs::create_dir(&fixture.dest).unwrap();
    let (source, slash) = (&fixture.source, fixture.contents());
    for (first, second, files) in [
        (source.join("f"), source.join("f"), 1),
        (source.join("f"), source.join("dir/../f"), 1),
        (source.join("f"), link.join("f"), 1),
        (source.join("dir"), link.join("dir"), 1),
        (slash.clone(), link.join(""), 2),
        (slash.clone(), source.join("dir"), 2),
        (source.join("dir"), slash.clone(), 2),
        (source.join("f"), slash.clone(), 2),
    ] {
        fs::remove_dir_all(&fixture.dest).unwrap();
        fs::create_dir(&fixture.dest).unwrap();
        let args = [first.clone(), second.clone(), fixture.dest.clone()];
        let dry = run("copy", [vec!["-n".into()], args.to_vec()].concat());
        let ran = copy(0, args);
        let is_note = |line: &serde_json::Value| {
            line["type"] == "warning" && line.to_string().contains("copied once")
        };
        let says_so = |ran: &Ran| ran.lines.iter().filter(|line| is_note(line)).count() == 1;
        assert!(says_so(&dry) && says_so(&ran), "{first:?} {second:?}");
        assert_eq!(dry.sum("files_copied"), files, "{first:?} {second:?}");
        assert_eq!(ran.sum("files_copied"), files, "{first:?} {second:?}");
        assert_eq!(ran.sum("bytes_total"), ran.sum("bytes_copied"));
    }
}

#[test]
fn two_files_for_one_name_clash_though_they_have_the_same_content() {
    let fixture = Fixture::new();
    for dir in ["a", "b"] {
        write(fixture.source.join(dir).join("f"), "same");
    }
    fs::create_dir(&fixture.dest).unwrap();
    let from = |dir: &str| fixture.source.join(dir).join("f");
    let ran = copy(23, [from("a"), from("b"), fixture.dest.clone()]);
    assert_eq!(ran.problems(), [("f".into(), "clash".into())]);
}

/// Copies a file that takes a while to read, and does something in the middle of that.
fn copy_while(fixture: &Fixture, change: impl FnOnce()) -> std::process::Output {
    let mut command = sprag();
    let child = command
        .args(["copy", "--bwlimit=12M", "--no-progress"])
        .args([fixture.contents(), fixture.dest.clone()])
        .spawn();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    change();
    end_within(120, child.unwrap())
}

#[test]
fn a_file_that_another_one_replaces_while_it_is_read_is_copied_anew() {
    let fixture = Fixture::new();
    let (file, new) = (
        fixture.source.join("dir/f"),
        fixture.temp.path().join("new"),
    );
    write(&file, vec![1; 32 << 20]);
    write(&new, "new");
    copy_while(&fixture, || fs::rename(&new, &file).unwrap());
    assert_eq!(fs::read(fixture.dest.join("dir/f")).unwrap(), b"new");
}

#[test]
fn a_file_whose_directory_another_one_replaces_while_it_is_read_is_copied_anew() {
    let fixture = Fixture::new();
    let (dir, new) = (fixture.source.join("dir"), fixture.temp.path().join("new"));
    write(dir.join("f"), vec![1; 32 << 20]);
    write(new.join("f"), "new");
    // Nothing of it shows in what the file itself says.
    copy_while(&fixture, || {
        fs::rename(&dir, fixture.temp.path().join("old")).unwrap();
        fs::rename(&new, &dir).unwrap();
    });
    assert_eq!(fs::read(fixture.dest.join("dir/f")).unwrap(), b"new");
}

#[test]
fn a_file_that_keeps_changing_is_reported_and_not_published() {
    let fixture = Fixture::new();
    let path = fixture.source.join("log");
    write(&path, vec![1; 128 << 20]);
    write(fixture.source.join("steady"), "steady");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let file = fs::File::options().append(true).open(&path).unwrap();
            let mut now = std::time::SystemTime::now();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                now += std::time::Duration::from_nanos(1);
                file.set_modified(now).unwrap();
            }
        }
    });
    let ran = fixture.copy(24);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(ran.problems(), [("log".into(), "changing".into())]);
    assert!(!fixture.dest.join("log").exists());
    assert!(fixture.dest.join("steady").exists());
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn a_directory_keeps_its_time_when_a_rerun_puts_only_a_directory_into_it() {
    let fixture = Fixture::new();
    write(fixture.source.join("dir/file"), "one");
    age(&fixture.source.join("dir"), 1);
    fixture.copy(0);
    fs::create_dir(fixture.source.join("dir/new")).unwrap();
    age(&fixture.source.join("dir"), 1);
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn a_directory_gets_the_time_of_its_source_now_even_if_it_had_it_before_something_came_into_it() {
    let fixture = Fixture::new();
    write(fixture.source.join("dir/file"), "one");
    age(&fixture.source.join("dir"), 1);
    fixture.copy(0);
    write(fixture.source.join("dir/new"), "two");
    // As if another tool had been there, or a crash had lost the record and not the time.
    age(&fixture.source.join("dir"), 2);
    age(&fixture.dest.join("dir"), 2);
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn hard_links_and_directory_times_wait_for_a_barrier_that_is_under_way_at_the_end() {
    // The last file fills a barrier, so that nothing is left to begin another for.
    for checkpoint in ["64K", "128K", "192K"] {
        let fixture = Fixture::new();
        write(fixture.source.join("dir/one"), vec![1; 64 << 10]);
        write(fixture.source.join("dir/two"), vec![2; 64 << 10]);
        fs::hard_link(fixture.source.join("dir/two"), fixture.source.join("link")).unwrap();
        age(&fixture.source.join("dir"), 1);
        let size =
            ["--block-size", "64K", "--checkpoint-size", checkpoint].map(std::path::PathBuf::from);
        let paths = [fixture.contents(), fixture.dest.clone()];
        copy(0, size.into_iter().chain(paths));
        fixture.assert_same();
    }
}

#[test]
fn a_file_that_goes_on_behind_its_size_is_not_cut_off_there() {
    let source = Path::new("/proc/version");
    if fs::read(source).is_ok_and(|content| content.is_empty()) || !source.exists() {
        return skip("a_file_that_goes_on_behind_its_size", "/proc/version");
    }
    let fixture = Fixture::new();
    fs::create_dir(&fixture.dest).unwrap();
    let ran = copy(24, [source, &fixture.dest]);
    assert_eq!(ran.problems(), [("version".into(), "changing".into())]);
    assert!(!fixture.dest.join("version").exists());
}

#[test]
fn a_tree_deeper_than_the_limit_of_open_files_is_copied() {
    let fixture = Fixture::new();
    let mut dir = fixture.source.clone();
    for _ in 0..300 {
        dir.push("d");
    }
    write(dir.join("leaf"), "leaf");
    for file in ["z", "d/z", "d/d/d/z"] {
        write(fixture.source.join(file), "z");
    }
    let script = "ulimit -n 128; exec \"$0\" copy -q \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_sprag")]);
    let paths = [fixture.contents(), fixture.dest.clone()];
    let output = command.args(paths).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fixture.assert_same();
}
