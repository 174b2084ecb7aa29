"""A standby that somebody may depend on, though it is paused: no run refreshes it, and stores keep its secret."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.models import Health, LastStatus, Webhook
from featurebase_provider.rotation.cut_over import watch_of
from featurebase_provider.rotation.errors import PlanRefused, RefreshRefused
from featurebase_provider.rotation.moves import Move, Moves
from featurebase_provider.rotation.pair import Pair, check_in_time, last_signed, never_became_live, roles
from featurebase_provider.rotation.pair_reading import PairReader, PairSource
from featurebase_provider.rotation.pair_rotate import check_still_standby
from featurebase_provider.rotation.plan import HalfBaseline, PairBaseline, RotationPlan
from tests.world.fakes import START, WEBHOOK_ID, a_plan, a_webhook

STANDBY_ID = "507f1f77bcf86cd799439012"
IDS = (WEBHOOK_ID, STANDBY_ID)
PREVIOUS_FOR = timedelta(hours=8)


def a_pair(live: dict[str, Any] | None = None, **standby: Any) -> Pair:
    """The first half is live, the second one has never delivered anything, but for what is given."""
    one = a_webhook(**(live or {}))
    other = a_webhook("whsec_standby", **{"id": STANDBY_ID, "status": "paused", **standby})
    return Pair.of(IDS, (one, other))


def a_pair_plan(pair: Pair, about: str = STANDBY_ID, **changes: Any) -> RotationPlan:
    webhook = pair.get(about)
    assert webhook is not None
    halves = {half.id: HalfBaseline.of(half) for half in pair.webhooks}
    return a_plan(webhook, pair=PairBaseline(halves, WEBHOOK_ID, about if about == STANDBY_ID else None), **changes)


def a_source(pair: Pair, plan: RotationPlan, moves: Moves | None = None, now: datetime = START) -> PairSource:
    class Api:
        def get_webhook(self, webhook_id: str) -> Webhook:
            webhook = pair.get(webhook_id)
            assert webhook is not None
            return webhook

    return PairSource(PairReader(Api(), IDS, {}), plan, moves or Moves(), PREVIOUS_FOR, lambda: now)


def delivered_at(moment: datetime) -> LastStatus:
    return LastStatus(code=200, message="", timestamp=moment)


def test_a_half_that_was_to_be_set_active_may_become_active_late() -> None:
    """Setting it active failed ambiguously, and it is paused still: that can change at any moment."""
    pair = a_pair()
    moves = Moves(activated=Move(STANDBY_ID, START.isoformat()))
    soon = START + timedelta(seconds=39)

    assert last_signed(pair, moves) == START
    assert not never_became_live(pair, moves, previous_for=PREVIOUS_FOR, now=soon)
    chosen = roles(pair, "rotate", moves=moves)
    with pytest.raises(PlanRefused, match="may be retried until"):
        check_in_time(pair, "rotate", chosen, moves=moves, previous_for=PREVIOUS_FOR, now=soon)
    check_in_time(pair, "rotate", chosen, moves=moves, previous_for=PREVIOUS_FOR, now=START + PREVIOUS_FOR)


def test_the_activation_of_the_half_that_is_live_says_nothing_about_the_standby() -> None:
    assert last_signed(a_pair(), Moves(activated=Move(WEBHOOK_ID, START.isoformat()))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "active"},
        {"status": "suspended"},
        {"secret": "whsec_by_hand"},
        {"last_status": delivered_at(START), "updated_at": START},
        {"health": Health(last_success_at=START), "updated_at": START},
    ],
    ids=["active", "suspended", "refreshed", "was active and delivered", "the same, without a readable result"],
)
def test_rotate_looks_once_more_before_it_refreshes(change: dict[str, Any]) -> None:
    """Whatever a person did with the standby since the plan, the refresh is not sent."""
    plan = a_pair_plan(a_pair())
    now = START + timedelta(minutes=1)
    half = a_webhook(**{"secret": "whsec_standby", "id": STANDBY_ID, "status": "paused", **change})
    pair = Pair.of(IDS, (a_webhook(), half))

    with pytest.raises(RefreshRefused, match="Trigger a new run"):
        check_still_standby(pair, a_source(pair, plan, now=now), now)


def test_rotate_does_not_refresh_a_half_that_is_gone() -> None:
    plan = a_pair_plan(a_pair())
    pair = Pair.of(IDS, (a_webhook(),))

    with pytest.raises(RefreshRefused, match="no longer exists"):
        check_still_standby(pair, a_source(pair, plan), START)


def test_rotate_refreshes_a_standby_as_it_was_planned() -> None:
    pair = a_pair()
    check_still_standby(pair, a_source(pair, a_pair_plan(pair)), START)


def test_a_result_is_about_the_runs_own_half_even_if_stores_may_forget_it() -> None:
    """Else the history of one half would take the other's secret for its own, and its own for a replaced one."""
    plan = a_pair_plan(a_pair(), WEBHOOK_ID, mode="distribute")
    paused = a_webhook(status="paused")
    pair = Pair.of(IDS, (paused, a_webhook("whsec_standby", id=STANDBY_ID)))

    about, wanted = a_source(pair, plan, now=START + timedelta(hours=9)).wanted(pair)

    assert about.id == WEBHOOK_ID
    assert wanted.fingerprint == paused.fingerprint
    assert [half.webhook_id for half in wanted.needed] == [STANDBY_ID]


def test_the_wait_for_a_first_delivery_ends_though_no_record_says_when_it_began() -> None:
    """The record is unread or another run's, and a worker and the triggerer go on with the watch in turns."""
    pair = Pair.of(IDS, (a_webhook(), a_webhook("whsec_new", id=STANDBY_ID)))
    plan, now = a_pair_plan(a_pair()), START
    watched: dict[str, Any] = {}
    proven = {half.id: str(half.fingerprint) for half in pair.webhooks}

    for _ in range(3):
        watch = watch_of(
            plan,
            Moves(),
            proven,
            now=now,
            first_delivery=timedelta(minutes=5),
            pending=timedelta(hours=1),
            watched=json.loads(json.dumps(watched)),
        )
        now += timedelta(minutes=3)
        steps = [watch.observe(pair, now=now).kind for _ in range(2)]
        watched = watch.state

    assert steps == ["wait", "pause_old"]
