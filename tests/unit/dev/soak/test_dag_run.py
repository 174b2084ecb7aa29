"""The soak's stand-in for Airflow keeps what Airflow keeps: retries, XComs, Variables, clears."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dev.soak.dag_run import DagRun, SmallAirflow
from dev.soak.faults import Kill
from dev.soak.variables import Variables
from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.operators.memory import VariableMemory

# The test runner has threads; what is forked here touches nothing of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

Work = Callable[[Any], Any]


def airflow(tmp_path: Path, **works: Work) -> SmallAirflow:
    """A Dag preflight -> rotate -> verify_delivery -> report whose tasks do what they are given."""
    order = ["preflight", "rotate", "verify_delivery", "report"]
    tasks = {}
    for number, task_id in enumerate(order):
        after = set(order[number + 1 :])
        tasks[task_id] = SimpleNamespace(
            execute=works.get(task_id, lambda context: None),
            retries=1,
            is_teardown=task_id == "report",
            upstream_task_ids=set(order[max(0, number - 1) : number]),
            get_flat_relative_ids=lambda upstream, after=after: after,
        )
    dag: Any = SimpleNamespace(dag_id="dag", task_dict=tasks, tasks=list(tasks.values()))
    return SmallAirflow(dag, tmp_path / "log", Variables(tmp_path / "variables"))


def run(small: SmallAirflow, dag_run: DagRun | None = None) -> DagRun:
    dag_run = dag_run or DagRun("manual__0")
    asyncio.run(small.run(dag_run))
    return dag_run


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


def test_a_clear_forgets_the_states_and_goes_on_counting(tmp_path: Path) -> None:
    small = airflow(tmp_path, report=lambda context: context["ti"].try_number)
    done = run(small)
    small.clear(done)
    assert done.states == {}
    assert run(small, done).xcoms["report"] == 2


def test_variables_outlive_the_process_that_set_them(tmp_path: Path) -> None:
    """Even one that fails or dies thereafter; absent is absent, and the memory asks like this."""

    def remember(context: Any) -> str | None:
        memory, number = VariableMemory("a"), context["ti"].try_number
        earlier = memory.read("a/record")
        memory.write("a/record", f"by try {number}")
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return earlier

    small = airflow(tmp_path, preflight=remember, rotate=lambda context: VariableMemory("a").read("a/record"))
    done = run(small)
    assert (done.tries["preflight"], done.xcoms["preflight"], done.xcoms["rotate"]) == (2, "by try 1", "by try 2")
    small.clear(done)
    assert run(small, done).xcoms["preflight"] == "by try 2"
    assert Variables(tmp_path / "variables").keys() == ["a/record"]


def test_setting_a_variable_is_two_steps(tmp_path: Path) -> None:
    """Dead before the first, a task has set nothing; dead at the second, it has."""

    def remember(context: Any) -> None:
        VariableMemory("a").write("prefix__plan_1", str(context["ti"].try_number))

    for step, where in ((0, "before the record plan"), (1, "after the record plan")):
        folder = tmp_path / str(step)
        folder.mkdir()
        small = airflow(folder, preflight=remember, rotate=lambda context: VariableMemory("a").read("prefix__plan_1"))
        dag_run = DagRun("manual__0")
        small.dag.task_dict["preflight"].retries = 0
        asyncio.run(small.run(dag_run, kill=Kill("preflight", step)))
        assert dag_run.kills == [where]
        assert Variables(folder / "variables").keys() == ["prefix__plan_1"][:step]


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


def test_cleared_task_has_all_its_retries_again(tmp_path: Path) -> None:
    """What Airflow tells a task of it: the number of its last try, less one."""
    small = airflow(tmp_path, rotate=lambda context: [context["ti"].try_number, context["ti"].max_tries])
    done = run(small)
    assert done.xcoms["rotate"] == [1, 1]
    small.clear(done, ["rotate"])
    assert run(small, done).xcoms["rotate"] == [2, 2]


def test_run_keeps_when_it_was_made_and_began_until_it_is_cleared(tmp_path: Path) -> None:
    """As Airflow: a clear makes it begin anew, and is counted; a retry does neither."""

    def told(context: Any) -> list[Any]:
        run = context["dag_run"]
        facts = [run.run_after.isoformat(), run.start_date.isoformat(), run.clear_number]
        if context["ti"].try_number == 1:
            raise FeaturebaseError("not yet")
        return facts

    small = airflow(tmp_path, preflight=told, rotate=told)
    done = run(small)
    first = done.xcoms["preflight"]
    assert done.xcoms["rotate"] == first
    assert first[2] == 0
    small.clear(done)
    run_after, started, cleared = run(small, done).xcoms["preflight"]
    assert (run_after, cleared) == (first[0], 1)
    assert started > first[1]
