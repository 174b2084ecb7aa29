"""The whole command against the sandbox, without an Airflow database; ``tests/airflow`` has one."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from featurebase_provider.cli.check_stores import UnknownWebhooks, run
from featurebase_provider.rotation.store import Writability
from featurebase_provider.stores.object_storage.armed import ArmedObject
from tests.world.featurebase import KEY, FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Configure = Any


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeaturebaseWorld]:
    with FeaturebaseWorld(tmp_path_factory.mktemp("check-stores") / "world") as world:
        yield world


@pytest.fixture
def world(running: FeaturebaseWorld, monkeypatch: pytest.MonkeyPatch) -> FeaturebaseWorld:
    """A webhook whose receiver's file holds the current secret, and Airflow's connection to Featurebase."""
    running.secret_file.write_text(f"NAME=demo\n{KEY}={running.secret}\n")
    connection = {"conn_type": "featurebase", "host": running.url, "password": running.api_key}
    monkeypatch.setenv(f"AIRFLOW_CONN_{running.conn_id.upper()}", json.dumps(connection))
    return running


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the rotation file and name it in Airflow's configuration."""

    def write(*entries: dict[str, Any], text: str = "") -> None:
        path = tmp_path / "rotation.yaml"
        path.write_text(text or yaml.safe_dump({"webhooks": list(entries)}))
        monkeypatch.setenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG", str(path))

    return write


def ended(*names: str, output: str = "table") -> int:
    """The command's exit status."""
    status: Any = 0
    try:
        run(argparse.Namespace(webhook=list(names) or None, output=output))
    except SystemExit as exc:
        status = exc.code
    return int(status)


def test_all_is_well(world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, a row per store, and neither store nor webhook was changed."""
    configure(world.entry(stores=[world.file_store()]))
    before = (world.secret_file.read_bytes(), world.secret_file.stat().st_mtime_ns, world.webhook)
    calls, reads = world.calls(), world.calls("GET")
    assert ended() == 0
    shown = capsys.readouterr().out
    assert "matches Featurebase" in shown
    assert world.fingerprint in shown
    assert (world.calls() - calls, world.calls("GET") - reads) == (1, 1)
    assert (world.secret_file.read_bytes(), world.secret_file.stat().st_mtime_ns, world.webhook) == before
    assert not [value for value in world.secrets.values() if value in shown]


def test_what_will_end_a_write_is_a_note(
    world: FeaturebaseWorld,
    configure: Configure,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing has to be done at once, so it is no finding."""
    monkeypatch.setattr(ArmedObject, "prove_writable", lambda armed: Writability(True, "asked", "gone by noon"))
    configure(world.entry(stores=[world.file_store()]))
    assert ended(output="json") == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert [note for note in notes if note.startswith("store ") and note.endswith("gone by noon")]


def test_findings_end_with_1(world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's value in the file: named by fingerprint, in JSON as in the table."""
    world.secret_file.write_text(f"{KEY}=whsec_by_somebody_else\n")
    configure(world.entry(stores=[world.file_store()]))
    assert ended(output="json") == 1
    shown = capsys.readouterr().out
    (webhook,) = json.loads(shown)["webhooks"]
    (store,) = webhook["stores"]
    assert (webhook["fingerprint"], store["holds"]) == (world.fingerprint, "foreign")
    assert "adopt: true" in store["problem"]
    assert "whsec_" not in shown


def test_only_the_named_webhooks_are_checked(
    world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    other = world.entry(name="other", webhook_id="f" * 24, stores=[world.file_store(key="OTHER")])
    configure(world.entry(stores=[world.file_store()]), other)
    assert ended(world.name) == 0
    assert "other" not in capsys.readouterr().out


def test_a_webhook_that_featurebase_does_not_have_is_a_finding(
    world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(world.entry(webhook_id=None, webhook_name="Nobody", stores=[world.file_store()]))
    assert ended() == 1
    shown = capsys.readouterr().out
    assert "no webhook has the name 'Nobody'" in shown
    assert "not compared" in shown


def test_a_missing_connection_is_a_finding(
    world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Airflow's database can't be asked here, it may be there after all, and nobody claims that it isn't."""
    configure(world.entry(featurebase_conn_id="nowhere", stores=[world.file_store()]))
    assert ended() == 1
    shown = capsys.readouterr().out
    assert "connection 'nowhere': Airflow did not return it, nor report it missing" in shown
    assert "Note: MetastoreBackend could not be asked" in shown


def test_without_a_database_earlier_runs_are_not_known_and_that_is_said(
    world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(world.entry(stores=[world.file_store()]))
    ended()
    assert f"Note: records of earlier runs of {world.name} can't be read here" in capsys.readouterr().out


def test_an_unknown_name_is_wrong_use(
    world: FeaturebaseWorld, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, the names that there are, and nobody was asked anything."""
    configure(world.entry(stores=[world.file_store()]))
    calls = world.calls()
    assert ended("staging") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"no webhook 'staging'; it has {world.name}" in printed.err
    assert world.calls() == calls


def test_a_broken_rotation_file_is_wrong_use(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure(text="webhooks:\n  - name: production\n    stores: [{type: nonsense}]\n")
    assert ended() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "webhooks[0].stores[0].type" in printed.err


def test_no_rotation_file_is_wrong_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG", raising=False)
    assert ended() == 2
    assert "AIRFLOW__FEATUREBASE__ROTATION_CONFIG" in capsys.readouterr().err


def test_the_error_keeps_its_facts() -> None:
    error = UnknownWebhooks(("a",), "/etc/rotation.yaml", ("b", "c"))
    assert (error.unknown, error.path, error.known) == error.args == (("a",), "/etc/rotation.yaml", ("b", "c"))
