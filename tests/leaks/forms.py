"""The forms in which programs write a text down, and what is packed inside of a piece of data."""

from __future__ import annotations

import base64
import bz2
import html
import io
import json
import lzma
import shlex
import zipfile
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_UNPACKED = 50_000_000
DEEPEST = 3
ZLIB_BEGINS = (b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08")
FILE_BEGINS: dict[bytes, Callable[[bytes], bytes]] = {b"BZh": bz2.decompress, b"\xfd7zXZ\0": lzma.decompress}


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """Every form of a secret, with the form's name."""
    raw = value.encode()
    yield "plain", raw
    for form, text in _texts(value):
        yield form, text.encode()
        yield f"{form}, JSON", json.dumps(text)[1:-1].encode()
        yield f"{form}, slashes escaped", text.replace("/", "\\/").encode()
        yield f"{form}, lower case", _lower_percents(text).encode()
    yield "hex", raw.hex().encode()
    yield "hex, upper case", raw.hex().upper().encode()
    yield "UTF-16", value.encode("utf-16-le")
    yield "pickle protocol 0", value.replace("\\", "\\u005c").encode("raw-unicode-escape")
    for offset in range(3):
        # Of what was encoded only the characters that depend on the secret alone: the rest hangs on its neighbours.
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(raw)) % 3 else 0)]
        yield f"base64 at offset {offset}", inner
        yield f"base64 for URLs at offset {offset}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def _texts(value: str) -> tuple[tuple[str, str], ...]:
    escaped = value.replace("\\", "\\\\")
    return (
        ("JSON", json.dumps(value)[1:-1]),
        ("JSON, not ASCII", json.dumps(value, ensure_ascii=False)[1:-1]),
        ("repr", repr(value)[1:-1]),
        ("repr of bytes", repr(value.encode())[2:-1]),
        ("in single quotes", escaped.replace("'", "\\'")),
        ("quotes doubled", value.replace("'", "''")),
        ("shell", shlex.quote(value)[1:-1] if shlex.quote(value) != value else value),
        ("HTML", html.escape(value)),
        ("URL-encoded", quote(value, safe="")),
        ("URL-encoded path", quote(value)),
        ("URL-encoded form", quote_plus(value)),
    )


def _lower_percents(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def unpacked(data: bytes, *, depth: int = 0) -> Iterator[tuple[int, bytes]]:
    """What is compressed in the data, at whatever depth, with the offset at which it begins."""
    if depth == DEEPEST:
        return
    for at, inner in _one_level(data):
        yield at, inner
        for _, deeper in unpacked(inner, depth=depth + 1):
            yield at, deeper


def _one_level(data: bytes) -> Iterator[tuple[int, bytes]]:
    for begin, unpack in FILE_BEGINS.items():
        if data.startswith(begin):
            try:
                yield 0, unpack(data)
            except (OSError, EOFError, lzma.LZMAError):
                continue
    if data.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for info in archive.infolist():
                    yield info.header_offset, info.filename.encode() + b"\0" + archive.read(info)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
            return
    yield from _deflated(data)


def _deflated(data: bytes) -> Iterator[tuple[int, bytes]]:
    view = memoryview(data)  # a slice copies nothing
    for begin in ZLIB_BEGINS:
        at = data.find(begin)
        while at >= 0:
            try:
                inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(view[at:], MOST_UNPACKED)
            except zlib.error:
                inner = b""
            if inner:
                yield at, inner
            at = data.find(begin, at + 1)
