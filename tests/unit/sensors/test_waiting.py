"""What the sensor makes of its arguments and of the tasks before it: each of them changes what it waits for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.sdk import DAG

from featurebase_provider import airflow_compat
from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException, TaskDeferred
from featurebase_provider.featurebase.errors import ApiUnavailable, AuthenticationFailed
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.errors import DeliveryHealthUnreadable
from featurebase_provider.rotation.health import MAX_POLL_FAILURES
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.sensors import webhook_delivery_health as module
from featurebase_provider.sensors.webhook_delivery_health import (
    UNUSED,
    WATCHES_FIRST,
    WebhookDeliveryHealthSensor,
)
from featurebase_provider.triggers.pauses import SCHEDULER_LAG
from tests.world.fakes import START, WEBHOOK_ID, MemoryStore, a_plan, a_webhook, secret
from tests.world.one_task import OneFeaturebase, OneTask, seconds_after_start

WAIT = timedelta(minutes=15)
NEW = a_webhook("whsec_1", request_config={"timeoutMs": 7000})
DOWN = ApiUnavailable("GET", f"/v2/webhooks/{WEBHOOK_ID}", 503)


def shown(code: int | None, at: float, *, failures: int = 0, **changes: Any) -> Webhook:
    """The webhook with a delivery result so many seconds after the start."""
    moment = seconds_after_start(at)
    return NEW.model_copy(
        update={
            "last_status": a_webhook(last_status={"code": code, "message": "said", "timestamp": moment}).last_status,
            "health": a_webhook(
                health={"consecutiveFailures": failures, "lastSuccessAt": moment if code == 200 else None}
            ).health,
            **changes,
        }
    )


def a_sensor(**arguments: Any) -> WebhookDeliveryHealthSensor:
    return WebhookDeliveryHealthSensor(
        **{
            "task_id": "verify",
            "webhook_id": WEBHOOK_ID,
            "featurebase_conn_id": "fb_of_mine",
            "wait": WAIT,
            **arguments,
        }
    )


IN_A_ROTATION: Mapping[str, Any] = {
    "rotate_task_id": "rotate", "push_task_ids": ("push.a", "push.b"), "probe_task_id": "probe"
}  # fmt: skip


def left_behind(
    *, distributed: float | None = -60.0, pushed: Mapping[str, float | None] | None = None, **others: Any
) -> dict[str, Any]:
    """Results of the tasks before; times are seconds after the start."""
    at = None if distributed is None else seconds_after_start(distributed).isoformat()
    rotated = RotationOutcome(a_plan(a_webhook("whsec_0")), "answered", str(NEW.fingerprint), distributed_at=at)
    pushes = {
        task_id: {"pushed_at": None if moment is None else seconds_after_start(moment).isoformat()}
        for task_id, moment in (pushed or {}).items()
    }
    return {"rotate": rotated.as_json(), **pushes, **others}


def deferral(sensor: WebhookDeliveryHealthSensor, task: OneTask) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(task.context)
    return caught.value


def trigger_arguments(sensor: WebhookDeliveryHealthSensor, task: OneTask) -> dict[str, Any]:
    trigger: Any = deferral(sensor, task).trigger
    return dict(trigger.serialize()[1])


class Slept:
    """Stands in for ``time`` in the sensor: sleeping moves Featurebase's clock on."""

    def __init__(self, featurebase: OneFeaturebase) -> None:
        self.featurebase = featurebase
        self.seconds: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.featurebase.now += timedelta(seconds=max(seconds, 0.001))

    def monotonic(self) -> float:
        return self.featurebase.now.timestamp()


def polling(
    monkeypatch: pytest.MonkeyPatch, *answers: Webhook | Exception, **facts: Any
) -> tuple[Slept, OneFeaturebase]:
    featurebase = OneFeaturebase(*answers, **facts).behind(monkeypatch)
    slept = Slept(featurebase)
    monkeypatch.setattr(module, "time", slept)
    return slept, featurebase


LOOKS = [1.0, 2.0, 4.0]
"""Seconds before the worker's first reads, where a result can count already."""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Slept:
    return polling(monkeypatch, NEW)[0]


@pytest.fixture
def featurebase(slept: Slept) -> OneFeaturebase:
    return slept.featurebase


