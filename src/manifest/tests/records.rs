//! What is appended is found again: lookups, totals, chains and runs, at once and after reopening.

use super::support::*;
use crate::manifest::*;

#[test]
fn one_of_everything_is_the_same_after_reopening_for_reading_and_for_writing() {
    let dest = Dest::new();
    let mut store = dest.create();
    let mut writer = Writer::new(&mut store);
    writer.everything();
    writer.barrier();
    let (end, before) = writer.shots.pop().unwrap();
    let (totals, positions) = (store.totals(), store.positions());
    assert_eq!(totals, totals_of(&before));
    assert_eq!(before.len(), 7);
    let id = *store.id();
    store.write_out().unwrap();
    drop(store);
    for mode in [OpenMode::Read, OpenMode::Write] {
        let store = dest.open(mode);
        assert_eq!(listing(&store), before, "{mode:?}");
        assert_eq!(store.totals(), totals);
        assert_eq!(store.positions(), positions);
        assert_eq!((store.end(), *store.id()), (end, id));
        assert_eq!(store.block_size(), crate::block::BlockSize::MIN);
        let run = (run_begin(), Some(run_end()));
        assert_eq!(store.last_run().unwrap(), Some(run));
        assert_eq!(store.lookup(&path("gone")).unwrap(), None);
        assert_eq!(store.lookup(&path("d/never")).unwrap(), None);
    }
}

#[test]
fn entries_come_back_with_every_field() {
    let dest = Dest::new();
    let mut store = dest.create();
    Writer::new(&mut store).everything();
    let entry = |at: &str| store.lookup(&path(at)).unwrap().unwrap().1;
    assert_eq!(entry("d"), Entry::Dir(dir("d")));
    let expected = symlink("d/link", "../elsewhere");
    assert_eq!(entry("d/link"), Entry::Symlink(expected));
    assert_eq!(entry("d/small"), Entry::Done(done("d/small", 5, 0)));
    let expected = link("d/wanted", "d/small");
    assert_eq!(entry("d/wanted"), Entry::LinkWanted(expected));
    let expected = link("d/linked", "d/small");
    assert_eq!(entry("d/linked"), Entry::Link(expected));
    let Entry::Partial(partial) = entry("d/begun") else {
        panic!("not a partial");
    };
    assert_eq!(partial.begin, begin("d/begun", 1 << 30));
    assert_eq!(partial.blocks, 2);
    assert_eq!(
        store.positions_of(SlotKind::Partial),
        [partial.last_pos],
        "the newest record stands for the path"
    );
}

#[test]
fn paths_that_are_looked_up_in_the_order_of_their_records_give_the_newest_of_each() {
    let dest = Dest::new();
    let mut store = dest.create();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        store.append(&Record::Done(done(name, 1, 0))).unwrap();
    }
    store.append(&Record::Done(done("b", 2, 0))).unwrap();
    store.append(&Record::Removed(path("d"))).unwrap();
    let begun = store.append(&Record::Begin(begin("e", 9))).unwrap();
    store.append(&blocks(begun, begun, 0, 1)).unwrap();
    for name in ["g", "h"] {
        store.append(&Record::Done(done(name, 1, 0))).unwrap();
    }
    store.write_out().unwrap();
    let look_up_in_order = |store: &Store<_>| {
        let size_of = |name| match store.lookup(&path(name)).unwrap().map(|(_, entry)| entry) {
            Some(Entry::Done(done)) => Some(done.size),
            Some(Entry::Partial(partial)) => Some(100 + partial.blocks),
            _ => None,
        };
        assert_eq!(
            names.map(size_of),
            [Some(1), Some(2), Some(1), None, Some(101), Some(1)]
        );
    };
    look_up_in_order(&store);
    drop(store);
    let store = dest.open(OpenMode::Read);
    look_up_in_order(&store);
    let next_is = |name, size| store.next_is_done(&path(name), |done| done.size == size);
    assert!(store.lookup(&path("a")).unwrap().is_some());
    assert!(!next_is("b", 1) && !next_is("b", 2), "there is a newer one");
    assert!(store.lookup(&path("g")).unwrap().is_some());
    assert!(!next_is("a", 1), "it is not the next one");
    assert!(next_is("h", 1));
    assert!(store.lookup(&path("g")).unwrap().is_some());
    assert!(!next_is("h", 2));
}

