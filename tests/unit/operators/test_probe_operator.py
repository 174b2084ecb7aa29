"""What the probe task makes of its arguments and of the tasks before it."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.config import WebhookConfig
from featurebase_provider.config.probe import ProbeConfig
from featurebase_provider.featurebase.errors import ApiUnavailable
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from featurebase_provider.operators.emergency import EmergencyProbeOperator
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.probe import ProbeReceiverOperator
from featurebase_provider.operators.proofs import probe_receiver
from featurebase_provider.rotation.clock import Clock, Moment, boot_id
from featurebase_provider.rotation.errors import ProbeUndecided
from featurebase_provider.rotation.probe import Probe
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, WEBHOOK_ID, a_plan, a_webhook, secret
from tests.world.one_task import OneFeaturebase, OneTask

if TYPE_CHECKING:
    from tests.unit.operators.conftest import Log

NEW = a_webhook("whsec_1")


class Receiver:
    """Accepts what is signed with its secret, within five minutes of Featurebase's time.

    :param late: so many events come before it has loaded the secret.
    """

    def __init__(self, featurebase: OneFeaturebase, held: str = "1", refuses: int = 401, late: int = 0) -> None:
        self.featurebase, self.held, self.refuses, self.late = featurebase, secret(held), refuses, late
        self.events: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        self.events.append(json.loads(body))
        at = int(request.headers[TIMESTAMP_HEADER])
        fresh = abs(at - self.featurebase.now.timestamp()) <= 300
        right = request.headers[SIGNATURE_HEADER] == sign(self.held, at, body)
        loaded = len(self.events) > self.late
        return httpx.Response(204 if fresh and right and loaded else self.refuses)

    def options(self, **options: Any) -> dict[str, Any]:
        usual = {"resolve": lambda host, port: ["203.0.113.7"], "steady": 0.0}
        return {"transport": httpx.MockTransport(self), "timeout": 0.0, **usual, **options}


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)


def probing(**arguments: Any) -> ProbeReceiverOperator:
    usual = {"webhook_id": WEBHOOK_ID, "featurebase_conn_id": "fb_of_mine"}
    tasks = {"rotate_task_id": "rotate", "distributed_task_id": "distributed"}
    return ProbeReceiverOperator(task_id="probe", **{**usual, **tasks, **arguments})


def left_behind(*, posted: Moment | None = None, distributed: str = str(NEW.fingerprint)) -> dict[str, Any]:
    rotated = RotationOutcome(a_plan(a_webhook("whsec_0")), "answered", str(NEW.fingerprint), posted=posted)
    return {"rotate": rotated.as_json(), "distributed": {"fingerprint": distributed}}


def test_probe_passes_and_measures_the_receivers_exposure(
    monkeypatch: pytest.MonkeyPatch,
    stats: list[tuple[str, dict[str, str]]],
    timings: list[tuple[str, float, dict[str, str]]],
) -> None:
    """From just before the refresh to the first acceptance, by the monotonic clock that both tasks share."""
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    receiver = Receiver(featurebase)
    task = OneTask(left_behind(posted=Moment(time.monotonic() - 2.5, 0.0, boot_id())))
    result = probing(probe_options=receiver.options(), webhook="production").execute(task.context)
    assert (result["result"], result["accepted"], len(receiver.events)) == ("accepted", 3, 4)
    assert 2500 <= result["receiver_exposure_ms"] < 60_000
    assert timings == [("featurebase.receiver_exposure", result["receiver_exposure_ms"], {"webhook": "production"})]
    assert stats == [("featurebase.probe", {"webhook": "production", "result": "done"})]
    assert (featurebase.connections, featurebase.reads) == (["fb_of_mine"], [WEBHOOK_ID])


def test_on_another_machine_exposure_is_measured_by_featurebases_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clocks of two workers may be hours apart."""
    featurebase = OneFeaturebase(NEW, hours=3).behind(monkeypatch)
    posted = Moment(0.0, (START - timedelta(seconds=4)).timestamp(), "another machine")
    task = OneTask(left_behind(posted=posted))
    result = probing(probe_options=Receiver(featurebase).options()).execute(task.context)
    assert result["receiver_exposure_ms"] == pytest.approx(4000, abs=1000)