@pytest.mark.parametrize(
    ("results", "counts_from"),
    [
        (left_behind(distributed=-60), -60 + 7),
        (left_behind(distributed=-60, pushed={"push.a": -50, "push.b": -40}), -40 + 7),
        (left_behind(distributed=-60, pushed={"push.a": -30, "push.b": None}), -30 + 7),
        (left_behind(distributed=-20, pushed={"push.a": -30}), -20 + 7),
        (left_behind(distributed=None, pushed={"push.b": -30}), -30 + 7),
        (left_behind(distributed=None), 7),
    ],
    ids=["rotate", "last push", "one push", "rotate after a push", "push only", "nothing written"],
)
def test_results_count_from_the_last_push_plus_the_deliverys_timeout(
    featurebase: OneFeaturebase, results: dict[str, Any], counts_from: float
) -> None:
    """A delivery that was under way at the push may be signed with the old secret, and report that late."""
    arguments = trigger_arguments(a_sensor(**IN_A_ROTATION), OneTask(results))
    assert datetime.fromisoformat(arguments["counts_from"]) == seconds_after_start(counts_from)


def test_a_result_of_before_does_not_count_and_one_after_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, as far as the verdict: one second makes the difference."""
    results = left_behind(distributed=-60, pushed={"push.a": -50})
    OneFeaturebase(shown(200, -43)).behind(monkeypatch)
    deferral(a_sensor(**IN_A_ROTATION), OneTask(results))
    OneFeaturebase(shown(200, -42)).behind(monkeypatch)
    assert a_sensor(**IN_A_ROTATION).execute(OneTask(results).context)["kind"] == "healthy"


def test_what_the_trigger_and_the_way_back_are_given(featurebase: OneFeaturebase, slept: Slept) -> None:
    deferred = deferral(a_sensor(poll_interval=20.0, **IN_A_ROTATION), OneTask(left_behind()))
    trigger: Any = deferred.trigger
    counts_from = seconds_after_start(-60 + 7).isoformat()
    assert trigger.serialize()[1] == {
        "webhook_id": WEBHOOK_ID,
        "featurebase_conn_id": "fb_of_mine",
        "counts_from": counts_from,
        "deadline": (START + WAIT).timestamp(),
        "poll_interval": 20.0,
    }
    assert deferred.method_name == "execute_complete"
    assert deferred.kwargs == {"counts_from": counts_from, "until": (START + WAIT).isoformat()}
    assert deferred.timeout == WAIT - timedelta(seconds=sum(slept.seconds)) + timedelta(minutes=5)
    assert featurebase.connections == ["fb_of_mine"]


def test_the_first_read_of_the_trigger_is_not_later_than_the_wait(featurebase: OneFeaturebase) -> None:
    arguments = trigger_arguments(a_sensor(poll_interval=60.0, wait=timedelta(seconds=28)), OneTask())
    assert arguments["poll_interval"] == 28.0 - WATCHES_FIRST


def test_a_wait_shorter_than_a_deferral_is_spent_on_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger's event would come before the scheduler knows of the deferral, or after the wait."""
    slept, _ = polling(monkeypatch, NEW)
    wait = timedelta(seconds=SCHEDULER_LAG)
    result = a_sensor(wait=wait, **IN_A_ROTATION).execute(OneTask(left_behind(**PASSED)).context)
    assert (result["kind"], sum(slept.seconds)) == ("quiet", pytest.approx(SCHEDULER_LAG, abs=0.1))


@pytest.mark.parametrize("hours", [3, -3])
def test_the_workers_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Deadline and beginning are Featurebase's time, so that a triggerer with another clock waits as long."""
    OneFeaturebase(NEW, hours=hours).behind(monkeypatch)
    arguments = trigger_arguments(a_sensor(), OneTask())
    assert arguments["deadline"] == pytest.approx((START + WAIT).timestamp())
    assert arguments["counts_from"] == seconds_after_start(7).isoformat()


@pytest.mark.parametrize(
    ("try_number", "max_tries", "pushed", "left"),
    [
        (1, 2, -300, 900),
        (2, 2, -300, 600),
        (3, 2, -300, 600),
        (2, 3, -300, 900),  # cleared after its first try
        (3, 3, -300, 600),
        (2, 2, -600, 300),
        (2, 2, 60, 900),  # a push by a clock that is ahead extends nothing
    ],
    ids=["first", "retry", "second retry", "cleared", "retry after that", "later", "pushed in the future"],
)
def test_a_retry_begins_no_new_wait(
    featurebase: OneFeaturebase, try_number: int, max_tries: int, pushed: float, left: float
) -> None:
    """It looks until ``wait`` after the last push. Who clears the task, after mending a receiver, waits anew."""
    task = OneTask(left_behind(distributed=pushed), try_number=try_number, max_tries=max_tries)
    arguments = trigger_arguments(a_sensor(retries=2, **IN_A_ROTATION), task)
    assert arguments["deadline"] == seconds_after_start(left).timestamp()


