"""A loop device that is there as long as something uses it."""

import errno
import fcntl
import os
import struct

LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_AUTOCLEAR = 4
# struct loop_config: backing file, block size, struct loop_info64 (here its flags), reserved.
LOOP_CONFIG = struct.Struct("=II 52x I 176x 64x")


class LoopDevice:
    """Leaving `with` lets go of it. Once it is not mounted either, the kernel detaches it."""

    def __init__(self, backing):
        self.backing = backing

    def __enter__(self):
        backing_fd = os.open(self.backing, os.O_RDWR)
        try:
            self.attach(backing_fd)
        finally:
            os.close(backing_fd)
        return self

    def attach(self, backing_fd):
        while True:
            with open("/dev/loop-control", "rb") as control:
                number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            self.path = f"/dev/loop{number}"
            self.fd = os.open(self.path, os.O_RDWR)
            config = LOOP_CONFIG.pack(backing_fd, 0, LO_FLAGS_AUTOCLEAR)
            try:
                fcntl.ioctl(self.fd, LOOP_CONFIGURE, config)
                return
            except OSError as error:
                os.close(self.fd)
                # Somebody else was faster.
                if error.errno != errno.EBUSY:
                    raise

    def __exit__(self, *_):
        os.close(self.fd)

    def flush(self):
        os.fsync(self.fd)

    def is_attached(self):
        # Others may take the device as soon as it is free.
        try:
            name = f"/sys/block/{os.path.basename(self.path)}/loop/backing_file"
            with open(name, encoding="utf-8") as file:
                return file.read().strip() == self.backing
        except OSError:
            return False
