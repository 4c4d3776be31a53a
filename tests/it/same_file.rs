//! Sources and destinations that are, or hold, each other. The situations are those of coreutils'
//! tests `cp/into-self` and `cp/same-file`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use crate::support::*;

#[test]
fn into_self_a_directory_is_not_copied_onto_itself_by_any_name() {
    let fixture = Fixture::new();
    write(fixture.source.join("sub/f"), "content");
    let link = fixture.temp.path().join("link");
    symlink(&fixture.source, &link).unwrap();
    let before = snapshot(&fixture.source);
    let source = &fixture.source;
    let slash = |path: &PathBuf| path.join("");
    for (from, to) in [
        (source.clone(), source.clone()),
        (slash(source), source.clone()),
        (slash(source), link.clone()),
        (slash(&link), source.clone()),
        (source.join("sub"), source.clone()),
        (source.clone(), fixture.temp.path().to_path_buf()),
    ] {
        for flags in [&[][..], &["--delete"], &["--remove-source-files"], &["-n"]] {
            let flags = flags.iter().map(PathBuf::from);
            copy(3, flags.chain([from.clone(), to.clone()]));
            assert_eq!(snapshot(source), before, "{from:?} {to:?}");
            assert!(!source.join(".sprag").exists(), "{from:?} {to:?}");
        }
    }
}

#[test]
fn into_self_a_directory_is_copied_into_one_of_its_own_once() {
    for to in ["sub", "new", "sub/new", "link/sub"] {
        for contents in [true, false] {
            let fixture = Fixture::new();
            let source = &fixture.source;
            write(source.join("sub/f"), "content");
            symlink(".", source.join("link")).unwrap();
            let (from, dest) = match contents {
                true => (source.join(""), source.join(to)),
                false => (source.clone(), source.join(to)),
            };
            copy(0, [PathBuf::from("-n"), from.clone(), dest.clone()]);
            for _ in 0..2 {
                copy(0, [&from, &dest]);
            }
            let top = if contents {
                dest.clone()
            } else {
                dest.join("source")
            };
            assert!(top.join("link").is_symlink(), "{to}");
            let is_whole = to == "new" || to == "sub/new";
            assert_eq!(top.join("sub").exists(), is_whole, "{to}");
            assert!(!top.join(to).join("source").exists(), "{to}");
        }
    }
}

#[test]
fn same_file_a_file_is_not_copied_onto_itself() {
    let fixture = Fixture::new();
    let file = fixture.source.join("f");
    write(&file, "content");
    for to in [
        file.clone(),
        fixture.source.clone(),
        fixture.source.join("./f"),
    ] {
        for flags in [&[][..], &["--remove-source-files"]] {
            let flags = flags.iter().map(PathBuf::from);
            copy(3, flags.chain([file.clone(), to.clone()]));
            assert_eq!(fs::read(&file).unwrap(), b"content", "{to:?}");
        }
    }
}

#[test]
fn same_file_another_name_of_a_file_is_taken_over_or_replaced_and_the_file_stays() {
    let fixture = Fixture::new();
    let (file, hard, soft) = (
        fixture.source.join("f"),
        fixture.source.join("hard"),
        fixture.source.join("soft"),
    );
    write(&file, "content");
    fs::hard_link(&file, &hard).unwrap();
    symlink("f", &soft).unwrap();
    let ino = fs::metadata(&file).unwrap().ino();
    copy(0, [&file, &hard]);
    copy(0, [&file, &soft]);
    for name in [&file, &hard, &soft] {
        assert_eq!(fs::read(name).unwrap(), b"content");
    }
    assert_eq!(fs::metadata(&file).unwrap().ino(), ino);
    assert!(!soft.is_symlink());
}
