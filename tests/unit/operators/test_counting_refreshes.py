"""How often a Dag run has refreshed: what rotate tells, what the report makes of it, and Featurebase's log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnreachable,
    FeaturebaseError,
    PermissionDenied,
    RateLimited,
)
from featurebase_provider.rotation.errors import RefreshOutcomeUnknown, StoreRefused, StoresNotReady
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.plan import ThisRun
from tests.unit.operators.test_report import ALL, NEW, ROTATED, reporting
from tests.unit.operators.test_rotate import a_store, rotate, the_plan
from tests.world.fakes import WEBHOOK_ID, a_plan, api_unreachable
from tests.world.running_task import NOW

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase, Log


# Rotate.


def test_it_tells_how_often_the_run_has_refreshed(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """A later try goes by what the first one recorded; without a record it can't tell."""
    store = a_store()
    assert rotate(memory, store).execute()["refreshes"] == 1
    assert rotate(memory, store, task={"try_number": 2}).execute()["refreshes"] == 1
    another = rotate(memory, store, task={"try_number": 2, "run_id": "manual__2"})
    assert another.execute()["refreshes"] is None
    memory.write("history", History(WEBHOOK_ID).as_json())
    assert rotate(memory, store, task={"try_number": 2}).execute()["refreshes"] is None
    assert rotate(memory, store).execute()["refreshes"] == 0, "somebody was faster than its first try"
    assert rotate(memory, store, plan=the_plan(store, mode="distribute")).execute()["refreshes"] == 0


@pytest.mark.parametrize(
    ("refresh", "number", "left"),
    [
        (api_unreachable("POST", was_sent=False), 1, 0),  # it was never sent
        (RateLimited("POST", "/secret", 429), 1, 0),  # and here refused
        ("lost_before", 1, None),
        ("lost_after", 1, None),
        (RateLimited("POST", "/secret", 429), 2, None),  # the first try may have
    ],
)
def test_a_try_that_fails_leaves_how_often_the_run_has_refreshed(
    featurebase: Featurebase, memory: WebhookMemory, refresh: Any, number: int, left: int | None
) -> None:
    featurebase.api.lag = 1000.0
    featurebase.api.post_script.append(refresh)
    task = rotate(memory, a_store(), task={"try_number": number})
    with pytest.raises(FeaturebaseError):
        task.execute()
    assert task.pushed["finding"]["found"] == {"refreshes": left}


def test_a_try_that_fails_before_its_refresh_has_made_none(featurebase: Featurebase, memory: WebhookMemory) -> None:
    task = rotate(memory, a_store(arm_error=StoreRefused("memory", "gone")))
    with pytest.raises(StoresNotReady):
        task.execute()
    assert task.pushed["finding"]["found"] == {"refreshes": 0}
    task = rotate(memory, a_store())
    task.execute()
    assert task.pushed == {}, "its result says all"