def test_alone_it_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, timings: list[tuple[str, float, dict[str, str]]]
) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    operator = probing(rotate_task_id=None, distributed_task_id=None, probe_options=Receiver(featurebase).options())
    assert operator.execute(OneTask().context)["receiver_exposure_ms"] is None
    assert (featurebase.reads, timings) == ([WEBHOOK_ID], [])


def test_where_preflights_plan_is_gone_rotates_result_names_the_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    options = Receiver(featurebase).options()
    operator = probing(webhook_id="", plan_task_id="preflight", probe_options=options)
    assert operator.execute(OneTask(left_behind()).context)["result"] == "accepted"
    assert featurebase.reads == [WEBHOOK_ID]


def test_who_watches_the_log_sees_what_the_probe_waits_for(monkeypatch: pytest.MonkeyPatch, said: Log) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    receiver = Receiver(featurebase, late=1)
    probing(probe_options=receiver.options(timeout=60.0)).execute(OneTask(left_behind()).context)
    assert f"the receiver does not accept the secret {NEW.fingerprint} yet" in said


def test_a_probe_needs_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here to an address to which none is sent, whatever the options."""
    metadata = NEW.model_copy(update={"url": "https://169.254.169.254/hook"})
    OneFeaturebase(metadata).behind(monkeypatch)
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: .*169.254.169.254"):
        probing().execute(OneTask(left_behind()).context)


def test_an_outage_says_that_the_receiver_was_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    OneFeaturebase(ApiUnavailable("GET", f"/v2/webhooks/{WEBHOOK_ID}", 503)).behind(monkeypatch)
    with pytest.raises(ApiUnavailable, match="The stores hold the new secret, but the receiver was not probed"):
        probing().execute(OneTask(left_behind()).context)


@pytest.mark.parametrize("hours", [0, 3, -3])
def test_events_are_dated_by_featurebases_clock(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Receivers refuse what is more than five minutes off: a worker's clock must not look like a wrong secret."""
    featurebase = OneFeaturebase(NEW, hours=hours).behind(monkeypatch)
    result = probing(probe_options=Receiver(featurebase).options()).execute(OneTask(left_behind()).context)
    assert result["result"] == "accepted"


def test_options_reach_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    receiver = Receiver(featurebase)
    options = receiver.options(successes=5, reject_check=False, body={"topic": "post.updated"})
    result = probing(probe_options=options).execute(OneTask(left_behind()).context)
    assert (result["accepted"], [event["topic"] for event in receiver.events]) == (5, ["post.updated"] * 5)


def test_in_an_emergency_the_branchs_entry_says_how_to_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    receiver = Receiver(featurebase)
    network = {name: receiver.options()[name] for name in ("transport", "resolve")}
    monkeypatch.setattr("featurebase_provider.rotation.probe.Probe", partial(Probe, **network))
    section = {"successes": 2, "reject_check": False, "body": {"topic": "post.updated"}, "steady": timedelta()}
    entry = WebhookConfig.model_validate(
        {
            "name": "production",
            "webhook_id": WEBHOOK_ID,
            "stores": [{"type": "airflow_variable", "name": "a"}],
            "probe": section,
        }
    )
    operator = EmergencyProbeOperator(
        task_id="probe", webhooks={"production": entry}, webhook="production", rotate_task_id="rotate"
    )
    result = operator.execute(OneTask(left_behind()).context)
    assert (result["result"], result["accepted"]) == ("accepted", 2)
    assert [event["topic"] for event in receiver.events] == ["post.updated"] * 2