@pytest.mark.parametrize("pushed", [-1000, -890, -885])
def test_a_retry_after_the_wait_looks_once(monkeypatch: pytest.MonkeyPatch, pushed: float) -> None:
    """A rest of the wait that is no longer than an interval is not worth a deferral."""
    OneFeaturebase(shown(401, -1, failures=1)).behind(monkeypatch)
    task = OneTask(left_behind(distributed=pushed), try_number=2, max_tries=2)
    with pytest.raises(AirflowFailException, match="deliveries fail since the push"):
        a_sensor(retries=2, **IN_A_ROTATION).execute(task.context)


def test_a_retry_that_knows_no_push_waits_anew(featurebase: OneFeaturebase) -> None:
    """A sensor by itself counts from now, each time."""
    arguments = trigger_arguments(a_sensor(retries=2), OneTask(try_number=3, max_tries=2))
    assert arguments["deadline"] == (START + WAIT).timestamp()


PASSED = {"probe": {"result": "accepted"}}


@pytest.mark.parametrize(
    ("probe", "passes"),
    [
        (PASSED, True),
        ({}, False),
        ({"probe": {"result": "unproven"}}, False),
        ({"other": {"result": "accepted"}}, False),
    ],
    ids=["passed", "none", "unproven", "another task's"],
)
def test_quiet_passes_only_with_the_probe(featurebase: OneFeaturebase, probe: dict[str, Any], passes: bool) -> None:
    task = OneTask(left_behind(**probe))
    event = {"webhook_id": WEBHOOK_ID, "kind": "quiet"}
    counts_from = seconds_after_start(-53).isoformat()
    sensor = a_sensor(**IN_A_ROTATION)
    if passes:
        result = sensor.execute_complete(task.context, event, counts_from)
        assert result == {
            "kind": "quiet",
            "detail": "no delivery since the push was seen; the probe has passed",
            "stores_hold": NEW.fingerprint,
        }
    else:
        with pytest.raises(AirflowSkipException, match="no delivery since the push was seen; no probe has shown"):
            sensor.execute_complete(task.context, event, counts_from)
    assert task.pushed["return_value"]["kind"] == "quiet"
    assert featurebase.connections == ["fb_of_mine"]


def test_quiet_because_successes_and_failures_came_is_told_from_nothing_came(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(shown(401, -10, failures=1)).behind(monkeypatch)
    event = {"webhook_id": WEBHOOK_ID, "kind": "quiet"}
    for counts_from, says in (
        (seconds_after_start(-53).isoformat(), "too few deliveries since the push to decide (last result: 401"),
        (None, "too few deliveries since the push to decide (last result: 401"),  # from a sensor of version 0.1.0
        (seconds_after_start(-5).isoformat(), "no delivery since the push was seen; the probe"),
    ):
        result = a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind(**PASSED)).context, event, counts_from)
        assert result["detail"].startswith(says)


