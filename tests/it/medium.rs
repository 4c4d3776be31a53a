//! Verify tells what is on the medium, not what the page cache remembers of it.

use std::fs;
use std::process::Command;

use crate::support::image::Image;
use crate::support::python::Helper;
use crate::support::*;

const BLOCK: u64 = 64 << 10;

/// A source with one file, copied to the image, and read there, so that it is in the page cache.
/// Then one byte of its third block is changed on the medium.
fn plant(image: &Image, source: &std::path::Path) -> std::path::PathBuf {
    let content = Rng::new(6).bytes(5 * BLOCK as usize + 77);
    write(source.join("f"), &content);
    let dest = image.at("dest");
    copy(
        0,
        [
            "--block-size=64K".into(),
            format!("{}/", source.display()),
            dest.display().to_string(),
        ],
    );
    let sector = image.find(&content[2 * BLOCK as usize..]);
    assert!(fs::read(dest.join("f")).unwrap() == content);
    image.change(sector + 99, |byte| byte[0] ^= 1, 1);
    assert!(
        fs::read(dest.join("f")).unwrap() == content,
        "the page cache does not know"
    );
    dest
}

#[track_caller]
fn assert_seen(dest: &std::path::Path, how: &str) {
    let ran = run("verify", [dest]);
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    assert_eq!(ran.problems(), [("f".into(), "corrupt".into())]);
    let problem = ran.lines.iter().find(|line| line["type"] == "problem");
    let range = serde_json::json!([[2 * BLOCK, 3 * BLOCK]]);
    assert_eq!(problem.unwrap()["ranges"], range);
    assert_eq!(ran.sum(how), 1);
}

#[test]
fn verify_sees_a_medium_that_differs_from_the_page_cache_where_b3sum_and_rsync_do_not() {
    let test = "verify_sees_a_medium_that_differs_from_the_page_cache";
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    let dest = plant(&image, &fixture.source);
    if has("b3sum") {
        let hash = blake3::hash(&fs::read(fixture.source.join("f")).unwrap());
        let sum = Command::new("b3sum").arg(dest.join("f")).output().unwrap();
        assert!(String::from_utf8_lossy(&sum.stdout).starts_with(&hash.to_string()));
    } else {
        skip(test, "b3sum, to compare with");
    }
    if has("rsync") {
        let rsync = Command::new("rsync")
            .args(["-rcni", "--exclude=.sprag"])
            .arg(fixture.contents())
            .arg(&dest)
            .output()
            .unwrap();
        assert!(rsync.status.success());
        assert_eq!(String::from_utf8_lossy(&rsync.stdout), "", "no difference");
    } else {
        skip(test, "rsync, to compare with");
    }
    assert_seen(&dest, "read_direct");
}

#[test]
fn where_direct_reads_are_not_to_be_trusted_pages_are_dropped_and_seen_to_be_gone() {
    let test = "where_direct_reads_are_not_to_be_trusted";
    // Without its own checksums, with which btrfs would refuse to read the block.
    let Some(image) = Image::new(test, "btrfs", 128 << 20, "nodatasum") else {
        return;
    };
    let fixture = Fixture::new();
    let dest = plant(&image, &fixture.source);
    assert_seen(&dest, "read_evicted");
}

/// Maps a file into memory, so that its pages will not go.
const HOLD: &str = "
import mmap, sys
file = open(sys.argv[1], 'rb')
pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
pages[0]
print('ready', flush=True)
sys.stdin.read()
";

