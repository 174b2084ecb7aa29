"""``airflow featurebase check-stores`` as an operator runs it: a process of its own, on Airflow's own database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


def check_stores(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with this rotation file; warnings of Airflow's own start-up are left out."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "airflow", "featurebase", "check-stores", *words],
        env={**os.environ, "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def rotation_file(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "rotation.yaml"
    path.write_text(yaml.safe_dump({"webhooks": list(entries)}))
    return path


def row(airflow: InProcessAirflow, key: str) -> tuple[Any, ...]:
    """All that the Variable's row holds, the encrypted value included."""
    found = airflow.variable(key)
    return (found.id, found._val, found.description, found.is_encrypted)


def file_of(world: FeaturebaseWorld) -> tuple[Any, ...]:
    """The receiver's file: content, and what a replaced one would show."""
    status = world.secret_file.stat()
    return (world.secret_file.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_mode)


def test_the_table_shows_every_store_and_nothing_is_changed(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """A Variable and a file that hold the current secret: exit status 0, and all is as it was."""
    airflow.set_variable(world.variable, world.secret, "theirs")
    before = (row(airflow, world.variable), file_of(world), world.webhook)
    calls, reads = world.calls(), world.calls("GET")
    done = check_stores(rotation_file(tmp_path, world.entry()))
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        f"airflow-variable:{world.variable}",
        f"file://{world.secret_file}",
        "not provable",
        "matches Featurebase",
        world.fingerprint,
        "1 webhook, 2 stores: no findings. Nothing was changed.",
    ):
        assert words in done.stdout
    assert not [name for name, value in world.secrets.items() if value in done.stdout + done.stderr]
    assert (row(airflow, world.variable), file_of(world), world.webhook) == before
    assert world.calls() - calls == world.calls("GET") - reads


def test_what_an_earlier_rotation_wrote_is_known_from_its_report(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """As for preflight: an old secret of ours is out of date, a value that no report knows is somebody else's."""
    airflow.set_variable(world.variable, world.secret)
    old = world.secret
    entry = world.entry(probe=None)
    assert airflow.start(airflow.load(entry)).state == "success"
    world.note_secret()
    assert world.secret != old
    world.secret_file.write_text(f"FEATUREBASE_WEBHOOK_SECRET={old}\n")
    airflow.set_variable(world.variable, "whsec_by_somebody_else")
    done = check_stores(rotation_file(tmp_path, entry), "--webhook", world.name, "--output", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    (webhook,) = json.loads(done.stdout)["webhooks"]
    held = {store["store"]: store["holds"] for store in webhook["stores"]}
    assert (webhook["fingerprint"], held) == (
        world.fingerprint,
        {"airflow_variable": "foreign", "object_storage": "differs"},
    )
    assert "whsec_" not in done.stdout + done.stderr
    assert world.secret_file.read_text() == f"FEATUREBASE_WEBHOOK_SECRET={old}\n"
    assert airflow.variable(world.variable).val == "whsec_by_somebody_else"


def test_of_many_events_the_newest_are_read(airflow: InProcessAirflow) -> None:
    """Where there is no record, as many as a run reads, so that both know the same; the history command reads all."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    from featurebase_provider.cli.read_only_airflow import asset_event_extras

    uri = "featurebase://webhooks/many/rotation-report"
    with create_session() as session:
        asset = AssetModel(name=uri, uri=uri, group="featurebase")
        session.add(asset)
        session.flush()
        begin = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)
        for number in (3, 0, 4, 1, 2):
            at = begin + timedelta(minutes=number)
            session.add(AssetEvent(asset_id=asset.id, extra={"number": number}, timestamp=at))
    assert asset_event_extras(uri, newest=2) == [{"number": 3}, {"number": 4}]
    assert asset_event_extras(uri) == [{"number": number} for number in range(5)]
