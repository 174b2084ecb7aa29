"""The record of the runs of a year: what it keeps, what it forgets, and what it can't be made to hold."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from featurebase_provider.rotation.memory import LARGEST_RECORD, WebhookMemory
from featurebase_provider.rotation.past import MOST_RUNS, PastRun, keep_run, past_runs, runs_of_reports
from tests.world.fakes import START, WEBHOOK_ID, DictMemory

HOST = "https://do.featurebase.app"


def a_memory() -> WebhookMemory:
    return WebhookMemory(DictMemory(), HOST, WEBHOOK_ID)


def a_run(day: float, **facts: Any) -> PastRun:
    place: dict[str, Any] = {"dag_id": "d", "run_id": f"run {day}", "task_id": "report"}
    return PastRun((START + timedelta(days=day)).isoformat(), "rotated", **{**place, **facts})


def keep(memory: WebhookMemory, *runs: PastRun) -> tuple[PastRun, ...]:
    for run in runs:
        keep_run(memory, run, past_runs(memory) or ())
    return past_runs(memory) or ()


def test_runs_are_kept_in_their_order() -> None:
    memory = a_memory()
    assert past_runs(memory) is None
    first, second = a_run(0, by="ann", reason="quarterly", map_index=3), a_run(1, exposure_ms=12.5, refused=0)
    assert keep(memory, first, second) == (first, second)


def test_a_run_that_reports_again_counts_once() -> None:
    """It was cleared, say."""
    again = a_run(1, run_id="run 0", exposure_ms=3.0)
    assert keep(a_memory(), a_run(0), again) == (again,)
    branch = a_run(0, map_index=1)
    assert len(keep(a_memory(), branch, a_run(0, map_index=2))) == 2


def test_runs_older_than_a_year_are_forgotten() -> None:
    kept = keep(a_memory(), a_run(0), a_run(200), a_run(400))
    assert [run.run_id for run in kept] == ["run 200", "run 400"]


def test_the_record_is_bounded() -> None:
    """By number, and by the size of what people wrote."""
    assert len(keep(a_memory(), *(a_run(day) for day in range(MOST_RUNS + 5)))) == MOST_RUNS
    memory = a_memory()
    kept = keep(memory, *(a_run(day, run_id=f"{day}" + "é" * 240, reason="é" * 120) for day in range(MOST_RUNS)))
    assert 10 < len(kept) < MOST_RUNS
    assert kept[-1].run_id.startswith(f"{MOST_RUNS - 1}é")
    assert max(len(text) for text in memory.memory.records.values()) <= LARGEST_RECORD  # type: ignore[attr-defined]


def a_report(**facts: Any) -> dict[str, Any]:
    return {
        "at": START.isoformat(), "outcome": "rotated", "dag_id": "d", "run_id": "r", "mode": "rotate",
        "stores": [{"exposure_ms": 12.0}, {"exposure_ms": 40.5}, {"exposure_ms": None}], **facts
    }  # fmt: skip


def test_a_run_is_what_its_report_says() -> None:
    run = PastRun.of_report(a_report(by="ann", reason="x" * 500, refusals_seen=2, task_id="webhook.report"))
    assert run is not None
    assert (run.exposure_ms, run.refused, run.by, run.task_id) == (40.5, 2, "ann", "webhook.report")
    assert len(run.reason) == 120
    old = PastRun.of_report(a_report(pair=None))
    assert old is not None
    assert (old.refused, old.by, old.map_index) == (None, None, None)


def test_odd_reports_are_no_runs() -> None:
    """Anybody with the right can make an asset event."""
    odd = [None, {}, {"at": 3}, a_report(at="yesterday"), a_report(stores="none", pair=[]), a_report(outcome="dry_run")]
    assert [run.exposure_ms for run in runs_of_reports(odd)] == [None]
    assert runs_of_reports([a_report(map_index="x")]) == ()
    assert json.dumps([run.as_json() for run in runs_of_reports([a_report()] * 100)]).count("rotated") == MOST_RUNS
