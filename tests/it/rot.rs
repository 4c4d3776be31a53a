//! Bits flipped below the file system; `tests/rot/run` is the long form.

use std::process::Command;

use crate::support::*;

#[test]
fn every_bit_that_is_flipped_below_the_file_system_is_found_in_its_block_and_nothing_else() {
    let test = "every_bit_that_is_flipped_below_the_file_system_is_found";
    if !is_root_with(test, &["python3", "mkfs.ext4", "filefrag", "mount"]) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rot/run");
    let output = Command::new("python3")
        .args([script, "--flips=100", "--files=60", "--seed=7", "--sprag"])
        .arg(env!("CARGO_BIN_EXE_sprag"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("mount:") {
        return skip(test, &format!("to mount a loop image of ext4: {error}"));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{error}");
    assert!(said.contains("100 bits flipped"), "{said}");
}