def test_every_option_of_the_rotation_file_is_one_of_the_probes() -> None:
    """In seconds; none is forgotten."""
    config = ProbeConfig(
        timeout=timedelta(minutes=9),
        interval=timedelta(seconds=3),
        steady=timedelta(seconds=20),
        successes=7,
        reject_check=False,
        body={"topic": "x"},
        allow_hosts=("receiver.internal",),
    )
    options = config.options
    assert options == {
        "timeout": 540.0,
        "interval": 3.0,
        "steady": 20.0,
        "successes": 7,
        "reject_check": False,
        "body": {"topic": "x"},
        "allow_hosts": ("receiver.internal",),
    }
    assert set(options) == set(ProbeConfig.model_fields)
    assert Probe(NEW, **options).steady == 20.0
    assert config.longest == timedelta(minutes=9, seconds=20)


def test_a_refusal_ends_the_task_for_good_and_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    task = OneTask(left_behind(posted=Moment(time.monotonic(), 0.0, boot_id())))
    refused = f"{WEBHOOK_ID}: the receiver 'receiver.example' refuses the signature"
    with pytest.raises(AirflowFailException, match=refused) as caught:
        probing(probe_options=Receiver(featurebase, held="0").options()).execute(task.context)
    assert "the old one can't be restored: fix the receiver, then clear this task" in str(caught.value)
    kept = task.pushed["return_value"]
    assert (kept["result"], kept["receiver_exposure_ms"]) == ("refused", None)


def test_a_receiver_that_is_down_is_left_to_airflows_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are configured; a verdict would be wrong in a minute."""
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    task = OneTask(left_behind())
    with pytest.raises(ProbeUndecided, match="the receiver 'receiver.example' fails: it answered 503"):
        probing(probe_options=Receiver(featurebase, held="0", refuses=503).options()).execute(task.context)
    assert task.pushed["return_value"]["result"] == "unreachable"


def test_a_receiver_that_answers_no_wrong_key_is_left_to_airflows_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    task = OneTask(left_behind())
    with pytest.raises(ProbeUndecided, match="were not refused"):
        probing(probe_options=Receiver(featurebase, refuses=500).options()).execute(task.context)
    assert task.pushed["return_value"]["result"] == "unproven"


def test_a_secret_that_no_store_was_given_is_not_blamed_on_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    featurebase = OneFeaturebase(NEW).behind(monkeypatch)
    receiver = Receiver(featurebase)
    task = OneTask(left_behind(distributed="sha256:another"))
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: sha256:another was written to the stores"):
        probing(probe_options=receiver.options()).execute(task.context)
    assert receiver.events == []


def test_a_stale_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old secret must not be probed once rotate has left a new one."""
    featurebase = OneFeaturebase(a_webhook("whsec_0"), NEW).behind(monkeypatch)
    result = probing(probe_options=Receiver(featurebase).options()).execute(OneTask(left_behind()).context)
    assert (result["fingerprint"], len(featurebase.reads)) == (NEW.fingerprint, 2)


@pytest.mark.parametrize("hours", [0, 3, -3])
def test_preflight_probes_once_and_shortly(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Whatever the file says: one acceptance of the current secret is enough, and 15 seconds are."""
    featurebase = OneFeaturebase(NEW, hours=hours)
    featurebase.get_webhook(WEBHOOK_ID)
    receiver = Receiver(featurebase)
    options = receiver.options(successes=20, steady=60.0, timeout=600.0)
    preflight = PreflightRotationOperator(task_id="preflight", webhook_id=WEBHOOK_ID, stores=(), probe_options=options)
    probe_receiver(preflight, NEW, featurebase.clock, options)
    assert len(receiver.events) == 2


@pytest.mark.parametrize(("refuses", "retried"), [(401, False), (503, True)])
def test_preflight_leaves_a_receiver_that_is_down_to_airflows_retries(refuses: int, retried: bool) -> None:
    featurebase = OneFeaturebase(NEW)
    options = Receiver(featurebase, held="0", refuses=refuses).options()
    preflight = PreflightRotationOperator(task_id="preflight", webhook_id=WEBHOOK_ID, stores=(), probe_options=options)
    with pytest.raises(Exception, match="'receiver.example' .* Nothing was changed") as caught:
        probe_receiver(preflight, NEW, featurebase.clock, options)
    assert getattr(caught.value, "retry_helps", None) is retried
