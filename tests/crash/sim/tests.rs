//! What the simulated disk promises to those who test on it.

use std::time::Duration;

use rustix::io::Errno;
use sprag::event::ReadHow;
use sprag::fs::{Access, FlushBy, Fs, FsFile, FsMeta, Kind, Meta, Xattrs};
use sprag::path::RelPath;

use super::*;

fn new() -> SimFs {
    SimFs::new(FlushBy::Each)
}

fn put(fs: &SimFs, name: &str, bytes: &[u8]) -> calls::SimFile {
    let file = fs.create_new(&fs.root(), name.as_bytes()).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

/// The distinct disks that power cuts after the last event leave.
fn crashes_of(fs: &SimFs, kinds: &[CrashKind]) -> Vec<Dump> {
    let log = fs.log();
    let replay = Replay::at_end(&log);
    let mut dumps = Vec::new();
    for kind in kinds {
        for sub in 0..200 {
            let fates = replay.fates(*kind, &mut Rng::of(&[*kind as u64, sub]));
            let disk = replay.disk(&fates);
            let dump = SimFs::with_disk(disk, FlushBy::Each, Duration::ZERO).dump();
            if !dumps.contains(&dump) {
                dumps.push(dump);
            }
        }
    }
    dumps
}

fn crashes(fs: &SimFs) -> Vec<Dump> {
    crashes_of(fs, &CrashKind::ALL)
}

/// The content of a file on a disk.
fn bytes(dump: &Dump, name: &str) -> Option<Vec<u8>> {
    match dump.get(&RelPath::new(name).unwrap())? {
        Entry::File(content) => Some(content.to_vec()),
        other => panic!("{other:?}"),
    }
}

fn contents(dumps: &[Dump], name: &str) -> Vec<Option<Vec<u8>>> {
    dumps.iter().map(|dump| bytes(dump, name)).collect()
}

fn fail_once(fs: &SimFs, only: Call, errno: Errno) {
    fs.fail(FaultPlan {
        only: Some(only),
        ..FaultPlan::once(1, errno)
    });
}

#[test]
fn unflushed_data_may_vanish_be_torn_or_be_garbage() {
    let fs = new();
    let file = put(&fs, "a", &[]);
    fs.sync_all().unwrap();
    file.write_at(&[7; 2000], 0).unwrap();
    let contents = contents(&crashes(&fs), "a");
    let has = |test: &dyn Fn(&[u8]) -> bool| contents.iter().flatten().any(|bytes| test(bytes));
    assert!(has(&|bytes| bytes.is_empty()), "it vanished");
    assert!(has(&|bytes| bytes == [7; 2000]), "it survived");
    assert!(has(&|bytes| bytes == [0; 2000]), "it is zeros");
    assert!(has(&|bytes| bytes == [7; 512]), "it is cut short");
    assert!(has(&|bytes| bytes.len() == 2000
        && bytes[..512] == [0; 512]
        && bytes[1999] == 7));
    assert!(has(
        &|bytes| bytes.len() == 2000 && !bytes.contains(&7) || bytes.len() > 2000
    ));
    assert!(!contents.contains(&None), "its name was durable");
}

#[test]
fn flushed_data_never_vanishes() {
    let fs = new();
    let file = put(&fs, "a", &[1; 700]);
    fs.sync_all().unwrap();
    file.write_at(&[2; 700], 700).unwrap();
    for bytes in contents(&crashes(&fs), "a") {
        assert_eq!(bytes.unwrap()[..700], [1; 700]);
    }
    file.sync().unwrap();
    put(&fs, "b", &[3; 700]);
    let after = crashes(&fs);
    assert!(after.len() > 2);
    for bytes in contents(&after, "a") {
        assert_eq!(bytes.unwrap(), [[1; 700], [2; 700]].concat());
    }
}

#[test]
fn what_is_written_while_a_flush_runs_is_not_covered_by_it() {
    let fs = SimFs::with_disk(Disk::new(0), FlushBy::Whole, Duration::from_millis(30));
    let file = put(&fs, "a", &[1; 512]);
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| fs.sync_all().unwrap());
        while !fs.calls().contains_key(&Call::SyncAll) {
            std::thread::yield_now();
        }
        file.write_at(&[2; 512], 512).unwrap();
        flush.join().unwrap();
    });
    let lost = &crashes_of(&fs, &[CrashKind::Nothing])[0];
    assert_eq!(bytes(lost, "a").unwrap(), [1; 512]);
}