#[test]
fn a_cut_takes_hashes_away_and_blocks_written_again_take_their_place() {
    let dest = Dest::new();
    let mut store = dest.create();
    let at = store.append(&Record::Begin(begin("f", 1 << 20))).unwrap();
    let mut prev = store.append(&blocks(at, at, 0, 4)).unwrap();
    prev = store.append(&blocks(at, prev, 4, 4)).unwrap();
    let cut_at = store.append(&cut(at, prev, 3)).unwrap();
    let expected: Vec<_> = (0..3).map(hash).collect();
    assert_eq!(hashes(&store, cut_at), expected);
    let again = Record::Blocks(Blocks {
        begin: at,
        prev: cut_at,
        first: 3,
        hashes: vec![hash(103), hash(104)],
    });
    let last = store.append(&again).unwrap();
    let expected = [hash(0), hash(1), hash(2), hash(103), hash(104)];
    assert_eq!(hashes(&store, last), expected);
    assert_eq!(store.totals().blocks_partial, 5);
    let nothing = store.append(&cut(at, last, 0)).unwrap();
    assert!(hashes(&store, nothing).is_empty());
    let last = store.append(&blocks(at, nothing, 0, 1)).unwrap();
    store.append(&Record::Done(done("f", 9, last))).unwrap();
    store.write_out().unwrap();
    drop(store);
    let store = dest.open(OpenMode::Read);
    assert_eq!(hashes(&store, last), [hash(0)]);
    assert_eq!(store.totals().files_partial, 0);
    assert_eq!(store.totals().blocks_partial, 0);
}

#[test]
fn a_chain_knows_how_many_of_its_blocks_stand_before_a_position() {
    let dest = Dest::new();
    let mut store = dest.create();
    let at = store.append(&Record::Begin(begin("f", 1 << 20))).unwrap();
    let one = store.append(&blocks(at, at, 0, 4)).unwrap();
    let two = store.append(&blocks(at, one, 4, 4)).unwrap();
    let cut_at = store.append(&cut(at, two, 6)).unwrap();
    let three = store.append(&blocks(at, cut_at, 6, 1)).unwrap();
    let chain = store.chain(three).unwrap();
    let before = [at, one, two, cut_at, three, u64::MAX].map(|pos| chain.blocks_before(pos));
    assert_eq!(before, [0, 0, 4, 6, 6, 7]);
}

#[test]
fn two_files_whose_records_take_turns_keep_their_own_hashes() {
    let dest = Dest::new();
    let mut store = dest.create();
    let (a, b) = (
        store.append(&Record::Begin(begin("a", 1 << 20))).unwrap(),
        store.append(&Record::Begin(begin("b", 1 << 20))).unwrap(),
    );
    let (mut last_a, mut last_b) = (a, b);
    for n in 0..20 {
        last_a = store.append(&blocks(a, last_a, n, 1)).unwrap();
        last_b = store.append(&blocks(b, last_b, 2 * n, 2)).unwrap();
    }
    store.append(&Record::Done(done("a", 1, last_a))).unwrap();
    store.write_out().unwrap();
    let before = listing(&store);
    drop(store);
    let store = dest.open(OpenMode::Write);
    assert_eq!(listing(&store), before);
    let expected: Vec<_> = (0..40).map(hash).collect();
    assert_eq!(before[&path("a")].1, expected[..20]);
    assert_eq!(before[&path("b")].1, expected);
}

#[test]
fn only_the_newest_record_of_a_path_counts() {
    let dest = Dest::new();
    let mut store = dest.create();
    let mut writer = Writer::new(&mut store);
    writer.add(Record::Done(done("p", 5, 0)));
    writer.add(Record::Dir(dir("p")));
    writer.add(Record::Begin(begin("p", 1 << 20)));
    writer.add(Record::Symlink(symlink("p", "t")));
    writer.add(Record::LinkWanted(link("p", "q")));
    writer.add(Record::Link(link("p", "q")));
    let last = writer.add(Record::Done(done("p", 6, 0)));
    for (_, listing) in &writer.shots[1..] {
        assert_eq!(listing.len(), 1);
    }
    assert_eq!(store.positions(), [last]);
    assert_eq!(store.totals(), totals_of(&listing(&store)));
    store.append(&Record::Removed(path("p"))).unwrap();
    store.append(&Record::Removed(path("p"))).unwrap();
    assert_eq!(store.totals(), Default::default());
    store.write_out().unwrap();
    drop(store);
    assert!(listing(&dest.open(OpenMode::Read)).is_empty());
}