@pytest.mark.parametrize("kind", ["quiet", "unreadable"])
def test_a_delivery_that_succeeded_at_the_last_moment_counts(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Between the trigger's last read and the worker's."""
    OneFeaturebase(shown(200, -1)).behind(monkeypatch)
    event = {"webhook_id": WEBHOOK_ID, "kind": kind}
    counts_from = seconds_after_start(-53).isoformat()
    result = a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind()).context, event, counts_from)
    assert result["kind"] == "healthy"


def test_how_it_ends_after_the_triggerer_is_counted(
    featurebase: OneFeaturebase, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(airflow_compat, "count", lambda name, tags: counted.append((name, tags["result"])))
    event = {"webhook_id": WEBHOOK_ID, "kind": "quiet"}
    a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind(**PASSED)).context, event)
    with pytest.raises(AirflowSkipException):
        a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind()).context, event)
    assert counted == [("featurebase.verify_delivery", "done"), ("featurebase.verify_delivery", "skipped")]


def test_too_many_failed_reads_are_no_verdict(featurebase: OneFeaturebase) -> None:
    event = {"webhook_id": WEBHOOK_ID, "kind": "unreadable"}
    with pytest.raises(DeliveryHealthUnreadable, match=f"{WEBHOOK_ID}: .*a retry reads again"):
        a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind(**PASSED)).context, event)


def test_a_verdict_stands_whatever_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(shown(200, -1)).behind(monkeypatch)
    event = {"webhook_id": WEBHOOK_ID, "kind": "failing"}
    with pytest.raises(AirflowFailException, match="deliveries fail since the push"):
        a_sensor(**IN_A_ROTATION).execute_complete(
            OneTask(left_behind()).context, event, seconds_after_start(-53).isoformat()
        )


@pytest.mark.parametrize(("kind", "says"), [("failing", "deliveries fail"), ("inactive", "the webhook is 'paused'")])
def test_bad_news_fails_the_task_for_good(monkeypatch: pytest.MonkeyPatch, kind: str, says: str) -> None:
    OneFeaturebase(NEW.model_copy(update={"status": "paused"})).behind(monkeypatch)
    task = OneTask(left_behind(**PASSED))
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: {says}"):
        a_sensor(**IN_A_ROTATION).execute_complete(task.context, {"webhook_id": WEBHOOK_ID, "kind": kind})
    assert (task.pushed["return_value"]["kind"], task.pushed["return_value"]["stores_hold"]) == (kind, NEW.fingerprint)


def test_a_webhook_that_only_a_stale_read_shows_inactive_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(shown(200, -1)).behind(monkeypatch)
    task = OneTask(left_behind(**PASSED))
    with pytest.raises(DeliveryHealthUnreadable, match=f"{WEBHOOK_ID}: .*not active.*one of them is stale.*a retry"):
        a_sensor(**IN_A_ROTATION).execute_complete(task.context, {"webhook_id": WEBHOOK_ID, "kind": "inactive"})
    assert task.pushed["return_value"]["kind"] == "unreadable"


def test_a_webhook_that_was_inactive_before_the_rotation_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = NEW.model_copy(update={"status": "paused"})
    plan = a_plan(a_webhook("whsec_0", status="paused"))
    rotated = RotationOutcome(plan, "answered", str(NEW.fingerprint), distributed_at=START.isoformat())
    OneFeaturebase(paused).behind(monkeypatch)
    result = a_sensor(**IN_A_ROTATION).execute(OneTask({"rotate": rotated.as_json(), **PASSED}).context)
    assert (result["kind"], result["detail"]) == (
        "quiet",
        "no delivery since the push was seen; the probe has passed",
    )


def test_a_stale_read_at_the_end_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores are compared with the secret that the rotation left, not with the one before."""
    featurebase = OneFeaturebase(shown(200, -1), a_webhook("whsec_0"), NEW).behind(monkeypatch)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    store = MemoryStore(value=secret("1"))
    sensor = a_sensor(stores=[store], **IN_A_ROTATION)
    assert sensor.execute(OneTask(left_behind()).context)["kind"] == "healthy"
    assert featurebase.reads == [WEBHOOK_ID] * 3


def test_by_itself_it_takes_what_it_reads_for_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no rotation whose secret could be older."""
    featurebase = OneFeaturebase(NEW, shown(200, 8)).behind(monkeypatch)
    event = {"webhook_id": WEBHOOK_ID, "kind": "healthy"}
    result = a_sensor(stores=[MemoryStore(value=secret("1"))]).execute_complete(OneTask().context, event)
    assert (result["kind"], result["stores_hold"], featurebase.reads) == ("healthy", NEW.fingerprint, [WEBHOOK_ID])


def test_every_store_is_compared_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(shown(200, -1)).behind(monkeypatch)
    task = OneTask(left_behind())
    stores = [MemoryStore(value=secret("1")), MemoryStore(label="b", value=secret("0"))]
    with pytest.raises(AirflowFailException, match="store b .* holds"):
        a_sensor(stores=stores, **IN_A_ROTATION).execute(task.context)
    assert task.pushed["return_value"]["kind"] == "healthy"
    assert "stores_hold" not in task.pushed["return_value"]


def test_a_store_that_never_shows_what_it_holds_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(shown(200, -1)).behind(monkeypatch)
    store = MemoryStore(value=secret("0"), readable=False)
    assert a_sensor(stores=[store], **IN_A_ROTATION).execute(OneTask(left_behind()).context)["kind"] == "healthy"


def test_an_outage_before_the_wait_says_what_state_things_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(DOWN).behind(monkeypatch)
    for run in (
        lambda sensor, context: sensor.execute(context),
        lambda sensor, context: sensor.execute_complete(context, {"webhook_id": WEBHOOK_ID, "kind": "healthy"}),
    ):
        with pytest.raises(ApiUnavailable, match="The stores were updated to the new secret, but deliveries were not"):
            run(a_sensor(**IN_A_ROTATION), OneTask(left_behind()).context)


def test_a_quarter_of_an_hour_is_waited_by_default() -> None:
    sensor = WebhookDeliveryHealthSensor(task_id="verify", webhook_id=WEBHOOK_ID)
    assert (sensor.wait, sensor.poll_interval, sensor.deferrable) == (timedelta(minutes=15), 15.0, True)


def test_what_the_triggerer_cannot_watch_the_worker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as the trigger would have, or once at least; the connection may be the workers' alone."""
    event = {"webhook_id": WEBHOOK_ID, "kind": "unwatched"}
    since, until = seconds_after_start(-53).isoformat(), seconds_after_start(600).isoformat()
    for arguments, waited in (((since, until), 600), ((since,), 15), ((), 15)):
        slept, _ = polling(monkeypatch, NEW)
        result = a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind(**PASSED)).context, event, *arguments)
        assert result["kind"] == "quiet"
        assert sum(slept.seconds) == pytest.approx(waited, abs=0.1)


