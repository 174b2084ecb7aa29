"""The trigger of a cut-over: what it stores, and the one event with which it ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.pace import Pace
from featurebase_provider.featurebase.settings import ApiSettings
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.rotation.cut_over import CutOver
from featurebase_provider.rotation.health import MAX_POLL_FAILURES
from featurebase_provider.triggers.cut_over import CutOverTrigger
from featurebase_provider.triggers.pauses import SCHEDULER_LAG
from tests.world.fake_pair import FakePair
from tests.world.fakes import api_unreachable
from tests.world.pair_states import A, B


class Client:
    """What the hook's client is to the trigger."""

    def __init__(self, pair: FakePair) -> None:
        self.pair = pair
        self.clock = SimpleNamespace(now=pair.now)

    async def get_webhook(self, webhook_id: str) -> Webhook:
        return self.pair.get_webhook(webhook_id)

    async def close(self) -> None:
        pass


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> FakePair:
    pair = FakePair()

    async def asettings(hook: FeaturebaseHook) -> ApiSettings:
        assert hook.featurebase_conn_id == "fb"
        return ApiSettings(SecretStr("sk_test"))

    async def aclient(hook: FeaturebaseHook, settings: ApiSettings, *, pace: Pace) -> Client:
        return Client(pair)

    async def sleep(seconds: float) -> None:
        pair.clock.sleep(seconds)

    monkeypatch.setattr(FeaturebaseHook, "asettings", asettings)
    monkeypatch.setattr(FeaturebaseHook, "aclient", aclient)
    monkeypatch.setattr(import_module("featurebase_provider.triggers.cut_over").asyncio, "sleep", sleep)
    pair.set(B, "active")
    return pair


def trigger(pair: FakePair, **changes: Any) -> CutOverTrigger:
    cut_over = CutOver(
        old=A,
        new=B,
        old_holds=str(pair.halves[A].current.fingerprint),
        new_holds=str(pair.halves[B].current.fingerprint),
        planned_at=pair.now().isoformat(),
        activated_at=pair.now().isoformat(),
        first_delivery=300,
        pending=3600,
    )
    return CutOverTrigger(
        **{"cut_over": asdict(cut_over), "featurebase_conn_id": "fb", "poll_interval": 15.0, **changes}
    )


def event(made: CutOverTrigger) -> dict[str, Any]:
    async def events() -> list[Any]:
        return [found.payload async for found in made.run()]

    (found,) = asyncio.run(events())
    return dict(found)


def test_what_is_stored_makes_the_same_trigger_and_holds_no_secret(pair: FakePair) -> None:
    made = trigger(
        pair, replaced=["sha256:0"], watched={"polls": 3, "refused": 1, "old_failed": True, "paused_by_us": False}
    )
    path, arguments = made.serialize()
    stored = json.dumps(arguments)
    assert path == "featurebase_provider.triggers.cut_over.CutOverTrigger"
    assert pair.secret(A) not in stored
    assert pair.secret(B) not in stored
    assert CutOverTrigger(**json.loads(stored)).serialize() == (path, json.loads(stored))


def test_it_ends_when_a_step_is_due(pair: FakePair) -> None:
    made = trigger(pair)
    pair.delivered(B)
    found = event(made)
    assert found["kind"] == "pause_old"
    assert found["watched"]["polls"] == 2, "two reads agree"
    assert pair.patches == [], "it changes nothing"


def test_the_state_of_the_watch_goes_on(pair: FakePair) -> None:
    made = trigger(pair, watched={"polls": 7, "refused": 2, "old_failed": False, "paused_by_us": False})
    pair.delivered(B)
    watched = {"polls": 9, "refused": 2, "old_failed": False, "paused_by_us": False}
    assert event(made)["watched"] == {**watched, "activated_at": made.cut_over.activated_at}


@pytest.mark.parametrize("half", [A, B])
def test_a_half_that_was_deleted_is_no_failure(pair: FakePair, half: str) -> None:
    made = trigger(pair)
    pair.gone.add(half)
    assert event(made)["kind"] == ("done" if half == A else "stopped")


def test_a_few_failed_reads_are_outlasted(pair: FakePair) -> None:
    made = trigger(pair)
    pair.delivered(B)
    pair.halves[A].read_script.extend([api_unreachable()] * (MAX_POLL_FAILURES - 1))
    assert event(made)["kind"] == "pause_old"


def test_too_many_failed_reads_end_it(pair: FakePair) -> None:
    made = trigger(pair)
    pair.halves[A].read_script.extend([api_unreachable()] * MAX_POLL_FAILURES)
    assert event(made)["kind"] == "unreadable"


def test_a_triggerer_without_the_connection_hands_back(pair: FakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(hook: FeaturebaseHook) -> None:
        raise KeyError(hook.featurebase_conn_id)

    monkeypatch.setattr(FeaturebaseHook, "asettings", missing)
    before = pair.clock.now
    assert event(trigger(pair))["kind"] == "unwatched"
    assert pair.clock.now >= before + SCHEDULER_LAG, "an earlier event may fail the task"


def test_no_event_comes_before_the_scheduler_knows_of_the_deferral(pair: FakePair) -> None:
    made = trigger(pair, poll_interval=1.0)
    pair.delivered(B)
    before = pair.clock.now
    event(made)
    assert pair.clock.now >= before + SCHEDULER_LAG
