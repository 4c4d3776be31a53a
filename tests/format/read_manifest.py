#!/usr/bin/env python3
"""Reads a manifest with nothing but docs/FORMAT.md and the program b3sum; prints what it holds as JSON.

    tests/format/read_manifest.py DEST/.sprag/manifest
"""
import base64
import json
import pathlib
import struct
import subprocess
import sys

DEST_META = [("mtime_ns", "i128?"), ("mode", "u"), ("uid", "u"), ("gid", "u"), ("acls", "u?"), ("xattrs", "u?"), ("lesser", "lesser?")]
CTIMES = [("source_ns", "i128"), ("dest_s", "u"), ("as_root", "bool")]
LESSER = [("mode", "u?"), ("owner", "pair?"), ("mtime", "bool"), ("acls", "u?"), ("xattrs", "u?")]
MOUNTED = [("path", "bytes"), ("boot", "bytes"), ("mount", "u"), ("unchecked", "bool")]
RECORDS = [
    ("RunBegin", [("started_ms", "u"), ("sources", "[source"), ("earlier", "[source"), ("options", "[bytes"), ("mounts", "[mounted")]),
    ("RunEnd", [("ended_ms", "u"), ("exit_code", "u8"), ("files_copied", "u"), ("files_failed", "u"), ("bytes_copied", "u"), ("failures", "[failure")]),
    ("Dir", [("path", "bytes"), ("atime_ns", "i128"), ("mtime_ns", "i128"), ("dest", "dest")]),
    ("Symlink", [("path", "bytes"), ("target", "bytes"), ("mtime_ns", "i128"), ("dest", "dest"), ("attempt", "u8")]),
    ("Begin", [("path", "bytes"), ("size", "u"), ("mtime_ns", "i128"), ("ctime_ns", "i128"), ("ino", "u"), ("attempt", "u8"), ("adopts", "bool")]),
    ("Blocks", [("begin", "u"), ("prev", "u"), ("first", "u"), ("hashes", "hashes")]),
    ("Cut", [("begin", "u"), ("prev", "u"), ("keep", "u")]),
    ("Done", [("path", "bytes"), ("size", "u"), ("mtime_ns", "i128"), ("dest", "dest"), ("hash", "hash"), ("attempt", "u8?"), ("chain", "u"), ("ctimes", "ctimes?"), ("unsettled", "bool")]),
    ("LinkWanted", [("path", "bytes"), ("to", "bytes")]),
    ("Link", [("path", "bytes"), ("to", "bytes")]),
    ("Removed", [("path", "bytes")]),
    ("Barrier", [("covers", "u")]),
    ("ReadBack", [("due", "bool")]),
    ("VerifyBegin", [("started_ms", "u"), ("key", "u"), ("seed", "u"), ("what", "bytes")]),
    ("Verified", [("run", "u"), ("at_ms", "u"), ("depth", "u"), ("spans", "[span")]),
    ("Finding", [("run", "u"), ("pos", "u"), ("what", "found")]),
    ("VerifyEnd", [("run", "u"), ("ended_ms", "u"), ("exit_code", "u8"), ("entries_ok", "u"), ("entries_bad", "u")]),
    ("Special", [("path", "bytes"), ("what", "special"), ("mtime_ns", "i128"), ("dest", "dest"), ("attempt", "u8")]),
    ("Mounted", MOUNTED),
]
SPECIAL = [("fifo", []), ("socket", []), ("block device", [("number", "u")]), ("character device", [("number", "u")])]
DAMAGE = [("ranges", "[range"), ("blocks_bad", "u"), ("blocks_zero", "u"), ("blocks_shifted", "u"), ("first_shift", "shift?")]
FOUND = [
    ("unproven", []),
    ("corrupt", [("damage", "damage")]),
    ("modified", [("text", "bytes"), ("damage", "damage?")]),
    ("missing", []),
    ("incomplete", [("bytes", "u"), ("of", "u")]),
    ("unreadable", [("text", "bytes")]),
    ("metadata", [("text", "bytes")]),
]


