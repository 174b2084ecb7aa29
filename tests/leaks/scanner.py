"""Looks for secrets where none may be, and remembers where it has looked.

In every column of a database, in every file below a folder, in processes (``leak_processes``) and in what Airflow's
REST API answers (``leak_api``). A secret is found in the forms in which programs write text down: as it is, base64
(at any offset in what was encoded), URL-encoded, JSON-, repr-, shell- and HTML-escaped, hex, UTF-16, and compressed
around any of these (``leak_forms``).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.leaks.forms import forms, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

SHORTEST = 8
SQLITE_BEGINS = b"SQLite format 3\0"


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


@dataclass(frozen=True)
class Place:
    """Something that was looked through.

    :param kind: what it is: ``database table``, ``task log``, ``process environment``.
    :param name: the table, the path, the process, the call.
    :param items: how many rows of it, or times that it was looked at.
    :param size: bytes.
    :param columns: of a table.
    :param leaks: what was found there.
    """

    kind: str
    name: str
    items: int
    size: int
    columns: int = 0
    leaks: tuple[Leak, ...] = ()


class LeakScanner:
    """Knows secrets by name, and every form of each.

    :param secrets: what must turn up nowhere.
    :raises ValueError: one is too short to be told from chance.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.places: list[Place] = []
        """Everything that was looked through so far."""
        self.secrets = len(set(secrets.values()))
        self._needles: dict[bytes, tuple[str, str]] = {}
        for name, value in secrets.items():
            if len(value) < SHORTEST:
                raise ValueError(f"{name} is shorter than {SHORTEST} characters")
            for form, needle in forms(value):
                self._needles.setdefault(needle, (name, form))

    @property
    def leaks(self) -> list[Leak]:
        """Everything that was found so far."""
        return [leak for place in self.places for leak in place.leaks]

    def scan_bytes(self, data: bytes, place: str) -> list[Leak]:
        """Look through one piece of data, and through what is compressed in it; it is not noted among the places."""
        found = [
            Leak(name, form, f"{place} at {at}")
            for needle, (name, form) in self._needles.items()
            if (at := data.find(needle)) >= 0
        ]
        for at, inner in unpacked(data):
            found += [
                Leak(name, f"{form}, compressed", f"{place} at {at}")
                for needle, (name, form) in self._needles.items()
                if needle in inner
            ]
        return found

    def scan_data(self, kind: str, name: str, data: bytes) -> list[Leak]:
        """Look through one piece of data that is a place by itself."""
        return self._note(Place(kind, name, 1, len(data)), self.scan_bytes(data, name))

    def scan_folder(
        self, folder: Path, *, leave_out: Iterable[Path] = (), kind: str | Callable[[Path], str] = "file"
    ) -> list[Leak]:
        """Look through every file below a folder, its databases' free pages and journals with them.

        :param leave_out: files that may hold secrets.
        :param kind: what the files are, or what tells it from a path below the folder.
        """
        left_out = {path.resolve() for path in leave_out}
        found: list[Leak] = []
        paths = sorted(folder.rglob("*"))
        if not paths and isinstance(kind, str):
            self.places.append(Place(kind, "nothing", 0, 0))
        for path in paths:
            name = path.relative_to(folder)
            found += self.scan_bytes(str(name).encode(), f"the name of {name.parent}/...")
            if path.is_symlink() or not path.is_file() or path.resolve() in left_out:
                continue
            data = _read(path)
            leaks = self.scan_bytes(data, str(name))
            if data.startswith(SQLITE_BEGINS):  # a value may go over several pages, with something in between
                leaks += [leak for table in self._tables(path) for leak in table.leaks]
            what = kind if isinstance(kind, str) else kind(name)
            found += self._note(Place(what, str(name), 1, len(data)), leaks)
        return found

    def scan_sqlite(self, database: Path) -> list[Leak]:
        """Look through every column of every table."""
        found: list[Leak] = []
        for table in self._tables(database):
            self.places.append(table)
            found += table.leaks
        return found

    def _tables(self, database: Path) -> Iterator[Place]:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            for table in table_names(connection):
                cursor = connection.execute(f'SELECT * FROM "{table}"')
                columns = [description[0] for description in cursor.description]
                leaks: list[Leak] = []
                rows = size = 0
                for row in cursor:
                    rows += 1
                    for column, value in zip(columns, row, strict=True):
                        if value is None:
                            continue
                        data = value if isinstance(value, bytes) else str(value).encode()
                        size += len(data)
                        leaks += self.scan_bytes(data, f"{table}.{column}, row {rows}")
                yield Place("database table", table, rows, size, len(columns), tuple(leaks))

    def _note(self, place: Place, leaks: list[Leak]) -> list[Leak]:
        self.places.append(Place(place.kind, place.name, place.items, place.size, place.columns, tuple(leaks)))
        return leaks


def table_names(connection: sqlite3.Connection) -> list[str]:
    """Every table of a SQLite database, its own included."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [name.decode() if isinstance(name, bytes) else str(name) for (name,) in names]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a file of a moment: it was there when the folder was listed
        return b""
