//! SIGKILL at random moments over a tree of large and small files, rerun until it ends with 0.

use std::process::Stdio;
use std::time::Duration;

use crate::support::*;

const KILLS: u32 = 25;
const BLOCK: u64 = 64 << 10;
const CHECKPOINT: u64 = 4 << 20;

#[test]
fn killed_at_random_moments_a_copy_always_ends_as_its_source_within_the_rehash_bound() {
    let temp = journaled_dir();
    let source = temp.path().join("source");
    mixed_tree(&source, 1500, &[48 << 20, (96 << 20) + 12_345, 24 << 20]);
    let mut rng = Rng::new(u64::from(std::process::id()));
    let (mut kills, mut round, mut rehashed) = (0, 0, 0);
    while kills < KILLS {
        round += 1;
        let dest = temp.path().join(format!("dest{round}"));
        loop {
            let mut child = sprag()
                .args([
                    "copy",
                    "--json",
                    "--block-size",
                    "64K",
                    "--checkpoint-size",
                    "4M",
                ])
                .arg(format!("{}/", source.display()))
                .arg(&dest)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(20 + rng.below(230)));
            if kills < KILLS {
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            rehashed = rehashed.max(check_bound(&text));
            match output.status.code() {
                Some(0) => break,
                Some(code) => panic!("exit {code}: {}", String::from_utf8_lossy(&output.stderr)),
                None => kills += 1,
            }
        }
        assert_same_tree(&source, &dest);
        let verified = run("verify", [&dest]);
        assert_eq!(verified.code, 0, "{:?}", verified.lines);
        assert_eq!(verified.sum("entries_extra"), 0);
        std::fs::remove_dir_all(&dest).unwrap();
    }
    assert!(rehashed > 0, "no kill left a tail: this test tests nothing");
}

/// What a run read back, from its first line, which a killed run has written, too.
fn check_bound(stdout: &str) -> u64 {
    let opened = stdout.lines().find(|line| line.contains("\"opened\""));
    let Some(opened) = opened else {
        return 0;
    };
    let opened: serde_json::Value = serde_json::from_str(opened).unwrap();
    let rehashed = opened["bytes_rehashed"].as_u64().unwrap();
    // As `docs/DURABILITY.md` states it.
    let bound = 3 * (CHECKPOINT + BLOCK);
    assert!(
        rehashed <= bound,
        "{rehashed} bytes read back, more than {bound}"
    );
    rehashed
}
