"""The benchmark's table says where a run's time goes: what is counted twice or left out would be a wrong figure."""

from __future__ import annotations

from typing import Any

import pytest

from dev.bench.dag_timeline import critical, rows_of, seconds, steps_of


def process(task: str, forked: float, running: float, over: float, **facts: Any) -> dict[str, Any]:
    """What a task's process wrote."""
    measured = {"cpu": 0.5, "modules_at_running": 50, "modules": 60}
    return {"task": task, "forked": forked, "running": running, "over": over, **measured, **facts}


CLOCK = [
    process("report", 112.0, 112.5, 113.2),
    process("verify", 105.0, 105.5, 107.0),
    process("push.a", 102.0, 102.5, 103.1),
    process("push.b", 102.1, 103.0, 104.2),
    process("rotate", 101.0, 101.5, 101.8),
    process("verify", 109.0, 109.5, 111.1, cpu=0.25, modules=70),
]
ENDED = {"rotate": 101.7, "push.a": 103.0, "push.b": 104.0, "verify": 111.0, "report": 113.0, "skipped": 101.8}
UPSTREAM = {
    "push.a": ["rotate"],
    "push.b": ["rotate"],
    "verify": ["push.a", "push.b"],
    "report": ["verify", "push.a", "push.b"],
}
AGAIN = "verify, after its deferral"


def test_the_steps_on_the_critical_path_add_up_to_the_run() -> None:
    steps = steps_of(CLOCK, ENDED, UPSTREAM, triggered=100.0)
    assert [step.name for step in steps] == ["rotate", "push.a", "push.b", "verify", AGAIN, "report"]
    path = critical(steps)
    assert [step.name for step in path] == ["rotate", "push.b", "verify", AGAIN, "report"]
    whole = sum(step.waits_ms + step.starts_ms + step.works_ms for step in path)
    assert whole == pytest.approx((113.0 - 100.0) * 1000)


def test_a_step_waits_for_the_last_of_those_before_it() -> None:
    by_name = {step.name: step for step in steps_of(CLOCK, ENDED, UPSTREAM, triggered=100.0)}
    verify, again = by_name["verify"], by_name[AGAIN]
    assert (verify.waits_ms, verify.starts_ms, verify.works_ms) == pytest.approx((1000, 500, 1500))
    assert (again.waits_ms, again.starts_ms, again.works_ms) == pytest.approx((2000, 500, 1500))
    assert (verify.loads, again.loads, again.cpu_ms) == (10, 20, 250)


def test_rows_are_medians_in_the_order_of_a_run() -> None:
    """Whenever each run took place."""
    late = [
        {**record, **{name: record[name] + 1000 for name in ("forked", "running", "over")}}
        for record in CLOCK
        if record["task"] in ("rotate", "push.a", "push.b")
    ]
    slower = [{**record, "running": record["running"] + 0.2} for record in late]
    ended = {task: at + 1000 for task, at in ENDED.items()}
    runs = [
        steps_of(CLOCK, ENDED, UPSTREAM, triggered=100.0),
        steps_of(late, ended, UPSTREAM, triggered=1100.0),
        steps_of(slower, ended, UPSTREAM, triggered=1100.0),
    ]
    rows = {row["step"]: row for row in rows_of(runs)}
    assert list(rows) == ["rotate", "push.a", "push.b", "verify", AGAIN, "report"]
    assert (rows["rotate"]["runs"], rows["rotate"]["critical_in"], rows["push.a"]["critical_in"]) == (3, 3, 0)
    assert (rows["verify"]["runs"], rows["rotate"]["starts_ms"], rows["rotate"]["works_ms"]) == (1, 500, 200)


def test_airflows_times_are_read_with_their_zone() -> None:
    assert seconds("2026-01-15T10:00:00.250000Z") == seconds("2026-01-15T12:00:00.250000+02:00")
