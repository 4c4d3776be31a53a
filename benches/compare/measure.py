"""How one run is measured: a fresh file system, a child, its resources, the device's counters."""
import os
import pathlib
import platform
import shutil
import subprocess
import time

SECTOR = 512


class Bench:
    """The folder that everything is kept in, and the file system under measurement."""

    def __init__(self, work, sprag):
        self.work = pathlib.Path(work)
        self.sprag = str(sprag)
        self.mount = self.work / "mnt"
        self.mount.mkdir(parents=True, exist_ok=True)
        self.loop = None
        self.close()

    def fresh(self, mib, *mkfs_options):
        """A new, empty ext4 on an image of this size."""
        self.close()
        image = self.work / f"image-{mib}"
        if not image.exists() or image.stat().st_blocks * SECTOR < mib << 20:
            with open(image, "wb") as file:
                for _ in range(mib):
                    file.write(bytes(1 << 20))
                os.fsync(file.fileno())
        call("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", *mkfs_options, image)
        self.loop = output("losetup", "--find", "--show", "--direct-io=on", image)
        self.attach()

    def attach(self):
        call("mount", self.loop, self.mount)

    def remount(self):
        """The same file system, and nothing of it in the page cache."""
        call("umount", self.mount)
        self.attach()

    def close(self):
        if os.path.ismount(self.mount):
            call("umount", self.mount)
        if self.loop:
            call("losetup", "--detach", self.loop)
            self.loop = None

    def device_bytes(self):
        """How much was read from and written to the device so far."""
        fields = (pathlib.Path("/sys/block") / pathlib.Path(self.loop).name / "stat").read_text().split()
        return int(fields[2]) * SECTOR, int(fields[6]) * SECTOR

    def run(self, command, flush=True):
        """Runs a command and flushes the destination; what that took."""
        usage = self.work / "usage"
        # Not by wait4 from here: the peak would be at least this interpreter's own.
        timed = ["time", "--quiet", "-o", usage, "-f", "%U %S %M", *command]
        read, written = self.device_bytes()
        before = time.monotonic()
        child = subprocess.run([str(part) for part in timed], check=False, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if flush:
            call("sync", "-f", self.mount)
        wall = time.monotonic() - before
        read_after, written_after = self.device_bytes()
        user, system, peak = usage.read_text().split()
        return {
            "exit_code": child.returncode, "wall_s": wall, "user_s": user, "system_s": system, "peak_rss_kib": int(peak),
            "device_read_bytes": read_after - read, "device_written_bytes": written_after - written,
            "command": " ".join(map(str, command)).replace(f"{self.work}/", "").replace(self.sprag, "sprag"),
        }


def call(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def output(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout.strip()


def drop_caches():
    call("sync")
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def warm(tree):
    """Reads a tree, so that it is in the page cache."""
    call("sh", "-c", 'find "$0" -type f -print0 | xargs -0 -r cat > /dev/null', tree)


def machine(sprag):
    """What has to be known to read the figures."""
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")]
    memory = next(line.split()[1] for line in open("/proc/meminfo", encoding="utf-8") if line.startswith("MemTotal"))
    yield f"cpu: {len(model)} x {model[0] if model else platform.machine()}, memory: {int(memory) >> 20} GiB, {platform.release()}"
    for tool in ("cp", "rsync", "xcp", "rclone", "b3sum", "fio"):
        if shutil.which(tool):
            yield output(tool, "--version").splitlines()[0]
    yield output(sprag, "--version")
