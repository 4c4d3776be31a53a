"""A real file system on a disk with a volatile write cache, whose power can be cut."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from loop_device import LoopDevice

MIB = 700
HANG_S = 180
DISK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "disk.py")


class FileSystem:
    """How one is made and mounted, and what can be asked of it.

    `check` is the checker of one without a journal. One with a journal must mount without.
    `metadata`: it keeps modes, nanoseconds and links.
    """

    def __init__(self, mkfs, mount, packages, check=None, metadata=True):
        self.mkfs, self.mount, self.packages = mkfs, mount, packages
        self.check, self.metadata = check, metadata

    @property
    def journaled(self):
        return self.check is None

    @property
    def daemon(self):
        return self.mount[0] != "mount"

    def missing(self):
        """Names what this machine lacks for it, or returns None."""
        for program in [self.mkfs, self.mount, self.check or self.mkfs]:
            if not shutil.which(program[0]):
                return f"no {program[0]} (Debian: {self.packages})"
        return None


FILE_SYSTEMS = {
    "ext4": FileSystem(["mkfs.ext4", "-q"], ["mount", "-t", "ext4"], "e2fsprogs"),
    "xfs": FileSystem(["mkfs.xfs", "-q"], ["mount", "-t", "xfs"], "xfsprogs"),
    "btrfs": FileSystem(["mkfs.btrfs", "-q"], ["mount", "-t", "btrfs"], "btrfs-progs"),
    "ext4-nojournal": FileSystem(
        ["mkfs.ext4", "-q", "-O", "^has_journal"],
        ["mount", "-t", "ext4"],
        "e2fsprogs",
        check=["fsck.ext4", "-f", "-y"],
    ),
    "exfat-fuse": FileSystem(
        ["mkfs.exfat"],
        ["mount.exfat-fuse"],
        "exfatprogs exfat-fuse",
        check=["fsck.exfat", "-y"],
        metadata=False,
    ),
    "ntfs-3g": FileSystem(
        ["mkfs.ntfs", "-Q", "-q"],
        ["ntfs-3g"],
        "ntfs-3g",
        check=["ntfsfix", "-d"],
        metadata=False,
    ),
    "exfat": FileSystem(
        ["mkfs.exfat"],
        ["mount", "-t", "exfat"],
        "exfatprogs",
        check=["fsck.exfat", "-y"],
        metadata=False,
    ),
    "vfat": FileSystem(
        ["mkfs.vfat"],
        ["mount", "-t", "vfat"],
        "dosfstools",
        check=["fsck.vfat", "-a"],
        metadata=False,
    ),
}


class Refused(Exception):
    """The file system cannot be mounted again."""


def tool(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit {done.returncode}"
        raise OSError(f"{command[0]}: {said.splitlines()[0]}")
    return done.stdout


class Medium:
    def __init__(self, file_system, folder):
        self.file_system, self.folder = file_system, folder
        self.dir = os.path.join(folder, "mount")
        self.disk_file = os.path.join(folder, "disk")
        self.loop = LoopDevice(self.disk_file)
        os.makedirs(self.dir)
        self.disk = subprocess.Popen(
            [sys.executable, DISK, folder, str(MIB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.answer()
            with self.loop:
                tool(*file_system.mkfs, self.loop.path)
                self.mount()
        except OSError:
            self.close()
            raise

    def answer(self):
        line = self.disk.stdout.readline()
        if not line:
            raise OSError("the disk has ended")
        return json.loads(line)

    def tell(self, *command):
        """Gives the disk a command. Returns what the last cut left."""
        print(*command, file=self.disk.stdin, flush=True)
        return self.answer()

    def mount(self):
        tool(*self.file_system.mount, self.loop.path, self.dir)

    def unmount(self):
        """Returns when nothing is kept of it outside the disk."""
        tool("umount", self.dir)
        deadline = time.monotonic() + HANG_S
        while self.loop.is_attached():
            if time.monotonic() > deadline:
                raise OSError(f"{self.loop.path} is still in use")
            time.sleep(0.01)

    def settle(self):
        """Makes everything durable."""
        self.unmount()
        with self.loop:
            self.loop.flush()
            self.mount()

    def come_back(self):
        """After a cut: drops what the system has of it, and mounts it with power.

        Returns whether it had to be checked first.
        """
        if self.file_system.daemon:
            self.kill_daemon()
        self.unmount()
        self.tell("on")
        with self.loop:
            try:
                self.mount()
                return False
            except OSError as error:
                if self.file_system.journaled:
                    raise Refused(error) from error
            self.check_and_mount()
            return True

    def check(self):
        """Unmounts it, lets its own checker mend it, and mounts it again."""
        self.unmount()
        with self.loop:
            self.check_and_mount()

    def check_and_mount(self):
        command = [*self.file_system.check, self.loop.path]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
        try:
            self.mount()
        except OSError as error:
            said = (checked.stdout + checked.stderr).strip().splitlines()[-1:]
            raise Refused(f"{error}; {self.file_system.check[0]}: {said}") from error

    def kill_daemon(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                if self.loop.path.encode() in cmdline.read().split(b"\0"):
                    os.kill(int(pid), signal.SIGKILL)

    def close(self):
        """Leaves the files of the disk for a look."""
        subprocess.run(["umount", "--lazy", self.dir], check=False, capture_output=True)
        self.disk.stdin.close()
        self.disk.wait()
        subprocess.run(["umount", "--lazy", self.disk_file], check=False, capture_output=True)
