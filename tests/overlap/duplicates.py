"""How many duplicates a rotation of a pair makes, with real processes around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.airflow.processes import wait_for
from dev.airflow.world import API_KEY, PREVIOUS_KEY, SECRET_KEY, World

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow.world import Receiver
    from tests.world.in_process_airflow import InProcessAirflow

CONN_ID = "featurebase_duplicates"


@dataclass(frozen=True)
class Moved:
    """A rotation that moved the deliveries.

    :param per_second: events a second meanwhile.
    :param first_delivery: as in the rotation file.
    :param poll_interval: as in the rotation file.
    :param seconds: how long both webhooks were active.
    :param duplicates: what the receiver recognised.
    """

    per_second: float
    first_delivery: str
    poll_interval: str
    seconds: float
    duplicates: int


def move(
    airflow: InProcessAirflow, folder: Path, *, per_second: float, first_delivery: str, poll_interval: str
) -> Moved:
    """Rotate a pair while events flow.

    :raises AssertionError: the run failed, a delivery was refused, or an event was not accepted.
    """
    world = World(folder)
    try:
        world.start()
        pair = world.add_pair()
        airflow.connect(CONN_ID, host=world.url, password=API_KEY)
        dag = airflow.load(_entry(folder.name, pair, first_delivery, poll_interval))
        world.emit(per_second=per_second, seconds=600, topic=pair.topic)
        run = airflow.start(dag)
        world.stop_emitting()
        assert run.state == "success", run.errors
        wait_for("deliveries", lambda: all(event["delivered"] for event in world.events()), seconds=30)
        refused = [attempt for attempt in world.deliveries() if attempt["statusCode"] != 200]
        assert refused == []
        calls = [call for call in world.requests() if call["committed"] and call["method"] == "PATCH"]
        activated, paused = calls[-2:]
        duplicates = sum(entry["duplicates"] for entry in world.received(pair))
        return Moved(per_second, first_delivery, poll_interval, (paused["at"] - activated["at"]) / 1000, duplicates)
    finally:
        world.stop()


def _entry(name: str, pair: Receiver, first_delivery: str, poll_interval: str) -> dict[str, Any]:
    store = {
        "type": "object_storage",
        "path": str(pair.secret_file),
        "format": "dotenv",
        "key": SECRET_KEY,
        "previous_key": PREVIOUS_KEY,
    }
    return {
        "name": name.lower(),
        "strategy": "overlap",
        "webhook_ids": list(pair.webhook_ids),
        "featurebase_conn_id": CONN_ID,
        "retries": 0,
        "stores": [store],
        "probe": {"timeout": "PT1M", "interval": "PT1S", "steady": "PT1S"},
        "overlap": {"first_delivery": first_delivery, "pending": "PT5M"},
        "verify": {"timeout": "PT1M", "poll_interval": poll_interval},
    }
