from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.errors import PlanRefused, PlanUnreadable, SecretMissing
from featurebase_provider.rotation.modes import MODES
from featurebase_provider.rotation.one_store import Previous
from featurebase_provider.rotation.plan import HealthFigures, RotationPlan, ThisRun, check_status, checked_mode
from tests.world.fakes import START, THIS_RUN, WEBHOOK_ID, a_plan, a_webhook, fingerprint

OF_LATER_VERSIONS = {
    "health": {}, "known": [], "reason": "", "dag_id": "", "run_after": None, "run_started": None, "stores": None,
    "older": [], "leaked": [], "drop_previous": False,
}  # fmt: skip


def test_a_plan_survives_json_and_holds_no_secret() -> None:
    """XCom and asset events keep plans as JSON: what comes back is the same plan."""
    webhook = a_webhook(
        last_status={"code": 500, "message": "no", "timestamp": START.isoformat()},
        health={"consecutiveFailures": 2, "errorsSinceLastSuccess": 3, "lastSuccessAt": START.isoformat()},
    )
    plan = a_plan(webhook, reason="yearly", known=("sha256:1",), drop_previous=True)
    text = json.dumps(plan.as_json())
    assert RotationPlan.from_json(json.loads(text)) == plan
    assert "whsec_" not in text
    assert plan.before == fingerprint("0")
    assert plan.health == HealthFigures(2, 3, START.isoformat(), 500, START.isoformat())


@pytest.mark.parametrize("mode", [*MODES, "emergency"])
def test_a_plan_of_any_mode_comes_back_whole(mode: Any) -> None:
    plan = a_plan(mode=mode, leaked=["sha256:l"], older=["sha256:o"], stores=["memory://a"])
    assert RotationPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    assert (plan.stores, plan.older) == (("memory://a",), ("sha256:o",))
    assert plan.as_json() == json.loads(json.dumps(plan.as_json())), (
        "JSON has no tuples, and XCom would keep them apart"
    )


def test_what_is_ours_is_named_once() -> None:
    assert a_plan(known=["sha256:b", "sha256:a", "sha256:b"]).known == ("sha256:b", "sha256:a")


def test_a_plan_of_a_webhook_that_tells_little_survives_json() -> None:
    """Only id and secret are certain."""
    little = Webhook.model_validate({"id": WEBHOOK_ID, "secret": "whsec_0", "health": 5, "updatedAt": "soon"})
    plan = a_plan(little)
    assert (plan.updated_at, plan.status, plan.health) == (None, "unrecognised", HealthFigures())
    assert RotationPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_health_figures_of_a_webhook_without_deliveries() -> None:
    assert HealthFigures.of(a_webhook()) == HealthFigures()


@pytest.mark.parametrize(("drop", "becomes"), [(True, Previous.EXPIRED), (False, Previous.KEEP)])
def test_the_plan_says_what_becomes_of_the_previous_secret(drop: bool, becomes: Previous) -> None:
    assert a_plan(drop_previous=drop).previous is becomes


def test_fields_of_a_newer_provider_are_left_out() -> None:
    """A downgrade in the middle of a Dag run does not lose the plan."""
    raw = a_plan().as_json()
    raw["invented_later"] = 1
    raw["health"]["invented_later"] = 1
    assert RotationPlan.from_json(raw) == a_plan()


def test_a_plan_of_an_older_provider_gets_defaults() -> None:
    raw = {key: value for key, value in a_plan().as_json().items() if key not in OF_LATER_VERSIONS}
    assert RotationPlan.from_json(raw) == RotationPlan.from_json({**a_plan().as_json(), **OF_LATER_VERSIONS})
    assert RotationPlan.from_json(raw).as_json()["stores"] is None, "which were proven is unknown, not none"


@pytest.mark.parametrize("raw", [None, "a plan", [], 1])
def test_what_is_no_mapping_is_no_plan(raw: object) -> None:
    with pytest.raises(PlanUnreadable, match=f"{WEBHOOK_ID}.*no recorded plan"):
        RotationPlan.from_json(raw, webhook_id=WEBHOOK_ID)


@pytest.mark.parametrize(
    "change",
    [
        {"health": 1},
        {"health": None},
        {"known": 1},
        {"known": [[]]},
        {"leaked": "sha256:0123456789abcdef"},
        {"run_id": 7},
        {"planned_at": "yesterday"},
        {"planned_at": "0001-01-01T00:00:00+23:59"},
        {"updated_at": "2026-01-15T10:30:00"},
    ],
)
def test_a_plan_with_odd_parts_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(PlanUnreadable, match=f"{WEBHOOK_ID}.*invalid"):
        RotationPlan.from_json({**a_plan().as_json(), **change}, webhook_id=WEBHOOK_ID)


def test_a_plan_without_its_baseline_is_unreadable() -> None:
    raw = a_plan().as_json()
    del raw["before"]
    with pytest.raises(PlanUnreadable, match=r"webhook \?:"):
        RotationPlan.from_json(raw)


@pytest.mark.parametrize("change", [{"mode": "destroy"}, {"before": ""}, {"webhook_id": ""}])
def test_an_incomplete_plan_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(PlanUnreadable, match="invalid"):
        RotationPlan.from_json({**a_plan().as_json(), **change})


