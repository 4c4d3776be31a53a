//! What the simulated disk promises to those who test on it.

use std::time::Duration;

use rustix::io::Errno;
use sprag::event::ReadHow;
use sprag::fs::{Access, FlushBy, Fs, FsFile, FsMeta, Kind, Meta, MountNo, Xattrs};
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
    for kind in kinds.iter().filter(|kind| replay.applies(**kind)) {
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
    fs.rename(&fs.root(), b"part", &fs.root(), b"final")
        .unwrap();
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
fn a_file_system_that_is_mounted_below_has_a_device_of_its_own() {
    let fs = new().with_below(Some((FlushBy::Each, Traits::FAT)));
    let root = fs.root();
    let below = fs.open_dir(&RelPath::new("m").unwrap()).unwrap();
    let top = put(&fs, "top", b"top");
    let file = fs.create_new(&below, b"f").unwrap();
    file.write_at(b"below", 0).unwrap();
    assert_eq!(
        errno(fs.rename(&root, b"top", &below, b"top")),
        Errno::XDEV.raw_os_error()
    );
    assert_eq!(
        errno(fs.link(&root, b"top", &below, b"top")),
        Errno::XDEV.raw_os_error()
    );
    let left = |path: &str| contents(&crashes(&fs), path);
    fs.sync_mount(MountNo(0)).unwrap();
    let (top_is, below_is) = (Some(b"top".to_vec()), Some(b"below".to_vec()));
    assert!(left("top").iter().all(|left| *left == top_is));
    assert!(left("m/f").contains(&None));
    // It hands over to its device, whose cache the flush of another device does not empty.
    fs.sync_mount(MountNo(1)).unwrap();
    top.sync().unwrap();
    assert!(left("m/f").contains(&None));
    file.sync().unwrap();
    assert!(left("m/f").iter().all(|left| *left == below_is));
}

#[test]
fn a_rename_may_survive_the_loss_of_the_name_it_renamed() {
    let fs = new();
    let file = put(&fs, "part", b"new");
    file.sync().unwrap();
    fs.rename(&fs.root(), b"part", &fs.root(), b"final")
        .unwrap();
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
    fs.rename(&root, b"a", &root, b"hard").unwrap();
    assert_eq!(
        fs.list(&root).unwrap().len(),
        5,
        "two names of one file stay"
    );
    fs.rename(&root, b"b", &root, b"a").unwrap();
    assert_eq!(a.stat().unwrap().nlink, 1);

    let refused = [
        (errno(fs.make_dir(&root, b"a")), Errno::EXIST),
        (errno(fs.remove(&root, b"d")), Errno::ISDIR),
        (errno(fs.remove(&root, b"none")), Errno::NOENT),
        (errno(fs.remove_dir(&root, b"a")), Errno::NOTDIR),
        (errno(fs.rename(&root, b"a", &root, b"d")), Errno::ISDIR),
        (errno(fs.rename(&root, b"d", &root, b"a")), Errno::NOTDIR),
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
    fs.set_meta(&root, b"a", &|_| true, &meta).unwrap();
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

fn mounted(disk: Disk, traits: Traits) -> SimFs {
    SimFs::with_disk(disk, FlushBy::Whole, Duration::ZERO).with_traits(traits)
}

/// The disk after a power cut that all data survived.
fn cut(fs: &SimFs) -> Disk {
    let log = fs.log();
    let replay = Replay::at_end(&log);
    replay.disk(&replay.fates(CrashKind::All, &mut Rng::of(&[])))
}

const CLUSTERS: usize = 3 * CLUSTER as usize;

#[test]
fn without_a_journal_what_was_not_flushed_lies_in_space_that_the_next_file_gets() {
    let fs = mounted(Disk::new(0), Traits::LOOSE);
    let half = put(&fs, "half", &[1; CLUSTERS]);
    put(&fs, "flushed", &[2; CLUSTERS]);
    fs.sync_all().unwrap();
    half.sync().unwrap();
    half.write_at(&[1; CLUSTERS], CLUSTERS as u64).unwrap();
    put(&fs, "loose", &[3; CLUSTERS]);

    let fs = mounted(cut(&fs), Traits::LOOSE);
    let new = put(&fs, "new", &[4; 2 * CLUSTERS]);
    let dump = fs.dump();
    let shows = |name: &str, from: usize, byte: u8| {
        bytes(&dump, name).unwrap()[from..][..CLUSTERS] == [byte; CLUSTERS]
    };
    assert!(shows("new", 0, 4) && shows("new", CLUSTERS, 4));
    assert!(shows("flushed", 0, 2) && shows("half", 0, 1));
    assert!(shows("half", CLUSTERS, 4) && shows("loose", 0, 4));
    fs.sync_all().unwrap();
    new.sync().unwrap();

    // To remove what the new file lies in frees it, also after one more power cut.
    let fs = mounted(cut(&fs), Traits::LOOSE);
    fs.remove(&fs.root(), b"loose").unwrap();
    put(&fs, "newer", &[5; CLUSTERS]);
    let new = bytes(&fs.dump(), "new").unwrap();
    assert_eq!(new.iter().filter(|byte| **byte == 5).count(), CLUSTERS);
}

#[test]
fn without_a_journal_what_is_cut_before_anything_is_written_does_no_harm() {
    let fs = mounted(Disk::new(0), Traits::LOOSE);
    put(&fs, "loose", &[3; CLUSTERS]);
    let fs = mounted(cut(&fs), Traits::LOOSE);
    let loose = fs.open(&fs.root(), b"loose", Access::Write).unwrap();
    loose.set_len(0).unwrap();
    let first = put(&fs, "first", &[4; CLUSTERS]);
    first.set_len(0).unwrap();
    put(&fs, "second", &[5; CLUSTERS]);
    loose.write_at(&[6; CLUSTERS], 0).unwrap();
    let dump = fs.dump();
    assert!(bytes(&dump, "second").unwrap() == [5; CLUSTERS]);
    assert!(bytes(&dump, "loose").unwrap() == [6; CLUSTERS]);
}

#[test]
fn where_sync_all_hands_over_only_the_flush_of_a_file_makes_it_durable() {
    let fs = mounted(Disk::new(0), Traits::FAT);
    put(&fs, "a", b"data");
    fs.sync_all().unwrap();
    assert!(contents(&crashes(&fs), "a").contains(&None));
    assert_eq!(fs.log().flushes(), 0);
    put(&fs, "b", b"").sync().unwrap();
    let found = contents(&crashes(&fs), "a");
    assert!(found.iter().all(|found| found.as_deref() == Some(b"data")));
    assert_eq!(fs.log().flushes(), 1);
}

#[test]
fn on_fat_a_new_name_may_stand_for_nothing() {
    let empty = |fs: &SimFs| {
        let found = contents(&crashes_of(fs, &[CrashKind::EmptyNames]), "final");
        found.contains(&Some(Vec::new()))
    };
    for (traits, may_be_empty) in [(Traits::FAT, true), (Traits::JOURNALED, false)] {
        let fs = mounted(Disk::new(0), traits);
        put(&fs, "part", b"data").sync().unwrap();
        fs.rename(&fs.root(), b"part", &fs.root(), b"final")
            .unwrap();
        let log = fs.log();
        let applies = Replay::at_end(&log).applies(CrashKind::EmptyNames);
        assert_eq!(applies, may_be_empty);
        assert!(!may_be_empty || empty(&fs));
    }
}

#[test]
fn a_flush_that_tells_of_no_error_loses_data_all_the_same() {
    let fs = new();
    put(&fs, "a", b"data");
    fs.fail(FaultPlan {
        untold: true,
        ..FaultPlan::once(1, Errno::IO)
    });
    fs.sync_all().unwrap();
    fs.sync_all().unwrap();
    assert_eq!(contents(&crashes(&fs), "a"), [Some(Vec::new())]);
}

#[test]
fn a_write_may_tell_of_what_earlier_ones_lost_and_then_a_flush_succeeds() {
    let fs = new();
    let file = put(&fs, "a", &[]);
    fs.sync_all().unwrap();
    file.write_at(&[1; 512], 0).unwrap();
    fs.fail(FaultPlan {
        only: Some(Call::FileWrite),
        loses_earlier: true,
        ..FaultPlan::once(1, Errno::NOSPC)
    });
    let error = file.write_at(&[2; 512], 512).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.sync().unwrap();
    assert_eq!(contents(&crashes(&fs), "a"), [Some(Vec::new())]);
}

#[test]
fn what_the_system_could_not_write_out_is_told_to_those_who_had_the_file_open() {
    let fs = new();
    let file = put(&fs, "a", &[]);
    let other = fs.open(&fs.root(), b"a", Access::Read).unwrap();
    fs.fail(FaultPlan {
        only: Some(Call::FileWrite),
        background: true,
        ..FaultPlan::once(1, Errno::IO)
    });
    file.write_at(&[1; 512], 0).unwrap();
    let early = fs.open(&fs.root(), b"a", Access::Read).unwrap();
    for opener in [&file, &other, &early] {
        assert!(opener.sync().is_err());
        opener.sync().unwrap();
    }
    let late = fs.open(&fs.root(), b"a", Access::Read).unwrap();
    late.sync().unwrap();
    assert!(fs.sync_all().is_err());
    fs.sync_all().unwrap();
    let lost = contents(&crashes(&fs), "a");
    assert_eq!(lost, [Some(Vec::new())]);
}

#[test]
fn a_flush_may_fail_after_another_call_that_began_later() {
    let fs = new();
    let file = put(&fs, "a", b"data");
    let flush = FaultPlan {
        only: Some(Call::FileSync),
        ..FaultPlan::once(1, Errno::IO)
    };
    let write = FaultPlan {
        only: Some(Call::FileWrite),
        ..FaultPlan::once(1, Errno::NOSPC)
    };
    fs.fail_in_ways(&FaultPlan::overtaken(flush, write));
    file.write_at(b"more", 4).unwrap();
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| file.sync());
        while fs.failed_calls() == 0 {
            std::thread::yield_now();
        }
        assert!(file.write_at(b"most", 8).is_err());
        assert!(flush.join().unwrap().is_err());
    });
    assert!(fs.all_failed());
}

#[test]
fn where_a_file_grew_there_may_be_what_a_removed_one_had_there() {
    let fs = new();
    put(&fs, "old", &[9; 1000]);
    fs.sync_all().unwrap();
    fs.remove(&fs.root(), b"old").unwrap();
    put(&fs, "new", &[]);
    fs.sync_all().unwrap();
    let new = fs.open(&fs.root(), b"new", Access::Write).unwrap();
    new.write_at(&[1; 500], 0).unwrap();
    new.set_len(1000).unwrap();
    let found = contents(&crashes(&fs), "new");
    assert!(
        found.contains(&Some(vec![9; 1000])),
        "all of the block is stale"
    );
}
