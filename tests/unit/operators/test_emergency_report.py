"""What an emergency's reports make of its branches, and when its run fails."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.operators.emergency_report import EmergencyReportOperator, EmergencySummaryOperator
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.unit.operators.conftest import rendered
from tests.unit.operators.test_emergency import NEW, WEBHOOKS, the_plan, with_stores
from tests.world.running_task import RunningTask

if TYPE_CHECKING:
    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase, Log

SEEN = {label: StoreOutcome(label, f"memory://{label}", "failed", problem="down") for label in "ab"}
ROTATED = RotationOutcome(the_plan(), "answered", NEW, stores=SEEN)


def reporting(
    webhook: str = "production",
    pushes: dict[str, Any] | None = None,
    mode: str = "emergency",
    reason: str = "a leak",
    webhooks: dict[str, WebhookConfig] = WEBHOOKS,
    **states: str,
) -> RunningTask:
    operator = EmergencyReportOperator(
        task_id="report",
        webhooks=webhooks,
        webhook=webhook,
        preflight_task_id="plan",
        rotate_task_id="rotate",
        push_ids=["push", "last"],
        mode=mode,
        reason=reason,
    )
    operator.outlets = []
    results = {"plan": the_plan().as_json(), "rotate": ROTATED.as_json(), **(pushes or {})}
    return RunningTask(operator, results=results, states={"plan": "success", "rotate": "success", **states})


def pushed(*outcomes: StoreOutcome) -> dict[str, Any]:
    return {"fingerprint": NEW, "stores": {one.label: asdict(one) for one in outcomes}}


def written(label: str) -> StoreOutcome:
    return StoreOutcome(label, f"memory://{label}", "written", NEW)


def stores_of(task: RunningTask) -> dict[str, str]:
    return {one["label"]: one["result"] for one in task.execute()["stores"]}


def test_a_name_that_is_not_in_the_file_has_no_report() -> None:
    with pytest.raises(AirflowSkipException, match="^Skipped: "):
        reporting("no such").execute()


def test_a_branch_is_reported_as_a_rotation_is(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    pushes = {"push": pushed(SEEN["a"]), "last": pushed(written("a"), written("b"))}
    report = reporting(pushes=pushes, push="success", last="success").execute()
    facts = (report["webhook"], report["outcome"], report["mode"], report["after"])
    assert facts == ("production", "rotated", "emergency", NEW)


def test_a_branch_is_told_its_webhook_and_the_form_when_it_runs(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """Also where there is no plan to tell."""
    asked: dict[str, Any] = {name: f"{{{{ params.{name} }}}}" for name in ("webhook", "mode", "reason")}
    task = reporting(**asked, pushes={"plan": None, "rotate": None})
    rendered(task.operator, webhook="production", mode="emergency", reason="a leak")
    report = task.execute()
    assert (report["webhook"], report["mode"], report["reason"]) == ("production", "emergency", "a leak")


def test_each_branch_asks_the_featurebase_of_its_entry(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    reporting(webhooks=with_stores()["webhooks"]).execute()
    assert featurebase.conn_ids == ["fb_of_mine"]


def test_a_branch_that_never_came_to_rotate_has_a_report_without_stores(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    task = reporting(pushes={"rotate": None}, rotate="failed", push="upstream_failed", last="upstream_failed")
    assert stores_of(task) == {}


def test_a_task_that_settled_nothing_is_named_with_its_stores(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    for states in ({}, {"last": "skipped"}):
        problems = [one["problem"] for one in reporting(**states).execute()["stores"]]
        assert ["its task last (" in problem for problem in problems] == [True, True]


@pytest.mark.parametrize(
    ("pushes", "states", "stores"),
    [
        ({}, {}, {"a": "unknown", "b": "unknown"}),
        ({"push": pushed(written("a"), SEEN["b"])}, {"push": "failed"}, {"a": "unknown", "b": "unknown"}),
        (
            {"push": pushed(written("a"), SEEN["b"])},
            {"push": "failed", "last": "upstream_failed"},
            {"a": "written", "b": "failed"},
        ),
        (
            {"push": pushed(SEEN["a"], SEEN["b"]), "last": pushed(written("a"), written("b"))},
            {"push": "failed", "last": "success"},
            {"a": "written", "b": "written"},
        ),
        (
            {"push": pushed(written("a"), written("c"))},
            {"last": "failed"},
            {"a": "unknown", "b": "unknown", "c": "unknown"},
        ),
        ({}, {"push": "upstream_failed", "last": "upstream_failed"}, {"a": "unknown", "b": "unknown"}),
        (
            {"push": {"fingerprint": NEW}},
            {"push": "success", "last": "upstream_failed"},
            {"a": "unknown", "b": "unknown"},
        ),
        (
            {"push": {"stores": {"a": 1}}},
            {"push": "success", "last": "upstream_failed"},
            {"a": "unknown", "b": "unknown"},
        ),
    ],
)
def test_what_the_last_task_saw_of_a_store_counts(
    featurebase: Featurebase,
    memory: WebhookMemory,
    pushes: dict[str, Any],
    states: dict[str, str],
    stores: dict[str, str],
) -> None:
    """One that was to look at all of them and left nothing leaves all of them unknown, unless it never came to run."""
    featurebase.api.rotated()
    assert stores_of(reporting(pushes=pushes, **states)) == stores


def summing_up(names: list[str] | None, reports: list[Any], **arguments: Any) -> RunningTask:
    operator = EmergencySummaryOperator(
        task_id="summary", choose_task_id="choose", report_task_id="report", **arguments
    )
    return RunningTask(operator, results={"choose": names, "report": reports})


DONE = {"outcome": "rotated", "before": "sha256:a", "after": "sha256:b", "stores": []}


def test_a_run_is_done_when_every_webhook_is(said: Log) -> None:
    task = summing_up(["a", "b"], [DONE, DONE])
    rows = task.execute()
    assert [(row["webhook"], row["outcome"], row["after"]) for row in rows] == [
        ("a", "rotated", "sha256:b"),
        ("b", "rotated", "sha256:b"),
    ]
    assert task.pushed == {"return_value": rows}
    assert "Emergency rotation" in said
    assert said.texts["error"] == []


def test_a_run_that_is_not_done_names_each_webhook_and_keeps_its_rows(said: Log) -> None:
    task = summing_up(
        ["a", "b", "c"], [DONE, None, None], wrong={"c": "stores is empty"}, file_error="entry c is wrong"
    )
    with pytest.raises(AirflowFailException, match=r"2 of 3 webhooks are not done: b .*c ") as caught:
        task.execute()
    assert "wrong entry" in str(caught.value)
    assert [row["outcome"] for row in task.pushed["return_value"]] == ["rotated", "no report", "wrong entry"]
    assert any("entry c is wrong" in text for text in said.texts["error"])


def test_a_choice_that_was_not_taken_is_no_success() -> None:
    with pytest.raises(AirflowFailException, match="no webhook was chosen"):
        summing_up(None, []).execute()