#[test]
fn a_sector_keeps_earlier_writes_when_a_later_one_survives() {
    let fs = new();
    let file = put(&fs, "a", &[1; 100]);
    fs.sync_all().unwrap();
    file.write_at(&[2; 100], 100).unwrap();
    file.write_at(&[3; 100], 200).unwrap();
    let whole = [[1; 100], [2; 100], [3; 100]].concat();
    for bytes in contents(&crashes_of(&fs, &[CrashKind::Subset, CrashKind::Torn]), "a") {
        assert!(whole.starts_with(&bytes.unwrap()));
    }
}

#[test]
fn flushing_a_file_does_not_keep_its_name_and_flushing_its_directory_does() {
    let fs = new();
    let file = put(&fs, "a", b"data");
    file.sync().unwrap();
    let before = contents(&crashes(&fs), "a");
    assert!(before.contains(&None));
    assert!(before.iter().flatten().all(|bytes| bytes == b"data"));
    fs.sync_dir(&fs.root()).unwrap();
    assert_eq!(contents(&crashes(&fs), "a"), [Some(b"data".to_vec())]);
}

#[test]
fn flushing_a_directory_does_not_keep_data_nor_the_names_below_it() {
    let fs = new();
    fs.make_dir(&fs.root(), b"sub").unwrap();
    let sub = fs.open_dir(&RelPath::new("sub").unwrap()).unwrap();
    let file = fs.create_new(&sub, b"a").unwrap();
    file.write_at(b"data", 0).unwrap();
    fs.sync_dir(&fs.root()).unwrap();
    let dumps = crashes(&fs);
    assert!(
        dumps
            .iter()
            .all(|dump| dump[&RelPath::new("sub").unwrap()] == Entry::Dir)
    );
    assert!(contents(&dumps, "sub/a").contains(&None));
    fs.sync_dir(&sub).unwrap();
    let contents = contents(&crashes(&fs), "sub/a");
    assert!(contents.contains(&Some(Vec::new())) && !contents.contains(&None));
}

#[test]
fn a_rename_happens_wholly_or_not_at_all() {
    let fs = new();
    put(&fs, "final", b"old");
    put(&fs, "part", b"new");
    fs.sync_all().unwrap();
    fs.rename(&fs.root(), b"part", b"final").unwrap();
    let pair = |dump: &Dump| (bytes(dump, "part"), bytes(dump, "final"));
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let mut kinds = CrashKind::ALL.to_vec();
    kinds.retain(|kind| *kind != CrashKind::HalfRenames);
    let pairs: Vec<_> = crashes_of(&fs, &kinds).iter().map(pair).collect();
    assert_eq!(pairs, [(new.clone(), old.clone()), (None, new.clone())]);
    let halves = crashes_of(&fs, &[CrashKind::HalfRenames]);
    let halves: Vec<_> = halves.iter().map(pair).collect();
    assert!(halves.contains(&(new.clone(), new)) && halves.contains(&(None, old)));
}

#[test]
fn a_rename_may_survive_the_loss_of_the_name_it_renamed() {
    let fs = new();
    let file = put(&fs, "part", b"new");
    file.sync().unwrap();
    fs.rename(&fs.root(), b"part", b"final").unwrap();
    let dumps = crashes_of(&fs, &[CrashKind::Names]);
    let pairs: Vec<_> = dumps
        .iter()
        .map(|dump| (bytes(dump, "part"), bytes(dump, "final")))
        .collect();
    let new = Some(b"new".to_vec());
    for pair in [(None, None), (new.clone(), None), (None, new)] {
        assert!(pairs.contains(&pair), "{pairs:?}");
    }
    assert_eq!(pairs.len(), 3);
}

