"""Source trees, and what is in a tree."""

import hashlib
import os
import random
import stat

SIZES = [0, 1, 100, 4096, 5000, 65_536, 65_537, 200_000]
LARGE = [("large0", 12 << 20), ("large1", (6 << 20) + 12_345)]


def age(path, nth):
    ns = (1_600_000_000 + nth) * 10**9 + 123_456_789
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def make(root, seed, version, links):
    """Makes one of two versions (0, 1) of a tree.

    Some files are the same in both, most differ, and each version has files and a directory that
    the other lacks.
    """
    common, own = random.Random(f"{seed} common"), random.Random(f"{seed} {version}")
    for nth in range(200):
        if nth % 10 == (3, 7)[version]:
            continue
        rng = random.Random(f"{seed} {nth}") if nth % 4 == 0 else own
        make_file(os.path.join(root, f"dir{nth % 7}", f"sub{nth % 3}", f"file {nth}"), rng)
    for nth in range(5):
        make_file(os.path.join(root, f"only in {version}", f"file {nth}"), own)
    for name, size in LARGE:
        make_file(os.path.join(root, name), own, size)
    if links:
        os.symlink(f"target {version}", os.path.join(root, "dir0", "link"))
        os.link(os.path.join(root, "dir1/sub1/file 1"), os.path.join(root, "hard"))
    for directory, _, _ in os.walk(root, topdown=False):
        age(directory, common.randrange(10**6))


def make_file(path, rng, size=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(rng.randbytes(rng.choice(SIZES) if size is None else size))
    os.chmod(path, rng.choice([0o644, 0o600, 0o755, 0o440]))
    age(path, rng.randrange(10**6))


def look(root, metadata):
    """Returns what each path holds, with mode and time if `metadata`, without sprag's own files."""
    found = {}
    for directory, directories, files in os.walk(root, onerror=fail):
        if directory == root and ".sprag" in directories:
            directories.remove(".sprag")
        for name in directories + files:
            if name.startswith(".sprag-") and name.endswith(".partial"):
                continue
            path = os.path.join(directory, name)
            status = os.lstat(path)
            meta = (status.st_mode, status.st_mtime_ns) if metadata else ()
            found[os.path.relpath(path, root)] = (content(path, status), meta)
    return found


def content(path, status):
    if stat.S_ISLNK(status.st_mode):
        return "-> " + os.readlink(path)
    if not stat.S_ISREG(status.st_mode):
        return "directory"
    with open(path, "rb") as file:
        return f"{status.st_size} bytes, {hashlib.file_digest(file, 'sha256').hexdigest()}"


def fail(error):
    raise error


def contents(found):
    """Returns the part of a look that a final name stands for: no directories, no metadata."""
    return {path: what for path, (what, _) in found.items() if what != "directory"}
