#!/usr/bin/env python3
"""A disk with a volatile write cache, as a file for a loop device to stand on.

    disk.py FOLDER MIB

Mounts itself on the file FOLDER/disk. It speaks FUSE with the kernel directly, so no library is
needed. FOLDER/current is what a reader sees. FOLDER/durable is what survives a power cut: a write
reaches it with the next flush. Commands come on standard input, one a line. Each is answered with
one line of JSON once it has taken effect:

    cut KEEP UNIT SEED   lose power now: each UNIT bytes of each unflushed write survive with the
                         chance KEEP; everything fails with EIO from then on
    arm KEEP UNIT SEED   the same, but in place of the next flush
    on                   power comes back
    lie                  acknowledge flushes from now on, but do nothing

The answer holds what the last cut left: the units that were unflushed, and how many of those were
lost. The program ends when standard input does.
"""

import errno
import json
import os
import random
import select
import stat
import struct
import subprocess
import sys

GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE = 3, 4, 14, 15, 16, 17, 18
FSYNC, FLUSH, INIT, DESTROY = 20, 25, 26, 38
# Requests that want no answer: FORGET, INTERRUPT, BATCH_FORGET.
UNANSWERED = (2, 36, 42)

FUSE_ASYNC_READ, FUSE_BIG_WRITES, FUSE_MAX_PAGES = 1 << 0, 1 << 5, 1 << 22
# The page cache of this file would outlive a cut.
FOPEN_DIRECT_IO = 1
WRITE_BYTES_MAX = 1 << 20
IN_HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
# READ and WRITE begin alike: file handle, offset, size.
TRANSFER = struct.Struct("<QQI20x")


class Disk:
    """The cache and what lies below it."""

    def __init__(self, folder, size):
        self.size = size
        self.current, self.durable = (
            os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT)
            for name in ("current", "durable")
        )
        os.ftruncate(self.current, size)
        os.ftruncate(self.durable, size)
        # (offset, data) of each write since the last flush, oldest first.
        self.unflushed = []
        self.powered, self.lies, self.armed = True, False, None
        self.report = {"unflushed": 0, "lost": 0}

    def read(self, offset, size):
        self.want_power()
        return os.pread(self.current, size, offset)

    def write(self, offset, data):
        self.want_power()
        os.pwrite(self.current, data, offset)
        self.unflushed.append((offset, bytes(data)))

    def flush(self):
        self.want_power()
        if self.armed:
            self.cut(*self.armed)
            self.want_power()
        if not self.lies:
            for offset, data in self.unflushed:
                os.pwrite(self.durable, data, offset)
            self.unflushed.clear()

    def want_power(self):
        if not self.powered:
            raise OSError(errno.EIO, "no power")

    def cut(self, keep, unit, seed):
        """Does nothing without power: a disk that was armed may be cut already."""
        if not self.powered:
            return
        rng = random.Random(seed)
        self.report = {"unflushed": 0, "lost": 0}
        for offset, data in self.unflushed:
            for start, end in units(offset, len(data), unit):
                self.report["unflushed"] += 1
                if rng.random() < keep:
                    os.pwrite(self.durable, data[start:end], offset + start)
                else:
                    self.report["lost"] += 1
        for offset, data in self.unflushed:
            os.pwrite(self.current, os.pread(self.durable, len(data), offset), offset)
        self.unflushed.clear()
        self.powered, self.armed = False, None

    def obey(self, command, *words):
        if command == "on":
            self.powered = True
        elif command == "lie":
            self.lies = True
        else:
            keep, unit, seed = float(words[0]), int(words[1]), int(words[2])
            if command == "cut":
                self.cut(keep, unit, seed)
            else:
                self.armed = (keep, unit, seed)


def units(offset, length, unit):
    """Splits a write where the units of the disk end."""
    start = 0
    while start < length:
        end = min(start + unit - (offset + start) % unit, length)
        yield start, end
        start = end


class Connection:
    """The kernel's requests for the one file."""

    def __init__(self, disk, target):
        self.disk = disk
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.fd},rootmode={stat.S_IFREG | 0o600:o},user_id=0,group_id=0"
        command = ["mount", "-i", "-t", "fuse", "-o", options, "sprag-media", target]
        subprocess.run(command, check=True, pass_fds=[self.fd])
        self.buffer = bytearray(WRITE_BYTES_MAX + 64 * 1024)

    def serve(self):
        """Takes one request and answers it."""
        got = os.readv(self.fd, [self.buffer])
        request = memoryview(self.buffer)[:got]
        _, operation, unique, *_ = IN_HEADER.unpack_from(request)
        if operation in UNANSWERED:
            return
        failed, answer = 0, b""
        try:
            answer = self.answer(operation, request[IN_HEADER.size :])
        except OSError as error:
            failed = error.errno
        header = OUT_HEADER.pack(OUT_HEADER.size + len(answer), -failed, unique)
        os.writev(self.fd, [header, answer])

    def answer(self, operation, body):
        if operation == READ:
            _, offset, size = TRANSFER.unpack_from(body)
            return self.disk.read(offset, size)
        if operation == WRITE:
            _, offset, size = TRANSFER.unpack_from(body)
            self.disk.write(offset, body[TRANSFER.size : TRANSFER.size + size])
            return struct.pack("<II", size, 0)
        if operation == FSYNC:
            self.disk.flush()
            return b""
        if operation == INIT:
            flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES
            sizes = struct.pack("<HHIIHH", 16, 12, WRITE_BYTES_MAX, 1, WRITE_BYTES_MAX >> 12, 0)
            return struct.pack("<IIII", 7, 31, 1 << 20, flags) + sizes + bytes(32)
        if operation == OPEN:
            return struct.pack("<QII", 0, FOPEN_DIRECT_IO, 0)
        if operation in (GETATTR, SETATTR):
            attributes = struct.pack("<QQQQQQIII", 1, self.disk.size, 0, 0, 0, 0, 0, 0, 0)
            attributes += struct.pack("<IIIIIII", stat.S_IFREG | 0o600, 1, 0, 0, 0, 4096, 0)
            return struct.pack("<QII", 0, 0, 0) + attributes
        if operation == STATFS:
            return struct.pack("<QQQQQIII28x", 0, 0, 0, 0, 0, 4096, 255, 4096)
        if operation in (FLUSH, RELEASE, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "not a disk's")


def main():
    folder, size = sys.argv[1], int(sys.argv[2]) << 20
    target = os.path.join(folder, "disk")
    with open(target, "wb"):
        pass
    disk = Disk(folder, size)
    connection = Connection(disk, target)
    requests = select.poll()
    requests.register(connection.fd, select.POLLIN)
    requests.register(sys.stdin.fileno(), select.POLLIN)
    print("{}", flush=True)
    while True:
        ready = [fd for fd, _ in requests.poll()]
        if connection.fd in ready:
            connection.serve()
        if sys.stdin.fileno() in ready:
            command = os.read(sys.stdin.fileno(), 4096).decode().split()
            if not command:
                return
            disk.obey(*command)
            print(json.dumps(disk.report), flush=True)


if __name__ == "__main__":
    main()
