//! Leaving room for others: `--bwlimit` and `--nice`.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::*;

#[test]
fn a_limit_holds_for_copying_resuming_and_verifying() {
    let at = Fixture::new();
    write(at.source.join("large"), Rng::new(1).bytes(1536 << 10));
    write(at.source.join("small"), Rng::new(2).bytes(100 << 10));
    let bytes = (1536 + 100) << 10;
    // 100 ms of slack are made up for, and the last piece takes no time.
    let least_ms = |rate: u64| bytes * 1000 / rate - 250;

    let copied = copy(
        0,
        [
            "--bwlimit".into(),
            "2M".into(),
            at.contents(),
            at.dest.clone(),
        ],
    );
    assert!(copied.sum("elapsed_ms") >= least_ms(2 << 20));
    at.assert_same();
    let dest = at.dest.to_str().unwrap();
    let verified = run("verify", ["--bwlimit", "2MB", dest]);
    assert_eq!(verified.code, 0);
    assert!(verified.sum("elapsed_ms") >= least_ms(2_000_000));
    let unlimited = run("verify", ["--bwlimit=off", dest]);
    assert_eq!(unlimited.code, 0);
}

#[test]
fn with_nice_every_thread_has_the_lowest_priority() {
    let at = Fixture::new();
    write(at.source.join("large"), vec![7; 4 << 20]);
    let mut child = sprag()
        .args(["copy", "-v", "--nice", "--bwlimit", "64K"])
        .args([at.contents(), at.dest.clone()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let priorities = || -> Vec<(String, i32)> {
        let tasks = fs::read_dir(&tasks).unwrap().flatten();
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        stats
            .map(|stat| {
                let (name, rest) = stat.rsplit_once(") ").unwrap();
                let nice = rest.split(' ').nth(16).unwrap();
                (name.to_string(), nice.parse().unwrap())
            })
            .collect()
    };
    while !priorities()
        .iter()
        .any(|(name, _)| name.contains("sprag-worker"))
    {
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        thread::sleep(Duration::from_millis(10));
    }
    let seen = priorities();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        seen.len() > 3 && seen.iter().all(|(_, nice)| *nice == 19),
        "{seen:?}"
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("nice 19"), "{told}");
}
