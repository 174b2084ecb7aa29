"""No secret outside Featurebase and the configured stores: not in the database, nor in any file or log."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.support.leak_scanner import LeakScanner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.real_airflow import RealAirflow

SECRET = 'whsec_a/b+c"d\\e=7 é~%'
PLANTED: dict[str, Callable[[str], bytes]] = {
    "plain": lambda value: f"key={value};".encode(),
    "json": lambda value: json.dumps({"secret": value}).encode(),
    "json in json": lambda value: json.dumps({"event": json.dumps({"secret": value})}).encode(),
    "repr": lambda value: repr({"secret": value}).encode(),
    "url": lambda value: f"https://x/?s={quote(value, safe='')}&t=1".encode(),
    "basic auth": lambda value: base64.b64encode(f"user:{value}".encode()),
    "base64 at 1": lambda value: base64.b64encode(f"a{value}bcdef".encode()),
    "base64 at 2": lambda value: base64.urlsafe_b64encode(f"ab{value}cde".encode()),
    "base64 at 3": lambda value: base64.b64encode(f"abc{value}de".encode()),
    "hex": lambda value: value.encode().hex().encode(),
    "gzip": lambda value: b"head" + gzip.compress(f"before {value} after".encode()) + b"tail",
}


@pytest.fixture
def scanner() -> LeakScanner:
    return LeakScanner({"planted": SECRET})


@pytest.mark.parametrize("form", PLANTED)
def test_scanner_finds_what_is_planted(scanner: LeakScanner, tmp_path: Path, form: str) -> None:
    """In a file and in a database's column, in every form; and nothing where nothing is."""
    planted = b"\0\xff" + PLANTED[form](SECRET) + b"\xff"
    (tmp_path / "clean.log").write_bytes(PLANTED[form]("whsec_of somebody else, of 7 %"))
    assert scanner.scan_folder(tmp_path) == []
    (tmp_path / "task.log").write_bytes(planted)
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as connection, connection:
        connection.execute("CREATE TABLE xcom (key TEXT, value BLOB, text TEXT)")
        connection.execute("INSERT INTO xcom VALUES ('k', ?, 'nothing')", [planted])
    assert {leak.place.split(" at ")[0] for leak in scanner.scan_folder(tmp_path)} >= {"task.log"}
    assert {leak.place.split(",")[0] for leak in scanner.scan_sqlite(tmp_path / "airflow.db")} == {"xcom.value"}


def test_scanner_finds_names_of_files(scanner: LeakScanner, tmp_path: Path) -> None:
    (tmp_path / quote(SECRET, safe="")).touch()
    assert scanner.scan_folder(tmp_path)


def test_scanner_leaves_out_what_may_hold_secrets(scanner: LeakScanner, tmp_path: Path) -> None:
    (tmp_path / "store.env").write_text(SECRET)
    assert scanner.scan_folder(tmp_path, leave_out=[tmp_path / "store.env"]) == []


def test_scanner_never_tells(scanner: LeakScanner) -> None:
    """A leak names the secret and the place; a test's output must not be the next leak."""
    (leak, *_) = scanner.scan_bytes(SECRET.encode(), "here")
    assert (leak.secret, "whsec" in str(leak)) == ("planted", False)


def test_scanner_refuses_short_secrets() -> None:
    with pytest.raises(ValueError, match="shorter"):
        LeakScanner({"pin": "1234"})


@pytest.fixture(scope="module")
def after_runs(real_airflow: RealAirflow) -> RealAirflow:
    """A run that went well and one that failed late, with answers that were cut off and a wrong key before."""
    flowing, broken = real_airflow.worlds["flowing"], real_airflow.worlds["broken"]
    flowing.control("POST", "/events", topic="post.created", count=2000, per_second=10)
    broken.fault("malformed", body="truncated")
    runs = {name: real_airflow.trigger(name, reason="leak test") for name in ("flowing", "broken")}
    states = {name: real_airflow.wait(name, run_id) for name, run_id in runs.items()}
    flowing.control("DELETE", "/events")
    for world in (flowing, broken):
        world.note_secret()
    assert states == {"flowing": "success", "broken": "failed"}
    assert real_airflow.report("broken", runs["broken"])["probe"]["result"] == "refused"
    assert len({*flowing.issued, *broken.issued}) == 4
    return real_airflow


@pytest.mark.airflow
def test_no_secret_in_the_database(after_runs: RealAirflow) -> None:
    """No column of any table, no XCom, no rendered field, no trigger, no event; the Variable is encrypted."""
    assert LeakScanner(after_runs.secrets).scan_sqlite(after_runs.airflow.database) == []
    with closing(sqlite3.connect(after_runs.airflow.database)) as connection:
        rows = connection.execute("SELECT key, is_encrypted FROM variable").fetchall()
    assert sorted(rows) == [("broken_signing", 1), (after_runs.worlds["flowing"].variable, 1)]


@pytest.mark.airflow
def test_no_secret_in_any_file_or_log(after_runs: RealAirflow) -> None:
    """Nothing below AIRFLOW_HOME: task logs and component logs at DEBUG, httpx's and httpcore's among them."""
    home = after_runs.airflow.home
    logs = "".join(path.read_text(errors="replace") for path in home.rglob("*.log"))
    assert "httpcore" in logs
    assert "receive_response_headers" in logs
    assert LeakScanner(after_runs.secrets).scan_folder(home) == []


@pytest.mark.airflow
def test_scanner_finds_an_unencrypted_variable(after_runs: RealAirflow, tmp_path: Path) -> None:
    """The control: the same scan of a copy of the database, with one secret put into it, finds it."""
    copy = tmp_path / "airflow.db"
    with (
        closing(sqlite3.connect(after_runs.airflow.database)) as source,
        closing(sqlite3.connect(copy)) as target,
        target,
    ):
        source.backup(target)
        secret = after_runs.worlds["flowing"].secret
        target.execute("UPDATE variable SET val = ?, is_encrypted = 0 WHERE key = 'broken_signing'", [secret])
    scanner = LeakScanner(after_runs.secrets)
    assert {leak.place.split(",")[0] for leak in scanner.scan_sqlite(copy)} == {"variable.val"}
    assert scanner.scan_folder(tmp_path)