#[test]
fn the_last_run_is_the_newest_begun_with_its_own_end_only() {
    let dest = Dest::new();
    let mut store = dest.create();
    assert_eq!(store.last_run().unwrap(), None);
    store.append(&Record::RunBegin(run_begin())).unwrap();
    store.append(&Record::RunEnd(run_end())).unwrap();
    let second = RunBegin {
        started_ms: 9,
        ..RunBegin::default()
    };
    store.append(&Record::RunBegin(second.clone())).unwrap();
    assert_eq!(store.last_run().unwrap(), Some((second.clone(), None)));
    store.write_out().unwrap();
    drop(store);
    let store = dest.open(OpenMode::Read);
    assert_eq!(store.last_run().unwrap(), Some((second, None)));
}

#[test]
fn the_mounts_of_the_last_run_are_known_and_no_more_of_them_than_are_kept() {
    let dest = Dest::new();
    let mut store = dest.create();
    let mut add = |record: Record| store.append(&record).unwrap();
    add(Record::RunBegin(run_begin()));
    add(Record::Mounted(mounted("of an earlier run", 1)));
    let mut expected = vec![mounted("", 2), mounted("d", 3)];
    add(Record::RunBegin(RunBegin {
        mounts: expected[..1].to_vec(),
        ..run_begin()
    }));
    for mounted in expected.iter().chain(&expected[..1]) {
        add(Record::Mounted(mounted.clone()));
    }
    assert_eq!(store.mounted(), expected, "one that is told twice is one");
    let more = (4..).map(|n| mounted("d", n)).take(Mounted::KEPT_MAX);
    for mounted in more {
        store.append(&Record::Mounted(mounted.clone())).unwrap();
        expected.push(mounted);
    }
    expected.truncate(Mounted::KEPT_MAX);
    store.append(&Record::RunEnd(run_end())).unwrap();
    assert_eq!(store.mounted(), expected);
    assert!(store.lookup(&path("d")).unwrap().is_none(), "not an entry");
    store.write_out().unwrap();
    drop(store);
    let mut store = dest.open(OpenMode::Write);
    assert_eq!(store.mounted(), expected);
    store.append(&Record::RunBegin(run_begin())).unwrap();
    assert!(store.mounted().is_empty());
}

#[test]
fn the_tail_is_what_lies_behind_the_last_barrier_but_one() {
    let dest = Dest::new();
    let mut store = dest.create();
    let first = store.append(&Record::Done(done("a", 1, 0))).unwrap();
    barrier(&mut store);
    let trusted = store.end();
    let second = store.append(&Record::Done(done("b", 1, 0))).unwrap();
    store.write_out().unwrap();
    drop(store);
    let mut store = dest.open(OpenMode::Write);
    assert_eq!(store.tail().positions, [first, second], "one is not enough");
    barrier(&mut store);
    let third = store.append(&Record::Done(done("c", 1, 0))).unwrap();
    store.write_out().unwrap();
    drop(store);
    let store = dest.open(OpenMode::Write);
    let tail = store.tail();
    assert!(tail.trusted > first && tail.trusted <= trusted);
    assert_eq!(tail.positions, [second, third]);
}

#[test]
fn a_record_whose_path_leads_out_of_the_destination_is_not_decoded() {
    let mut bytes = Vec::new();
    crate::codec::encode(&Record::Removed(path("aa/b")), &mut bytes).unwrap();
    assert!(crate::codec::decode::<Record>(&bytes).is_ok());
    for hostile in [&b"../b"[..], b"/aaa", b"a/..", b"./aa", b"a//b", b"a\0bb"] {
        let at = bytes.len() - hostile.len();
        let mut forged = bytes.clone();
        forged[at..].copy_from_slice(hostile);
        let decoded = crate::codec::decode::<Record>(&forged);
        assert!(decoded.is_err(), "{hostile:?} became {decoded:?}");
    }
}