class Payload:
    """One payload, read from front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("a payload is too short")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        first = self.take(1)[0]
        width = {0xfb: 2, 0xfc: 4, 0xfd: 8, 0xfe: 16}.get(first)
        return int.from_bytes(self.take(width), "little") if width else first

    def value(self, kind):
        if kind.endswith("?"):
            return self.value(kind[:-1]) if self.take(1)[0] else None
        if kind.startswith("["):
            return [self.value(kind[1:]) for _ in range(self.varint())]
        if kind == "i128":
            number = self.varint()
            return -(number + 1) // 2 if number & 1 else number // 2
        fields = {"dest": DEST_META, "lesser": LESSER, "ctimes": CTIMES, "mounted": MOUNTED, "source": [("path", "bytes"), ("file_system", "bytes")], "pair": [("uid", "u"), ("gid", "u")], "failure": [("path", "bytes"), ("why", "bytes")],
                  "damage": DAMAGE, "span": [("gap", "u"), ("length", "u")], "range": [("start", "u"), ("end", "u")], "shift": [("at", "u"), ("belongs", "u")]}
        if kind in ("found", "special"):
            name, found = {"found": FOUND, "special": SPECIAL}[kind][self.varint()]
            return {"kind": name, **self.fields(found)}
        if kind in fields:
            return self.fields(fields[kind])
        simple = {"u": self.varint, "u8": lambda: self.take(1)[0], "bool": lambda: self.take(1)[0] == 1,
                  "bytes": lambda: self.take(self.varint())}
        if kind == "hash":
            return self.hashes(1)[0]
        if kind == "hashes":
            return self.hashes()
        return simple[kind]()

    def hashes(self, count=None):
        length = self.varint()
        if length % 32 or count not in (None, length // 32):
            raise ValueError("hashes of a wrong length")
        return [self.take(32).hex() for _ in range(length // 32)]

    def fields(self, fields):
        return {name: self.value(kind) for name, kind in fields}

    def record(self):
        name, fields = RECORDS[self.varint()]
        record = {"kind": name, **self.fields(fields)}
        if self.at != len(self.data):
            raise ValueError(f"{name}: bytes are left over")
        return record


def header_checksum(text):
    """The first 8 bytes of BLAKE3."""
    printed = subprocess.run(["b3sum", "--no-names"], input=text, check=True, capture_output=True).stdout
    return bytes.fromhex(printed.decode())[:8]


PRIMES = [0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5]
BITS = (1 << 64) - 1


def turned(value, bits):
    value &= BITS
    return (value << bits | value >> 64 - bits) & BITS


def mixed(lane, word):
    return turned(lane + word * PRIMES[1], 31) * PRIMES[0] & BITS


def xxh64(data):
    """XXH64 with the seed 0."""
    lanes = [PRIMES[0] + PRIMES[1] & BITS, PRIMES[1], 0, -PRIMES[0] & BITS]
    whole = len(data) // 32 * 32
    for words in struct.iter_unpack("<4Q", data[:whole]):
        lanes = [mixed(lane, word) for lane, word in zip(lanes, words)]
    if whole:
        total = sum(turned(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18)))
        for lane in lanes:
            total = (total ^ mixed(0, lane)) * PRIMES[0] + PRIMES[3]
    else:
        total = PRIMES[4]
    total, rest = total + len(data), data[whole:]
    while len(rest) >= 8:
        total = turned(total & BITS ^ mixed(0, int.from_bytes(rest[:8], "little")), 27) * PRIMES[0] + PRIMES[3]
        rest = rest[8:]
    if len(rest) >= 4:
        total = turned(total & BITS ^ int.from_bytes(rest[:4], "little") * PRIMES[0] & BITS, 23) * PRIMES[1] + PRIMES[2]
        rest = rest[4:]
    for byte in rest:
        total = turned(total & BITS ^ byte * PRIMES[4] & BITS, 11) * PRIMES[0]
    total &= BITS
    total = (total ^ total >> 33) * PRIMES[1] & BITS
    total = (total ^ total >> 29) * PRIMES[2] & BITS
    return total ^ total >> 32


def frames(data, identity):
    """Position and payload of every good frame of a destination's manifest, up to the first that is not."""
    at, key = 4096, identity + data[32:48]
    while at + 12 <= len(data):
        length, checksum = struct.unpack_from("<IQ", data, at)
        payload = data[at + 12:at + 12 + length]
        if not 1 <= length <= 1 << 20 or len(payload) < length:
            return
        if xxh64(key + struct.pack("<QQ", at, length) + payload) != checksum:
            return
        yield at, payload
        at += 12 + length


def read(data):
    magic, version, log2 = struct.unpack_from("<8sIB", data)
    identity = data[16:32]
    if magic != b"\x89sprag\r\n" or version != 1 or header_checksum(b"sprag header" + data[:56]) != data[56:64]:
        raise ValueError("this is no manifest of version 1")
    paths, covers, runs = {}, [], 0
    for _, payload in frames(data, identity):
        record = Payload(payload).record()
        kind = record["kind"]
        if kind == "Barrier":
            covers.append(record["covers"])
        elif kind == "Removed":
            paths.pop(record["path"], None)
        elif "path" in record and kind != "Mounted":
            paths[record["path"]] = record
        runs += kind == "RunBegin"
    return {"id": identity.hex(), "block_bytes": 1 << log2, "runs": runs, "trusted": covers[-2] if len(covers) > 1 else 4096,
            "entries": [plain(record) for _, record in sorted(paths.items())]}


def plain(value):
    """Bytes as JSON can hold them: text, or base64 of what is no UTF-8."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return value


if __name__ == "__main__":
    json.dump(read(pathlib.Path(sys.argv[1]).read_bytes()), sys.stdout, indent=1)
