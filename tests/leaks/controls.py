"""Secrets put where they must not be, so that a scan that finds nothing can be believed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import shlex
import sqlite3
import tarfile
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.leaks.scanner import table_names

if TYPE_CHECKING:
    from collections.abc import Callable


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database that is in use, its journal included."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)


def plant_in_every_column(database: Path, value: str) -> set[str]:
    """Add a row to each table of a SQLite database, the value in each column of it.

    :returns: the columns as ``table.column``: all but those that can hold nothing but the row's number.
    """
    planted: set[str] = set()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for table in table_names(connection):
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            keys = [column for column in columns if column[5]]
            row_number = keys[0][1] if len(keys) == 1 and keys[0][2].upper() == "INTEGER" else None
            row = [None if column[1] == row_number else f"before {value} after" for column in columns]
            connection.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})', row)
            planted |= {f"{table}.{column[1]}" for column in columns if column[1] != row_number}
    return planted


def _packed_tar(value: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("logs/task.log.gz")
        content = gzip.compress(f"line\n{value}\n".encode())
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _zip(value: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.txt", f"a report\n{value}\n" * 3)
    return out.getvalue()


def _sqlite(value: str) -> bytes:
    """A database in which the value goes over two pages, so that the file's bytes don't show it in one piece."""
    for room in range(600, 1600, 8):
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder, "some.db")
            with closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("PRAGMA page_size = 512")
                connection.execute("CREATE TABLE cache (value TEXT)")
                connection.execute("INSERT INTO cache VALUES (?)", [" " * 200 + value + " " * room])
            content = database.read_bytes()
        if value.encode() not in content:
            return content
    raise LookupError("no length moves the value to a page's end")


KINDS_OF_FILE: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "log": ("task.log", lambda value: f"{{'a': 1}} key={value};\n".encode()),
    "JSON lines": ("attempt=1.log", lambda value: json.dumps({"event": json.dumps({"secret": value})}).encode()),
    "JSON": ("state.json", lambda value: json.dumps({"secret": value}, ensure_ascii=False, indent=1).encode()),
    "gzip": ("old.log.gz", lambda value: gzip.compress(f"before {value} after".encode())),
    "two gzip members": ("two.gz", lambda value: gzip.compress(b"first") + gzip.compress(value.encode())),
    "bzip2": ("old.log.bz2", lambda value: bz2.compress(value.encode())),
    "xz": ("old.log.xz", lambda value: lzma.compress(value.encode())),
    "zip": ("report.zip", _zip),
    "gzip in tar in gzip": ("logs.tar.gz", _packed_tar),
    "SQLite": ("cache.db", _sqlite),
    "pickle": ("dag.pickle", lambda value: pickle.dumps({"secret": value})),
    "oldest pickle": ("dag.p0", lambda value: pickle.dumps({"secret": value}, protocol=0)),
    "dotenv": (".env", lambda value: b"KEY='" + value.replace("\\", "\\\\").replace("'", "\\'").encode() + b"'\n"),
    "shell": ("run.sh", lambda value: f"export KEY={shlex.quote(value)}\n".encode()),
    "UTF-16": ("notes.txt", lambda value: value.encode("utf-16")),
    "nested folders": ("a/.b/c/deep", lambda value: value.encode()),
}
"""A file's name, and what holds a value in that kind of file."""