@pytest.mark.parametrize("hours", [0, 3, -3])
def test_on_the_worker_it_polls_as_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hours: float
) -> None:
    slept, featurebase = polling(monkeypatch, NEW, hours=hours)
    result = a_sensor(deferrable=False, **IN_A_ROTATION).execute(OneTask(left_behind(**PASSED)).context)
    assert (result["kind"], set(featurebase.reads)) == ("quiet", {WEBHOOK_ID})
    assert result["detail"].startswith("no delivery since the push was seen")
    assert slept.seconds[:62] == pytest.approx([*LOOKS, *[15.0] * 59])
    assert sum(slept.seconds) == pytest.approx(900, abs=0.1)
    assert ("this machine's clock is" in capsys.readouterr().out) == bool(hours)


def test_what_the_worker_watches_counts_from_when_the_trigger_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor of version 0.1 did not say from when: then from now."""
    event = {"webhook_id": WEBHOOK_ID, "kind": "unwatched"}
    since, until = seconds_after_start(-53).isoformat(), seconds_after_start(600).isoformat()
    slept, _ = polling(monkeypatch, shown(401, -10, failures=1), shown(401, -5, failures=3))
    with pytest.raises(AirflowFailException, match="deliveries fail since the push"):
        a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind(**PASSED)).context, event, since, until)
    assert slept.seconds == pytest.approx([15.0] * 2)
    polling(monkeypatch, shown(401, -10, failures=3))
    result = a_sensor(**IN_A_ROTATION).execute_complete(OneTask(left_behind(**PASSED)).context, event)
    assert result["kind"] == "quiet"


@pytest.mark.parametrize(
    ("pushed", "looks"),
    [(-60, LOOKS), (-5, [3.0, 2.0, 4.0]), (2, [10.0]), (2.5, [])],
    ids=["a result can count", "soon", "at the last moment", "only when the triggerer watches"],
)
def test_before_it_is_deferred_the_worker_reads_when_a_result_can_count(
    slept: Slept, featurebase: OneFeaturebase, pushed: float, looks: list[float]
) -> None:
    """Results count 7 s after the push. A deferral and the way back take longer than to watch for this moment."""
    deferral(a_sensor(**IN_A_ROTATION), OneTask(left_behind(distributed=pushed)))
    assert slept.seconds == pytest.approx(looks)
    assert featurebase.reads == [WEBHOOK_ID] * (1 + len(looks))


def test_where_deliveries_are_frequent_it_is_not_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many reads as through the triggerer: before, at the first delivery that counts, and at the end."""
    slept, featurebase = polling(monkeypatch, shown(200, 1), shown(200, 2.5), shown(200, 3))
    result = a_sensor(**IN_A_ROTATION).execute(OneTask(left_behind(distributed=-5)).context)
    assert (result["kind"], slept.seconds) == ("healthy", pytest.approx([3.0]))
    assert featurebase.reads == [WEBHOOK_ID] * 3


def test_a_failed_read_does_not_end_the_workers_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, _ = polling(monkeypatch, NEW, DOWN, shown(200, 2))
    result = a_sensor(**IN_A_ROTATION).execute(OneTask(left_behind()).context)
    assert (result["kind"], slept.seconds) == ("healthy", pytest.approx(LOOKS[:2]))


