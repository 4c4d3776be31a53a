//! How many files are worked on at a time: chosen by the device, unless the user says it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

use crate::support::image::Image;
use crate::support::*;

/// Makes the device below a path say whether it has to seek.
fn declare(mount: &Path, seeks: bool) -> std::io::Result<()> {
    let dev = fs::metadata(mount).unwrap().dev();
    let said = if seeks { "1" } else { "0" };
    let queue = format!("/sys/dev/block/{}:{}/queue", major(dev), minor(dev));
    fs::write(format!("{queue}/rotational"), said)
}

fn chosen(ran: &Ran) -> (u64, u64, &str) {
    let line = ran.lines.iter().find(|line| line["type"] == "concurrency");
    let line = line.unwrap();
    (
        line["files"].as_u64().unwrap(),
        line["large_files"].as_u64().unwrap(),
        line["chosen_by"].as_str().unwrap(),
    )
}

#[test]
fn large_files_come_one_after_the_other_where_the_destination_seeks() {
    let test = "large_files_come_one_after_the_other_where_the_destination_seeks";
    let Some(image) = Image::new(test, "ext4", 16 << 20, "") else {
        return;
    };
    if let Err(error) = declare(&image.mount, true) {
        return skip(test, &format!("to change what a loop device says: {error}"));
    }
    let at = Fixture::new();
    write(at.source.join("large"), Rng::new(1).bytes(2 << 20));
    let (source, dest) = (at.contents(), image.at("copy"));
    let copied = copy(0, ["-v".into(), source.clone(), dest.clone()]);
    assert_eq!(chosen(&copied), (8, 1, "destination"));
    let dest = dest.to_str().unwrap();
    assert_eq!(chosen(&run("verify", ["-v", dest])), (8, 1, "destination"));

    declare(&image.mount, false).unwrap();
    let other = chosen(&run("verify", ["-v", dest])).2.to_string();
    assert_eq!(other, "processors");
    declare(&image.mount, true).unwrap();
    assert_eq!(chosen(&run("verify", ["-v", "-j3", dest])), (3, 3, "user"));
}

#[test]
fn with_v_it_is_said_in_words_and_without_it_not_at_all() {
    let at = Fixture::new();
    write(at.source.join("file"), "content");
    let said = |options: &[&str]| {
        let mut command = sprag();
        command.arg("copy").args(options);
        let output = command.args([at.contents(), at.dest.clone()]).output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    assert!(said(&["-v", "-j3"]).contains("working on 3 files at a time, as -j says\n"));
    assert!(said(&["-v"]).contains("working on 8 files at a time, "));
    assert!(!said(&[]).contains("at a time"));
    let without = run("verify", [at.dest.to_str().unwrap()]);
    assert!(
        without
            .lines
            .iter()
            .all(|line| line["type"] != "concurrency")
    );
}
