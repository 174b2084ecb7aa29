"""The scanner finds what is planted, wherever it looks, and says where it has looked."""

from __future__ import annotations

import base64
import gzip
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from dev.airflow.processes import wait_for
from tests.leaks.controls import KINDS_OF_FILE, copy_database, plant_in_every_column
from tests.leaks.processes import ProcessWatch
from tests.leaks.scanner import LeakScanner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "whsec_a/b+c\"d\\e='7 é~%"
CLEAN = "whsec_of somebody else, of 7 %"
PLANTED: dict[str, Callable[[str], bytes]] = {
    "plain": lambda value: f"key={value};".encode(),
    "json": lambda value: json.dumps({"secret": value}).encode(),
    "json in json": lambda value: json.dumps({"event": json.dumps({"secret": value})}).encode(),
    "repr": lambda value: repr({"secret": value}).encode(),
    "repr of bytes": lambda value: repr([value.encode()]).encode(),
    "url": lambda value: f"https://x/?s={quote(value, safe='')}&t=1".encode(),
    "basic auth": lambda value: base64.b64encode(f"user:{value}".encode()),
    "base64 at 1": lambda value: base64.b64encode(f"a{value}bcdef".encode()),
    "base64 at 2": lambda value: base64.urlsafe_b64encode(f"ab{value}cde".encode()),
    "base64 at 3": lambda value: base64.b64encode(f"abc{value}de".encode()),
    "hex": lambda value: value.encode().hex().encode(),
    "SQL": lambda value: f"VALUES ('{value.replace(chr(39), chr(39) * 2)}')".encode(),
    "gzip": lambda value: b"head" + gzip.compress(f"before {value} after".encode()) + b"tail",
}


@pytest.fixture
def scanner() -> LeakScanner:
    return LeakScanner({"planted": SECRET})


@pytest.mark.parametrize("form", PLANTED)
def test_every_form_is_found(scanner: LeakScanner, form: str) -> None:
    """And the same of another value is not."""
    assert scanner.scan_bytes(PLANTED[form](CLEAN), "here") == []
    (leak, *_) = scanner.scan_bytes(b"\0\xff" + PLANTED[form](SECRET) + b"\xff", "here")
    assert (leak.secret, leak.place.startswith("here at ")) == ("planted", True)


@pytest.mark.parametrize("kind", KINDS_OF_FILE)
def test_every_kind_of_file_is_looked_into(scanner: LeakScanner, tmp_path: Path, kind: str) -> None:
    name, content = KINDS_OF_FILE[kind]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(CLEAN))
    assert scanner.scan_folder(tmp_path) == []
    path.write_bytes(content(SECRET))
    assert {leak.secret for leak in scanner.scan_folder(tmp_path)} == {"planted"}
    assert scanner.leaks


def test_names_of_files_and_folders_are_looked_at(scanner: LeakScanner, tmp_path: Path) -> None:
    (tmp_path / "folder" / quote(SECRET, safe="")).mkdir(parents=True)
    assert scanner.scan_folder(tmp_path)


def test_every_column_of_every_table_is_looked_at(scanner: LeakScanner, tmp_path: Path) -> None:
    """Whatever the column's type; a copy is planted, and the original stays clean."""
    database = tmp_path / "some.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, extra BLOB)")
        connection.execute("CREATE TABLE pair (a INTEGER, b BOOLEAN CHECK (b IN (0, 1)), PRIMARY KEY (a, b))")
        connection.execute("CREATE TABLE keyed (name VARCHAR(5) PRIMARY KEY, n FLOAT) WITHOUT ROWID")
        connection.execute("INSERT INTO log (event) VALUES ('nothing')")
    assert scanner.scan_sqlite(database) == []
    copy = tmp_path / "copy.db"
    copy_database(database, copy)
    planted = plant_in_every_column(copy, SECRET)
    expected = {"log.event", "log.extra", "pair.a", "pair.b", "keyed.name", "keyed.n"}
    assert planted == expected | {"sqlite_sequence.name", "sqlite_sequence.seq"}
    assert {leak.place.split(",")[0] for leak in scanner.scan_sqlite(copy)} == planted
    assert scanner.scan_sqlite(database) == []
    tables = {(place.name, place.columns, place.items) for place in scanner.places[:4]}
    assert tables == {("keyed", 2, 0), ("log", 3, 1), ("pair", 2, 0), ("sqlite_sequence", 2, 1)}


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="processes are watched through /proc")
def test_arguments_and_environment_of_descendants_are_looked_at(scanner: LeakScanner) -> None:
    """Of a grandchild in a session of its own too, and after its parent has died."""
    grandchild = "import sys; print('up', flush=True); sys.stdin.read()"
    child = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {grandchild!r}, os.environ["GIVEN"]], start_new_session=True)
print("started", flush=True)
sys.stdin.readline()
"""
    environment = {**os.environ, "GIVEN": SECRET}
    with subprocess.Popen(
        [sys.executable, "-c", child], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with ProcessWatch(lambda: [process.pid], every=0.01) as watch:
            wait_for("both", lambda: len(watch.seen) == 2, seconds=30, every=0.02)
            assert {process.stdout.readline(), process.stdout.readline()} == {"up\n", "started\n"}
            process.stdin.write("go\n")
            process.stdin.flush()
            looks = watch.looks
            wait_for("a look after that", lambda: watch.looks > looks + 1, seconds=30, every=0.02)
        process.stdin.close()
    found = {leak.place.rpartition(" at ")[0].split(" ")[0] for leak in watch.scan(scanner)}
    kinds = {(place.kind, bool(place.leaks)) for place in scanner.places}
    assert kinds == {("process arguments", True), ("process arguments", False), ("process environment", True)}
    assert found == {str(pid) for pid, _ in watch.seen}


def test_what_may_hold_secrets_can_be_left_out(scanner: LeakScanner, tmp_path: Path) -> None:
    (tmp_path / "store.env").write_text(SECRET)
    assert scanner.scan_folder(tmp_path, leave_out=[tmp_path / "store.env"]) == []


def test_a_scan_tells_where_it_has_looked(scanner: LeakScanner, tmp_path: Path) -> None:
    """That nothing was found says something only beside how much was looked through."""
    (tmp_path / "a.log").write_text("12345")
    (tmp_path / "b.txt").write_text(f"1{SECRET}")
    scanner.scan_folder(tmp_path, kind=lambda path: "log" if path.suffix == ".log" else "file")
    scanner.scan_data("API answer", "GET /x", b"123")
    told = [(place.kind, place.name, place.items, place.size, bool(place.leaks)) for place in scanner.places]
    size = 1 + len(SECRET.encode())
    assert told == [
        ("log", "a.log", 1, 5, False),
        ("file", "b.txt", 1, size, True),
        ("API answer", "GET /x", 1, 3, False),
    ]


def test_a_leak_never_tells(scanner: LeakScanner) -> None:
    """It names the secret and the place; a test's output must not be the next leak."""
    (leak, *_) = scanner.scan_bytes(SECRET.encode(), "here")
    assert (leak.secret, "whsec" in str(leak)) == ("planted", False)


def test_secrets_that_could_turn_up_by_chance_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        LeakScanner({"pin": "1234"})