#[test]
fn a_flush_that_succeeds_after_one_that_failed_keeps_nothing_of_what_was_lost() {
    let fs = new();
    let file = put(&fs, "a", &[]);
    fs.sync_all().unwrap();
    file.write_at(&[7; 4096], 0).unwrap();
    fail_once(&fs, Call::FileSync, Errno::IO);
    assert!(file.sync().is_err());
    assert_eq!(fs.failed_calls(), 1);
    file.sync().unwrap();
    let lost = contents(&crashes(&fs), "a");
    assert_eq!(lost, [Some(Vec::new())]);

    let mut buf = [0; 4096];
    file.read_at(&mut buf, 0).unwrap();
    assert_eq!(buf, [7; 4096], "the cache still has it");
    let medium = fs.open_medium(&fs.root(), b"a").unwrap();
    assert_eq!(medium.how(), ReadHow::Direct);
    assert_eq!(medium.read_at(&mut buf, 0).unwrap(), 4096);
    assert_eq!(buf, [0; 4096], "the medium does not");

    file.write_at(&[8; 4096], 0).unwrap();
    file.sync().unwrap();
    medium.read_at(&mut buf, 0).unwrap();
    assert_eq!(buf, [8; 4096], "what is written again is flushed again");
    assert_eq!(contents(&crashes(&fs), "a"), [Some(vec![8; 4096])]);
}

#[test]
fn a_flush_under_way_fails_with_another_that_loses_its_data() {
    let fs = SimFs::with_disk(Disk::new(0), FlushBy::Whole, Duration::from_millis(50));
    let file = put(&fs, "a", b"data");
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| fs.sync_all());
        while !fs.calls().contains_key(&Call::SyncAll) {
            std::thread::yield_now();
        }
        fail_once(&fs, Call::FileSync, Errno::IO);
        assert!(file.sync().is_err());
        assert!(flush.join().unwrap().is_err());
    });
    assert!(!contents(&crashes(&fs), "a").contains(&Some(b"data".to_vec())));
}

#[test]
fn a_flush_that_is_a_lie_keeps_nothing_until_the_next() {
    let fs = new();
    let file = put(&fs, "a", b"data");
    fs.sync_all().unwrap();
    fs.mark("done");
    file.sync().unwrap();
    let log = fs.log();
    assert_eq!(log.flushes(), 2);
    let mut replay = Replay::new(&log, Some(Lie::about(0)));
    while replay.marks().is_empty() && replay.step() {}
    assert!(replay.applies(CrashKind::LostNames));
    let lost = replay.fates(CrashKind::Nothing, &mut Rng::of(&[]));
    assert!(replay.disk(&lost).lookup(ROOT, b"a").is_none());
    while replay.step() {}
    assert!(
        !replay.applies(CrashKind::SizeNoData),
        "the next flush has the data"
    );
}

#[test]
fn a_call_fails_once_or_for_ever_and_a_short_write_leaves_a_part() {
    let fs = new();
    for errno in FaultPlan::ERRNOS {
        fs.fail(FaultPlan::once(2, errno));
        assert!(fs.stat(&fs.root(), b"a").unwrap().is_none());
        let error = fs.stat(&fs.root(), b"a").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
        assert!(fs.stat(&fs.root(), b"a").is_ok());
    }
    fs.heal();
    let file = put(&fs, "a", &[]);
    fs.fail(FaultPlan {
        only: Some(Call::FileWrite),
        forever: true,
        short: true,
        gone: true,
        ..FaultPlan::once(1, Errno::NODEV)
    });
    assert!(!fs.device_gone());
    assert!(file.write_at(&[1; 999], 0).is_err());
    assert!(file.write_at(&[1; 999], 0).is_err());
    assert!(fs.device_gone());
    assert!(file.stat().unwrap().size < 999);
    fs.heal();
    assert!(!fs.device_gone());
    file.write_at(&[1; 999], 0).unwrap();
    assert_eq!(fs.calls()[&Call::FileWrite], 4);
}

