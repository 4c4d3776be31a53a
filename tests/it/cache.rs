//! What a copy leaves in the page cache of the machine.

use std::path::Path;
use std::process::Command;

use crate::support::image::Image;
use crate::support::*;

/// How many bytes of a file are in the page cache.
fn resident(file: &Path) -> u64 {
    let mut fincore = Command::new("fincore");
    let output = fincore.args(["--bytes", "--noheadings", "--output", "RES"]);
    let output = output.arg(file).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim().parse().unwrap()
}

#[test]
fn the_pages_of_a_large_file_are_dropped_once_it_is_durable() {
    let test = "the_pages_of_a_large_file_are_dropped_once_it_is_durable";
    if !is_root_with(test, &["fincore"]) {
        return;
    }
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    let at = Fixture::new();
    write(at.source.join("large"), Rng::new(1).bytes(9 << 20));
    copy(0, [at.contents(), image.at("copy")]);
    let large = image.at("copy/large");
    assert_eq!(resident(&large), 0);
    std::fs::read(&large).unwrap();
    assert!(resident(&large) > 0, "what is read stays, and is seen");
}
