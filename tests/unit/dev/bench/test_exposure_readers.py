"""The exposure benchmark's readers get what the stores' own readers get, and its network is as slow as it says."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from dev.bench.exposure import latency, readers
from dev.bench.exposure.places import KEY, STORES, Place
from dev.bench.exposure.readers import FileReader, HttpReader, Servers, VariableReader, Watch
from tests.servers.canned_http import canned_http
from tests.servers.local_server import free_port

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "whsec_old", "whsec_new"


def test_a_variable_is_read_from_the_database(tmp_path: Path) -> None:
    """As Airflow stores it, and again when somebody else has written it."""
    key = Fernet.generate_key()
    database = sqlite3.connect(tmp_path / "airflow.db")
    database.execute("CREATE TABLE variable (key TEXT, val TEXT)")
    database.execute("INSERT INTO variable VALUES ('signing', ?)", [Fernet(key).encrypt(OLD.encode()).decode()])
    database.commit()
    with closing(VariableReader(tmp_path / "airflow.db", key.decode(), "signing")) as reader:
        first = reader.read()
        database.execute("UPDATE variable SET val = ?", [Fernet(key).encrypt(NEW.encode()).decode()])
        database.commit()
        second = reader.read()
    database.close()

    assert [first, second] == [OLD, NEW]


def test_a_file_is_read_by_its_key(tmp_path: Path) -> None:
    """Other keys don't matter."""
    (tmp_path / "webhook.env").write_text(f"NAME=x\n{KEY}={NEW}\n")

    assert FileReader(str(tmp_path / "webhook.env")).read() == NEW


def test_a_service_is_asked_for_one_member() -> None:
    """Over one connection, and an error is none of its secrets."""
    with canned_http() as server:
        server.answer("GET /v1/it", 200, {"data": {"data": {KEY: NEW}}})
        server.answer("GET /v1/gone", 404, {})
        port = int(server.url.rpartition(":")[2])
        with closing(HttpReader(port, "/v1/it", headers={}, member=("data", "data", KEY))) as reader:
            found = reader.read()
        with (
            closing(HttpReader(port, "/v1/gone", headers={}, member=())) as reader,
            pytest.raises(OSError, match="404"),
        ):
            reader.read()

    assert found == NEW


class Shown:
    """Shows the old secret a few times."""

    def __init__(self, times: int) -> None:
        self._times = times

    def read(self) -> str:
        self._times -= 1
        return OLD if self._times >= 0 else NEW

    def close(self) -> None:
        pass


class Broken(Shown):
    def read(self) -> str:
        raise OSError("gone")


def watched(monkeypatch: pytest.MonkeyPatch, **shown: Shown) -> Watch:
    """A watch of stores that change at once, but for these, until all have shown what they will."""
    found = {**{store: Shown(0) for store in STORES}, **shown}
    monkeypatch.setattr(Servers, "readers", lambda servers, place: found)
    monkeypatch.setattr(readers, "EVERY_SECONDS", dict.fromkeys(STORES, 0.001))
    place = Place("ours", 0, "5" * 24, "/etc/app/webhook.env")
    with Watch(Servers(0, "", 0, None, ""), place, OLD) as watch:  # type: ignore[arg-type]
        deadline = time.monotonic() + 30
        while len(watch.sights) + len(watch.errors) < len(STORES) and time.monotonic() < deadline:
            time.sleep(0.001)
    return watch


def test_a_watch_tells_when_each_secret_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last read of the old one began before the first one of the new one had ended."""
    watch = watched(monkeypatch, aws_ssm=Shown(3))

    assert set(watch.sights) == set(STORES)
    assert all(sight.still_old <= sight.at for sight in watch.sights.values())
    assert not watch.errors


def test_a_reader_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has seen nothing."""
    watch = watched(monkeypatch, aws_ssm=Broken(0))

    assert "aws_ssm" not in watch.sights
    assert list(watch.errors) == ["aws_ssm"]


def test_the_network_keeps_what_it_delays() -> None:
    """Requests and answers arrive whole, in order, and no sooner than the latency; an end is passed on."""

    async def exchanged() -> tuple[list[bytes], float, bytes]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = free_port()
        network = asyncio.create_task(latency.main(["80", f"{port}:{server.sockets[0].getsockname()[1]}"]))
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        answers = []
        for number in range(3):
            writer.write(f"{number}".encode() * 5)
            answers.append(await reader.readexactly(5))
        took = time.monotonic() - began
        writer.write_eof()
        rest = await reader.read()
        writer.close()
        network.cancel()
        server.close()
        return answers, took, rest

    answers, took, rest = asyncio.run(asyncio.wait_for(exchanged(), 30))

    assert answers == [b"00000", b"11111", b"22222"]
    assert took >= 3 * 0.080
    assert rest == b""
