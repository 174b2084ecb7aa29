"""Which calls of the Featurebase API each task of a rotation makes; docs/running.md shows them."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow.sdk.definitions import dag as dag_module

from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

Calls = dict[str, Counter[str]]
LOG = "GET /v2/audit-logs"


@contextmanager
def calls_by_task(world: FeaturebaseWorld, **webhooks: str) -> Iterator[Calls]:
    """The calls of tasks that run meanwhile.

    :param webhooks: ids of webhooks, by the name that stands for their paths.
    """
    found: Calls = {}
    run_task = dag_module._run_task

    def run(*, ti: Any, task: Any, **options: Any) -> Any:
        journal = world.sandbox.state.journal.calls
        before = len(journal)
        result = run_task(ti=ti, task=task, **options)
        made = [f"{call.method} {call.path}" for call in journal[before:]]
        for name, webhook_id in webhooks.items():
            made = [call.replace(f"/v2/webhooks/{webhook_id}", name) for call in made]
        found[task.task_id] = Counter(made)
        return result

    with patch.object(dag_module, "_run_task", run):
        yield found


def test_of_one_webhook(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    with calls_by_task(world, it=world.webhook_id) as calls:
        run = airflow.start(airflow.load(world.entry(reactivate=True)))
    assert run.state == "success", run.errors
    polls = calls["verify_delivery"].pop("GET it") - 2
    assert polls >= 0, "it reads before it waits, and at the end"
    assert calls == {
        "preflight": {"GET it": 1},
        "rotate": {"GET it": 2, "POST it/secret": 1},
        "push.airflow_variable": {"GET it": 2},
        "push.object_storage": {"GET it": 2},
        "distributed": {},
        "probe": {"GET it": 1},
        "settle": {"GET it": 1},
        "verify_delivery": {},
        "report": {"GET it": 1, LOG: 1},
        "outcome": {},
    }


def test_of_a_pair(airflow: InProcessAirflow, tmp_path: Path) -> None:
    with PairWorld(tmp_path) as pair:
        airflow.connect(pair.conn_id, host=pair.url, password=pair.api_key)
        old, new = pair.ids
        with pair.events(), calls_by_task(pair, old=old, new=new) as calls:
            run = airflow.start(airflow.load(pair.pair_entry()))
    assert run.state == "success", run.errors
    cut_over = calls.pop("cut_over")
    assert cut_over.pop("PATCH old") == 1
    assert set(cut_over) == {"GET old", "GET new"}
    assert calls.pop("verify_delivery").keys() == {"GET new"}
    assert calls == {
        "preflight": {"GET old": 1, "GET new": 1},
        "rotate": {"GET old": 3, "GET new": 4, "POST new/secret": 1},
        "push.object_storage": {"GET old": 2, "GET new": 2},
        "distributed": {},
        "probe": {"GET old": 1, "GET new": 1},
        "activate": {"GET old": 2, "GET new": 2, "PATCH new": 1},
        "report": {"GET old": 1, "GET new": 2, LOG: 1},
        "outcome": {},
    }