@pytest.mark.parametrize("mode", MODES)
def test_known_modes_are_taken(mode: str) -> None:
    assert checked_mode(mode, WEBHOOK_ID) == mode


@pytest.mark.parametrize("mode", ["", None, "Rotate", ["rotate"]])
def test_any_other_mode_is_refused(mode: object) -> None:
    with pytest.raises(PlanRefused, match="rotate, distribute, dry_run; nothing was changed") as caught:
        checked_mode(mode, WEBHOOK_ID)
    assert caught.value.webhook_id == WEBHOOK_ID
    assert f"mode {str(mode)!r} is" in str(caught.value)


def test_of_a_long_mode_its_beginning_is_shown() -> None:
    with pytest.raises(PlanRefused) as caught:
        checked_mode("x" * 200, WEBHOOK_ID)
    assert f"mode '{'x' * 60}' is" in str(caught.value)


def test_no_plan_without_a_secret() -> None:
    with pytest.raises(SecretMissing, match=f"{WEBHOOK_ID}.*nothing was changed"):
        a_plan(a_webhook(None))


@pytest.mark.parametrize("status", ["paused", "suspended", "invented"])
def test_an_inactive_webhook_is_not_refreshed(status: str) -> None:
    """No delivery would prove the rotation. Its stores may be why it is paused: what mends them is named."""
    with pytest.raises(
        PlanRefused, match=f"{WEBHOOK_ID}.*{status}.*nothing was changed.*allow_inactive.*mode=distribute"
    ):
        check_status(a_webhook(status=status), "rotate", allow_inactive=False)


@pytest.mark.parametrize("mode", ["dry_run", "emergency", "distribute"])
def test_an_inactive_webhook_can_be_looked_at_mended_or_allowed(mode: Any) -> None:
    check_status(a_webhook(status="paused"), mode, allow_inactive=False)
    check_status(a_webhook(status="paused"), "rotate", allow_inactive=True)
    check_status(a_webhook(), "rotate", allow_inactive=False)


LATER_TRY = replace(THIS_RUN, later_try=True)


def test_a_later_try_finds_its_own_plan() -> None:
    plan = a_plan()
    assert LATER_TRY.made(plan)
    assert THIS_RUN.made(plan), "a first try that Airflow lost sight of finds the plan of the second"
    assert LATER_TRY.made(replace(plan, dag_id="", run_started=None)), "version 0.1.0 recorded less"


@pytest.mark.parametrize(
    "other",
    [
        replace(THIS_RUN, started=(START + timedelta(seconds=1)).isoformat()),
        replace(THIS_RUN, started=(START + timedelta(seconds=1)).isoformat(), cleared=True),
        replace(LATER_TRY, run_id="manual__2"),
        replace(LATER_TRY, dag_id="another"),
        replace(LATER_TRY, started=(START + timedelta(seconds=1)).isoformat()),
    ],
    ids=[
        "a first try: the run was deleted and made anew",
        "made anew, and another task was cleared",
        "another run",
        "another Dag",
        "made anew, and tried twice",
    ],
)
def test_any_other_try_finds_somebody_elses(other: ThisRun) -> None:
    assert not other.made(a_plan())


def test_two_unknown_starts_are_not_the_same() -> None:
    assert not replace(THIS_RUN, started=None).made(replace(a_plan(), run_started=None))


def test_a_run_is_named_by_dag_id_and_start() -> None:
    """The mark lies in histories that other versions have written, so it stays what it is."""
    assert THIS_RUN.mark == f"a74f29e77fa0 {START.isoformat()}"
    assert THIS_RUN.name != replace(THIS_RUN, dag_id="another").name
    assert THIS_RUN.name != replace(THIS_RUN, run_id="manual__2").name
    assert replace(THIS_RUN, started=None).mark == "a74f29e77fa0 "


def test_a_cleared_run_finds_its_plan_whenever_it_began() -> None:
    """Airflow sets a new start when a finished run is cleared."""
    assert replace(LATER_TRY, started=(START + timedelta(days=9)).isoformat(), cleared=True).made(a_plan())


def test_which_of_two_plans_is_of_the_later_run() -> None:
    later = replace(a_plan(), run_id="manual__2", run_after=(START + timedelta(days=1)).isoformat())
    assert later.is_due_after(a_plan())
    assert later.is_due_after(THIS_RUN)
    assert not a_plan().is_due_after(later)
    assert not a_plan().is_due_after(THIS_RUN), "its own"
    assert not replace(later, run_after=None).is_due_after(THIS_RUN)
    assert not later.is_due_after(replace(THIS_RUN, run_after=None))


def test_a_plan_is_the_same_whatever_was_learnt_since() -> None:
    plan = a_plan()
    assert plan.is_same_as(replace(plan, known=("sha256:1",), stores=("memory://a",)))
    assert not plan.is_same_as(replace(plan, before="sha256:1"))
    assert not plan.is_same_as(replace(plan, planned_at=(START + timedelta(days=1)).isoformat()))
    assert not plan.is_same_as(None)