def test_what_a_first_try_recorded_outlives_a_failure_of_the_second(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    rotate(memory, a_store()).execute()
    featurebase.api.read_script.append(api_unreachable())
    task = rotate(memory, a_store(), task={"try_number": 2})
    with pytest.raises(ApiUnreachable):
        task.execute()
    assert task.pushed["finding"]["found"] == {"refreshes": 1}


def test_the_audit_log_is_its_second_witness(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Reads show the plan's secret, and the log a refresh since: nothing is sent."""
    api = featurebase.api
    api.log_lag, api.lag = 0.0, 1000.0
    api.rotated()
    with pytest.raises(RefreshOutcomeUnknown, match="audit log shows"):
        rotate(memory, a_store(), task={"try_number": 2}).execute()
    assert api.posts == 0


def test_a_closed_audit_log_is_logged_once(featurebase: Featurebase, memory: WebhookMemory, said: Log) -> None:
    featurebase.api.log = PermissionDenied("GET", "/v2/audit-logs", 403)
    assert rotate(memory, a_store(), task={"try_number": 2}).execute()["how"] == "answered"
    assert [text for text in said.texts["info"] if "/v2/audit-logs" in text and "403" in text] != []
    assert sum("/v2/audit-logs" in text for texts in said.texts.values() for text in texts) == 1


# The report.


def refreshes(
    results: dict[str, Any] | None = None, states: dict[str, str | None] | None = None, **task: Any
) -> dict[str, Any]:
    count: dict[str, Any] = reporting(results, states, **task).execute()["refreshes"]
    return count


def rotated(**facts: Any) -> dict[str, Any]:
    """The results of a run whose rotate task told this."""
    return {**ALL, "rotate": replace(ROTATED, **facts).as_json()}


@pytest.mark.parametrize("known", [None, 0, 1, 2])
def test_the_runs_own_count_is_what_rotate_told(
    featurebase: Featurebase, memory: WebhookMemory, known: int | None
) -> None:
    featurebase.api.log_lag = 0.0
    featurebase.api.rotated()
    count = refreshes(rotated(refreshes=known))
    assert (count["by_run"], len(count["logged"]), count["problem"]) == (known, 1, None)
    assert featurebase.api.log_reads == 1


PLANNED = {"preflight": a_plan().as_json()}


@pytest.mark.parametrize(
    ("state", "word", "count"),
    [
        ("failed", {"refreshes": 0}, 0),
        ("failed", {"refreshes": None}, None),
        ("failed", {"refreshes": 1}, 1),
        ("failed", {"refreshes": "many"}, None),
        ("failed", None, None),  # it was killed
        ("running", None, None),
        ("upstream_failed", None, 0),
        ("skipped", None, 0),
        (None, None, 0),
    ],
)
def test_without_its_result_the_count_is_what_rotate_left(
    featurebase: Featurebase, memory: WebhookMemory, state: str | None, word: dict[str, Any] | None, count: int | None
) -> None:
    """What is unknown is never taken for none; the log is asked only where there may be something to see."""
    findings = {"rotate": {"why": "no", "found": word}} if word is not None else {}
    told = refreshes(PLANNED, {"preflight": "success", "rotate": state}, findings=findings)
    assert told["by_run"] == count
    assert featurebase.api.log_reads == (count != 0)


def test_a_record_counts_though_nothing_else_is_left_of_rotate(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """It was lost after it recorded its refresh."""
    featurebase.api.rotated()
    run = reporting(PLANNED, {"rotate": "failed"})
    mark = ThisRun("a_dag", "manual__1", NOW.isoformat()).mark
    memory.write("history", History(WEBHOOK_ID).after_rotation(ROTATED, run=mark).as_json())
    assert run.execute()["refreshes"]["by_run"] == 1
    assert refreshes(PLANNED, {"rotate": "upstream_failed"})["by_run"] == 1, "it was cleared, and did not begin again"
    other = reporting(PLANNED, {"rotate": "failed"}, run_id="manual__2")
    assert other.execute()["refreshes"]["by_run"] is None


def test_a_cleared_run_whose_first_try_left_nothing_cannot_tell(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    assert refreshes(PLANNED, {"rotate": "upstream_failed"}, clear_number=1)["by_run"] is None
    assert refreshes({}, {"preflight": "failed"}, clear_number=1)["by_run"] is None
    assert refreshes({}, {"preflight": "failed"})["by_run"] == 0
    for mode in ("distribute", "dry_run", "revert"):
        assert refreshes({}, {"preflight": "failed"}, clear_number=1, arguments={"mode": mode})["by_run"] == 0
        plan = {"preflight": a_plan(mode=mode).as_json()}
        assert refreshes(plan, {"rotate": "success"}, clear_number=1)["by_run"] == 0


@pytest.mark.parametrize("error", [PermissionDenied("GET", "/v2/audit-logs", 403), api_unreachable()])
def test_a_log_that_cannot_be_read_fails_no_report(
    featurebase: Featurebase, memory: WebhookMemory, error: ApiError
) -> None:
    featurebase.api.rotated()
    featurebase.api.log = error
    task = reporting(rotated(refreshes=1))
    report = task.execute()
    assert report["refreshes"] == {"by_run": 1, "logged": None, "problem": error.summary}
    assert (report["after"], report["notes"]) == (NEW, [])


def test_the_log_is_not_asked_where_the_webhook_cannot_be_read(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Featurebase has just kept the report waiting for as long as it may."""
    featurebase.api.read_script.append(api_unreachable())
    count = refreshes(rotated(refreshes=1))
    assert count == {"by_run": 1, "logged": None, "problem": "Featurebase could not be read"}
    assert featurebase.api.log_reads == 0


def test_a_difference_is_a_note(featurebase: Featurebase, memory: WebhookMemory, said: Log) -> None:
    featurebase.api.log_lag = 0.0
    for _ in range(2):
        featurebase.api.rotated()
    report = reporting(rotated(refreshes=1)).execute()
    (note,) = (note for note in report["notes"] if "audit log" in note)
    assert "shows 2 refreshes" in note
    assert any(note in text for text in said.texts["info"])