#[test]
fn a_page_that_will_not_go_is_owned_up_to_and_required_medium_makes_it_a_failure() {
    let test = "a_page_that_will_not_go_is_owned_up_to";
    if !has("python3") {
        return skip(test, "python3");
    }
    let Some(image) = Image::new(test, "btrfs", 128 << 20, "nodatasum") else {
        return;
    };
    let fixture = Fixture::new();
    write(fixture.source.join("held"), Rng::new(1).bytes(100_000));
    write(fixture.source.join("free"), Rng::new(2).bytes(100_000));
    let dest = image.at("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    let holder = Helper::ready(HOLD, &dest.join("held"));
    let ran = run("verify", [&dest]);
    assert_eq!(ran.code, 0);
    assert_eq!((ran.sum("read_cached"), ran.sum("read_evicted")), (1, 1));
    let strict = || run("verify", ["--require-medium".as_ref(), dest.as_os_str()]);
    let ran = strict();
    assert_eq!(ran.code, 23);
    assert_eq!(ran.problems(), [("held".into(), "unproven".into())]);
    assert_eq!(ran.sum("files_unproven"), 1);
    holder.end();
    assert_eq!(strict().code, 0);
}

#[test]
fn a_file_system_in_memory_has_no_medium_to_require() {
    let Ok(temp) = tempfile::tempdir_in("/dev/shm") else {
        return skip("a_file_system_in_memory_has_no_medium", "/dev/shm");
    };
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    let dest = temp.path().join("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    let args = ["--require-medium".as_ref(), dest.as_os_str()];
    assert_eq!(run("verify", args).code, 23);
    assert_eq!(run("verify", [&dest]).code, 0);
}

#[test]
fn a_drive_that_is_mounted_read_only_is_verified_and_not_written_to() {
    let test = "a_drive_that_is_mounted_read_only";
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20]);
    let dest = image.at("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    image.mount_again("ro");
    let hash = || blake3::hash(&fs::read(&image.file).unwrap());
    let before = hash();
    let ran = run("verify", [&dest]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.sum("read_cached"), 0);
    let warning = ran.lines.iter().find(|line| line["type"] == "warning");
    let warning = warning.expect("that it cannot be gone on with")["detail"].to_string();
    assert!(warning.contains("Read-only file system"), "{warning}");
    assert_eq!(before, hash(), "the image is as it was");
}

#[test]
fn content_among_metadata_is_never_said_to_come_from_the_medium() {
    let test = "content_among_metadata_is_never_said_to_come_from_the_medium";
    let inline = &["-O", "inline_data", "-I", "1024"][..];
    for (fs_type, bytes, mkfs_options) in [("ext4", 64 << 20, inline), ("btrfs", 128 << 20, &[])] {
        let Some(image) = Image::made_with(test, fs_type, bytes, mkfs_options, "") else {
            continue;
        };
        let fixture = Fixture::new();
        write(fixture.source.join("inline"), Rng::new(1).bytes(400));
        write(fixture.source.join("block"), Rng::new(2).bytes(8000));
        let dest = image.at("dest");
        copy(0, [fixture.contents(), dest.clone()]);
        // It may be in memory, as after a copy, or have been read there by nobody so far.
        for round in ["after the copy", "after mounting it again"] {
            let ran = run("verify", ["--require-medium".as_ref(), dest.as_os_str()]);
            assert_eq!(ran.code, 23, "{fs_type} {round}: {}", ran.stderr);
            assert_eq!(ran.problems(), [("inline".into(), "unproven".into())]);
            assert_eq!((ran.sum("read_cached"), ran.sum("entries_ok")), (1, 2));
            image.mount_again("");
        }
    }
}

/// Text that compresses well and is not the same in any two places.
fn compressible(bytes: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|n| format!("line {n:>20} of a text\n").into_bytes());
    lines.take(bytes).collect()
}

#[test]
fn compressed_content_is_read_from_the_medium_and_not_from_memory() {
    let test = "compressed_content_is_read_from_the_medium_and_not_from_memory";
    let Some(image) = Image::new(test, "btrfs", 256 << 20, "compress-force=zstd") else {
        return;
    };
    let fixture = Fixture::new();
    let content = compressible(3 << 20);
    write(fixture.source.join("f"), &content);
    let dest = image.at("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    let ran = run("verify", [&dest]);
    assert_eq!((ran.code, ran.sum("read_evicted")), (0, 1));
    // Each compressed extent begins with the magic number of zstd.
    let medium = fs::read(&image.file).unwrap();
    let sectors = medium.chunks(4096).enumerate();
    let extents = sectors.filter(|(_, sector)| sector.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    let extents: Vec<u64> = extents.map(|(nth, _)| nth as u64 * 4096).collect();
    assert!(extents.len() >= 24, "{extents:?}");
    assert!(fs::read(dest.join("f")).unwrap() == content);
    image.change(extents[extents.len() / 2] + 99, |byte| byte[0] ^= 1, 1);
    assert!(
        fs::read(dest.join("f")).unwrap() == content,
        "the page cache does not know"
    );
    let ran = run("verify", [&dest]);
    // btrfs has checksums of its own and refuses to give what it finds.
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    assert_eq!(ran.problems(), [("f".into(), "unreadable".into())]);
}

#[test]
fn a_file_with_holes_is_read_from_the_medium_where_it_has_content() {
    let test = "a_file_with_holes_is_read_from_the_medium_where_it_has_content";
    let Some(image) = Image::new(test, "btrfs", 128 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    let holes = fixture.source.join("holes");
    write(&holes, Rng::new(1).bytes(100_000));
    let file = fs::File::options().write(true).open(&holes).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &Rng::new(2).bytes(100_000), 5 << 20).unwrap();
    let dest = image.at("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    let ran = run("verify", ["--require-medium".as_ref(), dest.as_os_str()]);
    assert_eq!(
        (ran.code, ran.sum("read_evicted")),
        (0, 1),
        "{}",
        ran.stderr
    );
}

#[test]
fn pages_that_have_to_be_seen_are_read_many_at_a_time() {
    let test = "pages_that_have_to_be_seen_are_read_many_at_a_time";
    if !is_root_with(test, &["losetup"]) {
        return;
    }
    let Some(image) = Image::new(test, "btrfs", 256 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    let pages = 8192;
    write(fixture.source.join("f"), Rng::new(1).bytes(pages * 4096));
    let dest = image.at("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    let before = image.reads();
    let ran = run("verify", [&dest]);
    assert_eq!(
        (ran.code, ran.sum("read_evicted")),
        (0, 1),
        "{}",
        ran.stderr
    );
    let reads = image.reads() - before;
    // Most take 128 KiB or more; on a machine that has other things to do some pages are looked at
    // too late and asked for again.
    assert!(reads < pages as u64 / 4, "{reads} reads of {pages} pages");
}