#[test]
fn names_behave_as_on_linux() {
    let fs = new();
    let root = fs.root();
    let a = put(&fs, "a", b"one");
    put(&fs, "b", b"two");
    fs.make_dir(&root, b"d").unwrap();
    fs.make_symlink(&root, b"s", b"a").unwrap();
    assert_eq!(fs.read_symlink(&root, b"s").unwrap(), b"a");
    fs.link(&root, b"a", &root, b"hard").unwrap();
    assert_eq!(a.stat().unwrap().nlink, 2);
    fs.rename(&root, b"a", b"hard").unwrap();
    assert_eq!(
        fs.list(&root).unwrap().len(),
        5,
        "two names of one file stay"
    );
    fs.rename(&root, b"b", b"a").unwrap();
    assert_eq!(a.stat().unwrap().nlink, 1);

    let refused = [
        (errno(fs.make_dir(&root, b"a")), Errno::EXIST),
        (errno(fs.remove(&root, b"d")), Errno::ISDIR),
        (errno(fs.remove(&root, b"none")), Errno::NOENT),
        (errno(fs.remove_dir(&root, b"a")), Errno::NOTDIR),
        (errno(fs.rename(&root, b"a", b"d")), Errno::ISDIR),
        (errno(fs.rename(&root, b"d", b"a")), Errno::NOTDIR),
        (errno(fs.link(&root, b"d", &root, b"e")), Errno::PERM),
        (errno(fs.make_dir(&root, &[b'n'; 256])), Errno::NAMETOOLONG),
        (
            errno(fs.open(&root, b"s", Access::Read).map(drop)),
            Errno::LOOP,
        ),
        (
            errno(fs.open(&root, b"d", Access::Write).map(drop)),
            Errno::ISDIR,
        ),
        (errno(fs.read_symlink(&root, b"a").map(drop)), Errno::INVAL),
    ];
    for (got, wanted) in refused {
        assert_eq!(got, wanted.raw_os_error());
    }
    let d = fs.open_dir(&RelPath::new("d").unwrap()).unwrap();
    fs.remove_dir(&root, b"d").unwrap();
    assert_eq!(
        errno(fs.create_new(&d, b"x").map(drop)),
        Errno::NOENT.raw_os_error()
    );
    let read_only = fs.open(&root, b"hard", Access::Read).unwrap();
    assert_eq!(
        errno(read_only.write_at(b"x", 0)),
        Errno::BADF.raw_os_error()
    );
}

fn errno(result: io::Result<()>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

#[test]
fn metadata_is_kept_and_a_name_that_goes_changes_the_time_of_its_directory() {
    let fs = new();
    let root = fs.root();
    put(&fs, "a", b"one");
    let xattrs = Xattrs::new([(b"user.a".to_vec(), b"1".to_vec())]);
    let meta = Meta {
        mode: Some(0o751),
        owner: Some((7, 8)),
        times_ns: Some((-5, 6)),
        xattrs: Some(xattrs.clone()),
        ..Meta::default()
    };
    fs.set_meta(&root, b"a", &meta).unwrap();
    let stat = fs.stat(&root, b"a").unwrap().unwrap();
    assert_eq!(
        (stat.kind, stat.mode, stat.uid, stat.gid),
        (Kind::File, 0o751, 7, 8)
    );
    assert_eq!((stat.atime_ns, stat.mtime_ns), (-5, 6));
    assert_eq!(fs.xattrs(&root, b"a").unwrap(), xattrs);
    fs.set_dir_meta(&root, &meta).unwrap();
    assert_eq!(fs.stat_dir(&root).unwrap().mtime_ns, 6);
    fs.remove(&root, b"a").unwrap();
    assert!(fs.stat_dir(&root).unwrap().mtime_ns > 6);
}
