"""A task's process in the soak: it can be killed at any step, and what it told before stays told."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from dev.soak import task_process
from dev.soak.task_process import CRASHED, KILLED, MEANWHILE, Meanwhile, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

# The test runner has threads; what is forked here touches nothing of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def two_steps() -> dict[str, Any]:
    task_process.step("first")
    assert task_process._steps is not None
    task_process._steps.tell("wrote", fingerprint="sha256:1")
    task_process.step("second")
    return {"pid": os.getpid()}


def run(work: Any, log: Path, *, fatal: int | None = None, seconds: float = 60.0, **more: Any) -> list[dict[str, Any]]:
    return asyncio.run(run_in_process(work, fatal=fatal, log=log, seconds=seconds, **more))


def test_result_comes_from_another_process(tmp_path: Path) -> None:
    *_, result = run(two_steps, tmp_path / "log")
    assert result["kind"] == "result"
    assert result["pid"] != os.getpid()


@pytest.mark.parametrize(("fatal", "told"), [(0, [KILLED]), (1, ["wrote", KILLED]), (2, ["wrote", "result"])])
def test_process_dies_at_its_step(tmp_path: Path, fatal: int, told: list[str]) -> None:
    """What it told before its death is known; a step that is never reached kills nobody."""
    assert [line["kind"] for line in run(two_steps, tmp_path / "log", fatal=fatal)] == told


def test_somebody_acts_while_the_process_is_at_a_step(tmp_path: Path) -> None:
    """What that one does is no step of the task; then the task goes on."""
    done = tmp_path / "done"

    def act() -> None:
        task_process.step("not of the task")
        done.touch()

    told = run(two_steps, tmp_path / "log", fatal=2, meanwhile=Meanwhile(1, act))
    assert [line["kind"] for line in told] == ["wrote", MEANWHILE, "result"]
    assert (told[1]["where"], done.exists()) == ("second", True)


def test_error_of_somebody_else_is_a_crash(tmp_path: Path) -> None:
    """A traceback in a task is a fault of the product: it is told, and is in the log."""

    def broken() -> dict[str, Any]:
        os.write(2, b"words of the task")
        raise KeyError("boom")

    (line,) = run(broken, tmp_path / "log")
    assert (line["kind"], line["error"].split(",")[0]) == (CRASHED, "KeyError")
    assert "words of the task" in (tmp_path / "log").read_text()


def test_process_that_hangs_is_given_up(tmp_path: Path) -> None:
    def hanging() -> dict[str, Any]:
        time.sleep(600)
        return {}

    assert run(hanging, tmp_path / "log", seconds=0.2) == [{"kind": "timeout"}]


def test_clock_of_the_process_can_be_ahead(tmp_path: Path) -> None:
    """Each clock that tells the day, also where it was taken earlier; none that tells durations, and not ours."""

    def clocks(wall: Any = time.time) -> dict[str, Any]:
        begin = time.monotonic()
        time.sleep(0.01)
        day = datetime.now(tz=timezone.utc).timestamp()
        return {"wall": wall(), "now": time.time(), "day": day, "took": time.monotonic() - begin}

    year = 365 * 86_400
    begin = time.time()
    (told,) = run(clocks, tmp_path / "log", ahead=year)
    assert all(0 <= told[name] - begin - year < 60 for name in ("wall", "now", "day"))
    assert abs(told["at"] / 1000 - begin - year) < 60
    assert 0.01 <= told["took"] < 60
    assert time.time() - begin < 60