def test_reads_that_failed_on_the_worker_do_not_slow_the_trigger_down(monkeypatch: pytest.MonkeyPatch) -> None:
    polling(monkeypatch, NEW, DOWN)
    assert trigger_arguments(a_sensor(**IN_A_ROTATION), OneTask(left_behind()))["poll_interval"] == 15.0


def test_a_worker_is_not_held_by_reads_that_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an outage the client tries a read again and again, for a minute or longer."""
    slept, featurebase = polling(monkeypatch, NEW, DOWN)
    quick = featurebase.get_webhook

    def slow(webhook_id: str) -> Webhook:
        featurebase.now += timedelta(seconds=60 if featurebase.reads else 0)
        return quick(webhook_id)

    monkeypatch.setattr(featurebase, "get_webhook", slow)
    deferral(a_sensor(**IN_A_ROTATION), OneTask(left_behind()))
    assert slept.seconds == LOOKS[:1]


def test_on_the_worker_too_what_is_decided_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, _ = polling(monkeypatch, shown(200, -1))
    result = a_sensor(deferrable=False, **IN_A_ROTATION).execute(OneTask(left_behind()).context)
    assert (result["kind"], slept.seconds) == ("healthy", [])


def test_on_the_worker_too_reads_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the triggerer: a short outage is passed over, and ten failures in a row end it."""
    outage = [DOWN] * (MAX_POLL_FAILURES - 1)
    polling(monkeypatch, NEW, *outage, NEW, *outage, shown(200, -1))
    result = a_sensor(deferrable=False, **IN_A_ROTATION).execute(OneTask(left_behind()).context)
    assert result["kind"] == "healthy"
    _, featurebase = polling(monkeypatch, NEW, *outage, DOWN, NEW)
    with pytest.raises(DeliveryHealthUnreadable):
        a_sensor(deferrable=False, **IN_A_ROTATION).execute(OneTask(left_behind()).context)
    assert len(featurebase.reads) == 1 + MAX_POLL_FAILURES + 1


def test_on_the_worker_too_a_refusal_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = AuthenticationFailed("GET", f"/v2/webhooks/{WEBHOOK_ID}", 401)
    _, featurebase = polling(monkeypatch, NEW, refused, NEW)
    with pytest.raises(DeliveryHealthUnreadable):
        a_sensor(deferrable=False, **IN_A_ROTATION).execute(OneTask(left_behind()).context)
    assert len(featurebase.reads) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "reschedule"), ("soft_fail", True), ("never_fail", True), ("silent_fail", True),
        ("exponential_backoff", True), ("max_wait", 60), ("poke_interval", 30), ("timeout", 900),
    ],
)  # fmt: skip
def test_a_sensors_argument_that_would_have_no_effect_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"WebhookDeliveryHealthSensor does not support {name}: "):
        a_sensor(**{name: value})


def test_what_says_nothing_else_is_accepted() -> None:
    assert a_sensor(mode="poke", soft_fail=False, silent_fail=False).mode == "poke"


def test_all_of_airflows_sensor_arguments_are_known_of() -> None:
    """A new one in a later Airflow must not be accepted without effect."""
    from airflow.sdk import BaseSensorOperator

    theirs = set(inspect.signature(BaseSensorOperator.__init__.__wrapped__).parameters) - {"self", "kwargs"}  # type: ignore[attr-defined]
    assert theirs == set(UNUSED)


@pytest.mark.parametrize("hides", ["soft_fail", "never_fail"])
def test_default_args_of_the_dag_do_not_hide_failing_deliveries(monkeypatch: pytest.MonkeyPatch, hides: str) -> None:
    """Airflow's own way back from a deferral would skip the task: a green run whose deliveries fail."""
    defaults = {hides: True, "mode": "reschedule", "poke_interval": 5, "timeout": 5}
    with DAG("mine", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), default_args=defaults):
        sensor = a_sensor(**IN_A_ROTATION)
    assert (sensor.soft_fail, sensor.never_fail, sensor.mode) == (False, False, "poke")
    OneFeaturebase(shown(401, -1, failures=3)).behind(monkeypatch)
    with pytest.raises(AirflowFailException):
        sensor.resume_execution(
            "execute_complete",
            {"event": {"webhook_id": WEBHOOK_ID, "kind": "failing"}},
            OneTask(left_behind()).context,
        )
