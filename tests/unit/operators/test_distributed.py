"""The event by which other Dags learn that a webhook has a new secret, in all its stores."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from featurebase_provider.operators.assets import secret_asset
from featurebase_provider.operators.distributed import SecretDistributedOperator
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, WEBHOOK_ID, a_plan, fingerprint
from tests.world.running_task import RunningTask

NAME = secret_asset("production").name
NEW, NEWER = fingerprint("new"), fingerprint("newer")
PLAN = a_plan(host="https://other.example")
ROTATED = RotationOutcome(PLAN, "answered", NEW, refreshed_at=START.isoformat()).as_json()


def pushed(label: str, held: str) -> dict[str, Any]:
    return asdict(StoreOutcome(label, f"memory://{label}", "written", held))


def distributed(*pushes: str, **results: Any) -> RunningTask:
    operator = SecretDistributedOperator(
        task_id="distributed",
        webhook="production",
        webhook_id=WEBHOOK_ID,
        rotate_task_id="rotate",
        push_task_ids=pushes,
    )
    return RunningTask(operator, {key.replace("_", "."): value for key, value in results.items()})


@pytest.mark.parametrize(
    ("pushes", "held"),
    [
        ({}, NEW),
        ({"push_a": pushed("a", NEW), "push_b": pushed("b", NEW)}, NEW),
        ({"push_a": pushed("a", NEWER), "push_b": pushed("b", NEWER)}, NEWER),
    ],
    ids=["rotate alone", "all pushed", "refreshed by somebody since"],
)
def test_the_event_tells_what_the_stores_hold(
    pushes: dict[str, Any], held: str, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """Not what rotate wrote, if the pushes found a newer one. It is the task's result too."""
    running = distributed(*(name.replace("_", ".") for name in pushes), rotate=ROTATED, **pushes)
    extra = {
        "host": "https://other.example",
        "webhook_id": WEBHOOK_ID,
        "fingerprint": held,
        "refreshed_at": START.isoformat(),
    }
    assert running.execute() == extra
    assert running.emitted == {NAME: extra}
    assert stats == [("featurebase.distributed", {"webhook": "production", "result": "done"})]


def test_stores_that_hold_different_secrets_are_announced_to_nobody() -> None:
    running = distributed("push.a", "push.b", rotate=ROTATED, push_a=pushed("a", NEW), push_b=pushed("b", NEWER))
    with pytest.raises(AirflowFailException, match="Clear the push tasks") as caught:
        running.execute()
    assert f"{WEBHOOK_ID}: " in str(caught.value)
    assert ", ".join(sorted((NEW, NEWER))) in str(caught.value)
    assert running.emitted == {}


def test_a_push_that_left_nothing_is_not_announced() -> None:
    """It was marked success by hand: what rotate wrote is older, and nothing says that it is still there."""
    running = distributed("push.a", "push.b", rotate=ROTATED, push_a=pushed("a", NEW))
    with pytest.raises(
        AirflowFailException, match=rf"{WEBHOOK_ID}: push\.b left no result.*nothing was announced\. Clear these push"
    ):
        running.execute()
    assert running.emitted == {}


def test_nothing_is_announced_where_rotate_left_nothing(stats: list[tuple[str, dict[str, str]]]) -> None:
    running = distributed()
    with pytest.raises(AirflowFailException, match=rf"{WEBHOOK_ID}.*clear rotate"):
        running.execute()
    assert stats == [("featurebase.distributed", {"webhook": "production", "result": "failed"})]
