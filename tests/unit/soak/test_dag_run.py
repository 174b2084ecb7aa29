"""The soak's stand-in for Airflow keeps what Airflow keeps: retries, XComs, asset events, clears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.featurebase.errors import FeaturebaseError
from soak.dag_run import AssetEvents, DagRun, SmallAirflow

# The test runner has threads; what is forked here touches nothing of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

PLAN = SimpleNamespace(uri="featurebase://webhooks/a/plan")
Work = Callable[[Any], Any]


def airflow(tmp_path: Path, events: AssetEvents | None = None, **works: Work) -> SmallAirflow:
    """A Dag preflight -> rotate -> verify_delivery -> report whose tasks do what they are given."""
    order = ["preflight", "rotate", "verify_delivery", "report"]
    tasks = {}
    for number, task_id in enumerate(order):
        after = set(order[number + 1 :])
        tasks[task_id] = SimpleNamespace(
            execute=works.get(task_id, lambda context: None),
            retries=1,
            upstream_task_ids=set(order[max(0, number - 1) : number]),
            get_flat_relative_ids=lambda upstream, after=after: after,
        )
    dag: Any = SimpleNamespace(dag_id="dag", task_dict=tasks, tasks=list(tasks.values()))
    return SmallAirflow(dag, tmp_path / "log", events)


def run(small: SmallAirflow, dag_run: DagRun | None = None) -> DagRun:
    dag_run = dag_run or DagRun("manual__0")
    asyncio.run(small.run(dag_run))
    return dag_run


def plan_once(context: Any) -> dict[str, Any]:
    """As preflight: keep the plan that an event tells of, else make one."""
    events = context["inlet_events"][PLAN]
    plan = events[0].extra if events else {"made_by_try": context["ti"].try_number}
    context["outlet_events"][PLAN].extra = plan
    return dict(plan)


def fails_first(context: Any) -> str:
    if context["ti"].try_number == 1:
        raise FeaturebaseError("not yet")
    return "done"


def test_try_that_failed_is_retried(tmp_path: Path) -> None:
    done = run(airflow(tmp_path, rotate=fails_first))
    assert set(done.states.values()) == {"success"}
    assert (done.tries["rotate"], done.xcoms["rotate"]) == (2, "done")
    assert done.errors == ["rotate, try 1: FeaturebaseError: not yet"]


def refuse(context: Any) -> None:
    raise AirflowFailException("no")


def skip(context: Any) -> None:
    raise AirflowSkipException("not now")


@pytest.mark.parametrize(
    ("work", "own", "after"), [(refuse, "failed", "upstream_failed"), (skip, "skipped", "skipped")]
)
def test_later_tasks_wait_for_earlier_ones_and_the_report_for_none(
    tmp_path: Path, work: Work, own: str, after: str
) -> None:
    """What ends for good is not retried; the report is a teardown."""
    done = run(airflow(tmp_path, rotate=work))
    assert done.states == {"preflight": "success", "rotate": own, "verify_delivery": after, "report": "success"}
    assert done.tries["rotate"] == 1


def test_asset_events_outlive_a_clear_and_failed_tries_leave_none(tmp_path: Path) -> None:
    """The plan of a cleared run is the one that its first successful preflight made."""

    def preflight(context: Any) -> dict[str, Any]:
        plan = plan_once(context)
        if context["ti"].try_number == 1:
            raise FeaturebaseError("after the plan was made")
        return plan

    small = airflow(tmp_path, preflight=preflight)
    done = run(small)
    assert done.xcoms["preflight"] == {"made_by_try": 2}
    small.clear(done)
    assert done.states == {}
    run(small, done)
    assert (done.tries["preflight"], done.xcoms["preflight"]) == (3, {"made_by_try": 2})


def test_clearing_a_task_clears_what_follows_it(tmp_path: Path) -> None:
    small = airflow(tmp_path)
    done = run(small)
    small.clear(done, ["verify_delivery"])
    assert set(done.states) == {"preflight", "rotate"}
    run(small, done)
    assert dict(done.tries) == {"preflight": 1, "rotate": 1, "verify_delivery": 2, "report": 2}


def test_task_that_crashes_fails_after_its_retries_and_is_told(tmp_path: Path) -> None:
    def crash(context: Any) -> None:
        raise KeyError("boom")

    done = run(airflow(tmp_path, rotate=crash))
    assert (done.states["rotate"], done.tries["rotate"], len(done.crashes)) == ("failed", 2, 2)


def test_run_of_the_scheduler_has_the_moment_it_was_due(tmp_path: Path) -> None:
    def told(context: Any) -> list[str]:
        run = context["dag_run"]
        return [run.run_type, run.run_after.isoformat(), datetime.now(tz=timezone.utc).isoformat()]

    small = airflow(tmp_path, preflight=told)
    small.ahead = 86_400.0
    due = datetime(2026, 3, 1, 6, tzinfo=timezone.utc)
    assert run(small, DagRun("scheduled__0", due=due)).xcoms["preflight"][:2] == ["scheduled", due.isoformat()]
    run_type, run_after, now = run(small, DagRun("manual__0")).xcoms["preflight"]
    assert run_type == "manual"
    assert abs(datetime.fromisoformat(run_after) - datetime.fromisoformat(now)) < timedelta(minutes=1)
    assert datetime.fromisoformat(now) - datetime.now(tz=timezone.utc) > timedelta(hours=23)


def test_dags_can_share_asset_events(tmp_path: Path) -> None:
    """As the audit's Dag reads what the rotations' Dags told, dated by the clock that is ahead."""
    events: AssetEvents = {}
    rotating, auditing = (airflow(tmp_path, events, preflight=plan_once) for _ in range(2))
    rotating.ahead = 86_400.0
    run(rotating)
    assert run(auditing, DagRun("audit__0")).xcoms["preflight"] == {"made_by_try": 1}
    (event, _) = events[PLAN.uri]
    assert event["timestamp"] - datetime.now(tz=timezone.utc) > timedelta(hours=23)
