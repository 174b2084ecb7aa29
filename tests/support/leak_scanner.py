"""Looks for secrets where none may be: in every column of a database, and in every file below a folder.

A secret is found in the forms in which programs write text down: as it is, base64 (at any offset in what was
encoded), URL-encoded, JSON- and repr-escaped (once and twice), hex, and gzip- or zlib-compressed around any of these.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SHORTEST = 8
MOST_INFLATED = 50_000_000
ZLIB_BEGINS = (b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08")


@dataclass(frozen=True)
class Leak:
    """A secret where it must not be.

    :param secret: its name, never its value.
    :param form: how it is written there.
    :param place: the table and column, or the file and offset.
    """

    secret: str
    form: str
    place: str


class LeakScanner:
    """Knows secrets by name, and every form of each.

    :param secrets: what must turn up nowhere.
    :raises ValueError: one is too short to be told from chance.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._needles: dict[bytes, tuple[str, str]] = {}
        for name, value in secrets.items():
            if len(value) < SHORTEST:
                raise ValueError(f"{name} is shorter than {SHORTEST} characters")
            for form, needle in forms(value):
                self._needles.setdefault(needle, (name, form))

    def scan_bytes(self, data: bytes, place: str) -> list[Leak]:
        """Look through one piece of data, and through what is compressed in it."""
        found = [
            Leak(name, form, f"{place} at {at}")
            for needle, (name, form) in self._needles.items()
            if (at := data.find(needle)) >= 0
        ]
        for at, inner in _inflated(data):
            found += [
                Leak(name, f"{form}, compressed", f"{place} at {at}")
                for needle, (name, form) in self._needles.items()
                if needle in inner
            ]
        return found

    def scan_folder(self, folder: Path, *, leave_out: Iterable[Path] = ()) -> list[Leak]:
        """Look through every file below a folder, its databases' free pages and journals with them.

        :param leave_out: files that may hold secrets.
        """
        left_out = {path.resolve() for path in leave_out}
        found: list[Leak] = []
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file() or path.resolve() in left_out:
                continue
            found += self.scan_bytes(str(path.relative_to(folder)).encode(), f"the name of {path}")
            found += self.scan_bytes(path.read_bytes(), str(path.relative_to(folder)))
        return found

    def scan_sqlite(self, database: Path) -> list[Leak]:
        """Look through every column of every table."""
        found: list[Leak] = []
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            for table, column in _columns(connection):
                rows = connection.execute(f'SELECT rowid, "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL')
                for rowid, value in rows:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    found += self.scan_bytes(data, f"{table}.{column}, row {rowid}")
        return found


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """Every form of a secret, with the form's name."""
    raw = value.encode()
    yield "plain", raw
    for text_form, text in (
        ("JSON", json.dumps(value)[1:-1]),
        ("JSON, not ASCII", json.dumps(value, ensure_ascii=False)[1:-1]),
        ("repr", repr(value)[1:-1]),
        ("URL-encoded", quote(value, safe="")),
        ("URL-encoded path", quote(value)),
        ("URL-encoded form", quote_plus(value)),
    ):
        yield text_form, text.encode()
        yield f"{text_form}, JSON", json.dumps(text)[1:-1].encode()
        yield f"{text_form}, slashes escaped", text.replace("/", "\\/").encode()
        yield f"{text_form}, lower case", _lower_percents(text).encode()
    yield "hex", raw.hex().encode()
    for offset in range(3):
        # Of what was encoded only the characters that depend on the secret alone: the rest hangs on its neighbours.
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(raw)) % 3 else 0)]
        yield f"base64 at offset {offset}", inner
        yield f"base64 for URLs at offset {offset}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def _lower_percents(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _columns(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        name = table.decode()
        for row in connection.execute(f'PRAGMA table_info("{name}")').fetchall():
            yield name, row[1].decode()


def _inflated(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What is compressed in the data, with the offset at which it begins."""
    view = memoryview(data)  # a slice copies nothing
    for begin in ZLIB_BEGINS:
        at = data.find(begin)
        while at >= 0:
            try:
                inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(view[at:], MOST_INFLATED)
            except zlib.error:
                inner = b""
            if inner:
                yield at, inner
            at = data.find(begin, at + 1)
