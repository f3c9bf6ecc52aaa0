"""Files that look like a bundle, and do harm to whoever believes what they state."""

import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

from mammo.models.bundles import FORMAT, MANIFEST, MEMBERS, SIGNATURE

DEEP = b"[" * 500_000 + b"]" * 500_000


def members_of(bundle):
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, members, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def patched(bundle, to, member, *, central, local, value):
    """A bundle with another number in the header of a member, in both places: two bytes at these offsets."""
    data = bytearray(bundle.read_bytes())
    end = data.rfind(b"PK\5\6")
    at = struct.unpack("<L", data[end + 16 : end + 20])[0]
    while data[at : at + 4] == b"PK\1\2":
        length, extra, comment = struct.unpack("<HHH", data[at + 28 : at + 34])
        if data[at + 46 : at + 46 + length].decode() == member:
            data[at + central : at + central + 2] = struct.pack("<H", value)
            start = struct.unpack("<L", data[at + 42 : at + 46])[0]
            data[start + local : start + local + 2] = struct.pack("<H", value)
        at += 46 + length + extra + comment
    to.write_bytes(data)
    return to


def hostile_files(bundle, folder):
    """Yield files of all kinds, made of a bundle whose signature is not trusted, or damaged."""
    members = members_of(bundle)
    flags, method = {"central": 8, "local": 6}, {"central": 10, "local": 8}
    for member in (MANIFEST, SIGNATURE, "detector.safetensors"):
        for bit in (0, 3, 5, 6, 11, 13, 15):
            yield patched(bundle, folder / f"flag-{bit}-{member}", member, **flags, value=1 << bit)
        for number in (1, 8, 9, 12, 14, 93, 98, 99, 0xFFFF):
            yield patched(bundle, folder / f"method-{number}-{member}", member, **method, value=number)
    for name, compression in (("deflate", 8), ("bzip2", 12), ("lzma", 14)):
        yield written(folder / name, members, compression=compression)
    for member in (MANIFEST, SIGNATURE):
        for name, content in {
            "deep": DEEP,
            "empty": b"",
            "null": b"null",
            "number": b"1" * 100_000,
            "not-utf8": b'{"key": "\xff"}',
            "surrogate": b'{"key": "\\ud800", "signature": "\\ud800"}',
            "nan": b'{"key": NaN, "signature": 1e400}',
            "lists": json.dumps({"key": [[]], "signature": {}}).encode(),
            "zeros": bytes(2**20),
            "large": bytes(2**23),
            "no-point": json.dumps({"key": "f" * 64, "signature": "0" * 128}).encode(),
        }.items():
            yield written(folder / f"{name}-{member}", members | {member: content})
    yield from _odd_names(folder, members)
    yield from _odd_directories(bundle, folder)


def _odd_names(folder, members):
    names = [
        "/etc/passwd",
        "../../evil",
        "C:\\evil",
        "a\0b",
        "detector.safetensors\u202e",
        "d\u00e9tecteur",
        "x" * 60_000,
    ]
    for number, name in enumerate(names):
        yield written(folder / f"name-{number}", members | {name: b"x"})
        renamed = {name if key == MANIFEST else key: content for key, content in members.items()}
        yield written(folder / f"renamed-{number}", renamed)
    with zipfile.ZipFile(folder / "link", "w") as archive:
        for name in MEMBERS:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    yield folder / "link"
    duplicate = folder / "duplicate"
    with zipfile.ZipFile(duplicate, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive._writecheck = lambda _: None
        archive.writestr(zipfile.ZipInfo(SIGNATURE), members[SIGNATURE])
    yield duplicate
    with zipfile.ZipFile(folder / "many", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}", b"")
    yield folder / "many"


def _odd_directories(bundle, folder):
    """Archives whose directory states what is not there."""
    data = bundle.read_bytes()
    end = data.rfind(b"PK\5\6")
    for name, at, form, value in (
        ("entries", 10, "<H", 0xFFFF),
        ("directory-size", 12, "<L", 0xFFFFFFFE),
        ("directory-at", 16, "<L", 0xFFFFFFFE),
        ("comment", 20, "<H", 0xFFFF),
    ):
        changed = bytearray(data)
        struct.pack_into(form, changed, end + at, value)
        (folder / name).write_bytes(changed)
        yield folder / name
    with (folder / "sparse").open("wb") as file:  # 14 GB of zeros, which take no room
        file.truncate(14 * 2**30)
    yield folder / "sparse"
    with (folder / "sparse-archive").open("wb") as file:  # a directory of 4 GB, mostly holes
        file.seek(2**32 - 2**20)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 4, 4, 2**32 - 2**21, 0, 0))
    yield folder / "sparse-archive"
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 4, 4, 2**62, 2**62)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    (folder / "zip64").write_bytes(data[:end] + record + locator + data[end:])
    yield folder / "zip64"
    for cut in (1, 30, end // 2, end + 5):
        (folder / f"cut-{cut}").write_bytes(data[:-cut])
        yield folder / f"cut-{cut}"
    (folder / "gzip").write_bytes(zlib.compress(bytes(2**20)))
    yield folder / "gzip"


def special_files(folder):
    """Yield what is no regular file, and files that cannot be there."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "link-to-nothing").symlink_to(folder / "nothing")
    (folder / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "link-to-nothing", "zero", "missing"):
        yield folder / name
    yield Path("/dev/zero")
    yield folder / ("x" * 300)
    yield folder / "odd\udcff\n\x1b[31m"


def signed(path, members, private, manifest):
    """A bundle with this manifest, text or object, and a signature that is right."""
    text = manifest if isinstance(manifest, bytes) else json.dumps({"format": FORMAT, **manifest}).encode()
    key = private.public_key().public_bytes_raw().hex()
    signature = json.dumps({"key": key, "signature": private.sign(text).hex()}).encode()
    return written(path, members | {MANIFEST: text, SIGNATURE: signature})
