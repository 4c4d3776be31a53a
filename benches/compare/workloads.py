"""The work: what is copied, verified or done again, and with which commands."""
import os
import pathlib
import random
import shutil
import signal
import subprocess

from measure import call, drop_caches, warm

MIB = 1 << 20


# --- sources, made once and kept ---------------------------------------------------------------

def made(bench, name, make):
    """The source of this name; a half-made one is made anew."""
    tree, ready = bench.work / "sources" / name, bench.work / "sources" / f".{name}.ready"
    if not ready.exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        make(tree, random.Random(name))
        ready.touch()
    return tree


def large(tree, dice):
    for number in range(2):
        random_file(tree / f"large{number}", 256 * MIB, dice)


def huge(tree, dice):
    random_file(tree / "huge", 8192 * MIB, dice)


def random_file(path, size, dice):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(dice.randbytes(MIB))


def small(tree, dice, files=50_000, directories=500, sizes=lambda dice: int(dice.lognormvariate(8.3, 0.7))):
    content = dice.randbytes(2 * MIB)
    for directory in range(directories):
        folder = tree / f"d{directory:04}"
        folder.mkdir()
        for number in range(files // directories):
            start, size = dice.randrange(MIB), min(sizes(dice), MIB)
            (folder / f"file-{number:06}-of-the-small-kind.dat").write_bytes(content[start:start + size])


def tiny(files):
    """Small files by the million: what counts is their number."""
    return lambda tree, dice: small(tree, dice, files, files // 100, lambda dice: dice.randrange(1, 200))


def sparse(tree, dice):
    with open(tree / "sparse", "wb") as file:
        file.truncate(4096 * MIB)
        for number in range(64):
            file.seek(number * 64 * MIB)
            file.write(dice.randbytes(MIB))


def size_of(tree):
    files = [entry for entry in pathlib.Path(tree).rglob("*") if entry.is_file() and not entry.is_symlink()]
    return {"work_bytes": sum(entry.stat().st_size for entry in files), "work_files": len(files)}


# --- commands ----------------------------------------------------------------------------------

def copiers(bench, source, dest):
    name = pathlib.Path(source).name
    return {
        "cp": ["cp", "-a", source, dest],
        "rsync": ["rsync", "-a", source, dest],
        "rsync-fsync": ["rsync", "-a", "--fsync", source, dest],
        "xcp": ["xcp", "-r", source, dest],
        "rclone": ["rclone", "copy", "--links", source, f"{dest}/{name}"],
        "sprag": [bench.sprag, "copy", "-q", source, dest],
        "sprag-verify": [bench.sprag, "copy", "-q", "--verify", source, dest],
        "cp-sync-b3sum": ["sh", "-c", f'cp -a "$0" "$1" && sync -f "$1" && {B3SUM}', source, dest],
        "rsync-again-c": ["sh", "-c", 'rsync -a "$0" "$1" && sync -f "$1" && echo 3 > /proc/sys/vm/drop_caches && rsync -ac "$0" "$1"',
                          source, dest],
    }


B3SUM = 'find "$1" -name .sprag -prune -o -type f -print0 | xargs -0 b3sum'


def chosen(commands, tools, default):
    """Those that are asked for and installed."""
    names = tools or default
    absent = [name for name in names if name in commands and not shutil.which(commands[name][0])]
    for name in absent:
        print(f"!! {name} is left out: {commands[name][0]} is not installed", flush=True)
    return {name: commands[name] for name in names if name in commands and name not in absent}


# --- workloads ---------------------------------------------------------------------------------

COPYING = ["cp", "rsync", "rsync-fsync", "xcp", "rclone", "sprag", "sprag-verify", "cp-sync-b3sum", "rsync-again-c"]
FAST = ["cp", "rsync", "xcp", "sprag"]


def copying(name, source, mib, caches=("warm", "cold"), default=None, mkfs=()):
    def rows(bench, rounds, tools):
        tree = source(bench)
        size = size_of(tree)
        names = chosen(copiers(bench, tree, bench.mount), tools, default or COPYING)
        for cache in caches:
            for number in range(rounds):
                for tool, command in names.items():
                    bench.fresh(mib, *mkfs)
                    if cache == "warm":
                        warm(tree)
                    else:
                        drop_caches()
                    yield {"workload": name, "cache": cache, "tool": tool, "round": number, **size, **bench.run(command)}
    rows.__doc__ = f"copy {name}"
    return rows


def nothing_to_do(name, source, mib, mkfs=()):
    """Each tool copies once, then does it again, in turn."""
    def rows(bench, rounds, tools):
        tree = source(bench)
        size = size_of(tree)
        bench.fresh(mib, *mkfs)
        commands = {}
        for tool in chosen(copiers(bench, tree, bench.mount), tools, ["rsync", "sprag"]):
            dest = bench.mount / tool
            dest.mkdir()
            commands[tool] = copiers(bench, tree, dest)[tool]
            yield {"workload": name, "cache": "first", "tool": tool, "round": 0, **size, **bench.run(commands[tool])}
        for number in range(rounds):
            for tool, command in commands.items():
                yield {"workload": name, "cache": "warm", "tool": tool, "round": number, **size, **bench.run(command)}
        if "sprag" in commands:
            dest = bench.mount / "sprag"
            for number in range(rounds):
                command = [bench.sprag, "status", dest]
                yield {"workload": name, "cache": "warm", "tool": "sprag-status", "round": number, **size, **bench.run(command, flush=False)}
            command = [bench.sprag, "verify", "-q", "--restart", dest]
            yield {"workload": name, "cache": "warm", "tool": "sprag-verify", "round": 0, **size, **bench.run(command, flush=False)}
            manifest = dest / ".sprag" / "manifest"
            print(f"{name}: the manifest has {manifest.stat().st_size / size['work_files']:.1f} bytes a file", flush=True)
    rows.__doc__ = f"do {name[1:]} again with nothing to do"
    return rows


def verifying(name, source, mib):
    """A cold verify against b3sum, and against the device."""
    def rows(bench, rounds, tools):
        tree = source(bench)
        size = size_of(tree)
        bench.fresh(mib)
        call(bench.sprag, "copy", "-q", tree, bench.mount)
        commands = {
            "sprag": [bench.sprag, "verify", "-q", bench.mount],
            "b3sum": ["sh", "-c", B3SUM, "sh", bench.mount],
            "fio": ["fio", "--name=read", f"--filename={bench.loop}", "--rw=read", "--bs=1M", "--direct=1", "--iodepth=4",
                    "--ioengine=libaio", "--readonly", f"--size={size['work_bytes']}", "--output=/dev/null"],
        }
        for number in range(rounds):
            for tool, command in chosen(commands, tools, list(commands)).items():
                bench.remount()
                drop_caches()
                yield {"workload": name, "cache": "cold", "tool": tool, "round": number, **size, **bench.run(command, flush=False)}
    rows.__doc__ = f"verify {name[1:]}, cold"
    return rows


def resuming(bench, rounds, tools):
    """copy H whole, then again after SIGKILL at nine tenths"""
    tree = made(bench, "H", huge)
    size = size_of(tree)
    names = chosen(copiers(bench, tree, bench.mount), tools, ["sprag", "rsync"])
    again = {"sprag": [], "rsync": ["--append-verify"]}
    for number in range(rounds):
        for tool, command in names.items():
            bench.fresh(9216)
            yield {"workload": "R", "cache": "whole", "tool": tool, "round": number, **size, **bench.run(command)}
            bench.fresh(9216)
            kill_at(command if tool == "sprag" else command + ["--inplace"], bench.mount, size["work_bytes"] * 9 // 10)
            call("sync", "-f", bench.mount)
            yield {"workload": "R", "cache": "rerun", "tool": tool, "round": number, **size, **bench.run(command + again[tool])}


def kill_at(command, dest, size):
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None:
        written = sum(entry.stat().st_size for entry in present(dest) if entry.name.endswith((".partial", "huge")))
        if written >= size:
            child.send_signal(signal.SIGKILL)
            child.wait()


def present(folder):
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from present(entry.path)
        else:
            yield entry


def usr(_bench):
    return pathlib.Path("/usr")


def of(name, make):
    return lambda bench: made(bench, name, make)


ALL = {
    "L": copying("L", of("L", large), 1024),
    "S": copying("S", of("S", small), 1024),
    "M": copying("M", usr, 8192, caches=("warm",), default=FAST),
    "H": copying("H", of("H", huge), 9216, caches=("cold",), default=FAST),
    "Z": copying("Z", of("Z", sparse), 1024, caches=("warm",), default=FAST),
    "NS": nothing_to_do("NS", of("S", small), 1536, ("-N", "200000")),
    "NM": nothing_to_do("NM", usr, 16384),
    "N10k": nothing_to_do("N10k", of("T10k", tiny(10_000)), 1024),
    "N100k": nothing_to_do("N100k", of("T100k", tiny(100_000)), 2048, ("-N", "300000")),
    "N1M": nothing_to_do("N1M", of("T1M", tiny(1_000_000)), 11264, ("-N", "2300000")),
    "VL": verifying("VL", of("L", large), 1024),
    "VS": verifying("VS", of("S", small), 1024),
    "VM": verifying("VM", usr, 8192),
    "R": resuming,
}
