"""What settle makes of its arguments and of the tasks before it; the rule itself has tests of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.featurebase.errors import ApiUnavailable
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.operators.settle import SettleWebhookOperator
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, WEBHOOK_ID, a_plan, a_webhook
from tests.world.one_task import OneFeaturebase, OneTask, seconds_after_start

REFRESHED = -60.0


def paused(*, failed_at: float = -50.0, changed_at: float = -49.5) -> Webhook:
    return a_webhook(
        "whsec_1",
        status="paused",
        updated_at=seconds_after_start(changed_at),
        last_status={"code": 401, "message": "m", "timestamp": seconds_after_start(failed_at)},
        health={"consecutive_failures": 7, "errors_since_last_success": 9},
    )


def settling(**arguments: Any) -> SettleWebhookOperator:
    usual = {"webhook_id": WEBHOOK_ID, "featurebase_conn_id": "fb_of_mine"}
    tasks = {"rotate_task_id": "rotate", "probe_task_id": "probe"}
    return SettleWebhookOperator(task_id="settle", **{**usual, **tasks, **arguments})


def left_behind(**probe: Any) -> dict[str, Any]:
    rotated = RotationOutcome(
        a_plan(), "answered", "sha256:1", refreshed_at=(START + timedelta(seconds=REFRESHED)).isoformat()
    )
    return {
        "rotate": rotated.as_json(),
        "probe": {"result": "accepted", "receiver_exposure_ms": 20_000.0, **probe},
    }


def test_pause_of_the_rotations_making_is_undone(
    monkeypatch: pytest.MonkeyPatch, stats: list[tuple[str, dict[str, str]]]
) -> None:
    featurebase = OneFeaturebase(paused()).behind(monkeypatch)
    result = settling(webhook="production").execute(OneTask(left_behind()).context)
    assert stats == [("featurebase.settle", {"webhook": "production", "result": "done"})]
    assert featurebase.updates == [(WEBHOOK_ID, {"status": "active"})]
    assert result["reactivated"] is True
    assert (result["health_before"]["consecutive_failures"], result["health_before"]["last_code"]) == (7, 401)
    assert (featurebase.connections, featurebase.reads) == (["fb_of_mine"], [WEBHOOK_ID])


@pytest.mark.parametrize(
    ("webhook", "results", "arguments", "says"),
    [
        (paused(changed_at=-30.0), left_behind(), {}, "a person may have paused it"),
        (paused(), {"rotate": left_behind()["rotate"]}, {}, "no probe"),
        (paused(), left_behind(), {"probe_task_id": None}, "no probe"),
        (paused(), left_behind(result="unproven"), {}, "no probe"),
        (paused(), left_behind(receiver_exposure_ms=1_000.0), {}, "after the receiver had the new secret"),
        (paused(), left_behind(receiver_exposure_ms=None), {}, "after the receiver had the new secret"),
        (paused(failed_at=200.0, changed_at=200.0), left_behind(), {}, "no delivery failed since"),
    ],
)
def test_what_cannot_be_told_stays_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, webhook: Webhook, results: dict[str, Any], arguments: dict[str, Any], says: str
) -> None:
    featurebase = OneFeaturebase(webhook).behind(monkeypatch)
    with pytest.raises(AirflowFailException, match=says) as caught:
        settling(**arguments).execute(OneTask(results).context)
    assert f"{WEBHOOK_ID}: it is 'paused' and was left so" in str(caught.value)
    assert "If the webhook should be active, set it active in Featurebase" in str(caught.value)
    assert "last result: 401" in str(caught.value)
    assert featurebase.updates == []


def test_a_rotate_task_that_left_nothing_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(paused()).behind(monkeypatch)
    with pytest.raises(AirflowFailException, match="left no result; clear rotate"):
        settling().execute(OneTask({"probe": left_behind()["probe"]}).context)
    assert featurebase.updates == []


@pytest.mark.parametrize("hours", [3, -3])
def test_the_workers_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """A failure of a minute ago is not in the future because the worker's clock is behind."""
    featurebase = OneFeaturebase(paused(), hours=hours).behind(monkeypatch)
    assert settling().execute(OneTask(left_behind()).context)["reactivated"] is True
    assert len(featurebase.updates) == 1


def test_active_webhook_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(a_webhook("whsec_1", health={"consecutive_failures": 2})).behind(monkeypatch)
    result = settling().execute(OneTask(left_behind()).context)
    assert (result["reactivated"], result["health_before"]["consecutive_failures"]) == (False, 2)
    assert (featurebase.updates, featurebase.reads) == ([], [WEBHOOK_ID])


def test_an_outage_says_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(ApiUnavailable("GET", f"/v2/webhooks/{WEBHOOK_ID}", 503)).behind(monkeypatch)
    with pytest.raises(ApiUnavailable, match="The stores hold the new secret; the webhook's status was not changed"):
        settling().execute(OneTask(left_behind()).context)


@pytest.mark.parametrize("mode", ["distribute", "rotate"])
def test_webhook_that_was_inactive_before_stays_so(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    """Its stores are mended first; a person sets it active then, and the report says how."""
    featurebase = OneFeaturebase(paused()).behind(monkeypatch)
    plan = a_plan(a_webhook(status="paused"), mode=mode)
    results = {**left_behind(), "rotate": RotationOutcome(plan, "not_asked", "sha256:1").as_json()}
    result = settling().execute(OneTask(results).context)
    assert (result["reactivated"], result["health_before"]["consecutive_failures"]) == (False, 7)
    assert featurebase.updates == []


def test_where_preflights_plan_is_gone_rotates_result_names_the_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(paused()).behind(monkeypatch)
    operator = settling(webhook_id="", plan_task_id="preflight")
    assert operator.execute(OneTask(left_behind()).context)["reactivated"] is True
    assert featurebase.reads == [WEBHOOK_ID]
