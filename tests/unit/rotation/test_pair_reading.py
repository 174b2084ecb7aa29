"""What is read of a pair where Featurebase shows it as it was before a run's last step, however long ago that was."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.pair import Pair, is_outdated
from tests.world.fake_pair import PREVIOUS_FOR, FakePair
from tests.world.pair_states import A, B

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.pair_reading import PairSource

LONG_AFTER = timedelta(days=3).total_seconds()


def moved() -> tuple[FakePair, dict[str, Webhook]]:
    """Deliveries moved from A to B three days ago; the second is how Featurebase showed both halves before that."""
    pair = FakePair()
    before = {half: pair.halves[half].current for half in (A, B)}
    plan = pair.plan()
    pair.record("activated", plan, B)
    pair.set(B, "active")
    pair.clock.sleep(5)
    pair.set(A, "paused")
    pair.record("paused", plan, A)
    pair.clock.sleep(LONG_AFTER)
    return pair, before


def source_of(pair: FakePair) -> PairSource:
    plan = pair.plan(mode="distribute", moves_to=B, was_live=B)
    return pair.records().source(pair, plan, PREVIOUS_FOR, now=pair.now)


def held_by(pair: FakePair) -> set[SigningSecret]:
    _, wanted = source_of(pair).read()
    return {half.secret for half in wanted.needed}


def stale(pair: FakePair, before: dict[str, Webhook], times: int) -> None:
    for half, webhook in before.items():
        pair.halves[half].read_script.extend([webhook] * times)


def test_both_halves_shown_as_before_the_last_step_are_read_again() -> None:
    pair, before = moved()
    stale(pair, before, times=2)
    began = pair.clock.now
    assert held_by(pair) == {pair.halves[B].secret}, "A was drained long ago"
    assert 0 < pair.clock.now - began < 5


def test_a_pair_that_stays_outdated_costs_no_store_the_live_secret() -> None:
    """It is taken as it is shown in the end, but no secret is forgotten by it."""
    pair, before = moved()
    stale(pair, before, times=50)
    assert held_by(pair) == {pair.halves[A].secret, pair.halves[B].secret}


@pytest.mark.parametrize("half", [A, B])
def test_one_half_shown_as_before_beside_the_other_as_it_is_now_is_read_again(half: str) -> None:
    """A read as active makes both look active; B read as paused makes neither look so. A run's plan must not see it."""
    pair, before = moved()
    pair.halves[half].read_script.extend([before[half]] * 2)
    shown = pair.records().reader(pair, pair.now()).read()
    assert (shown.live, shown.active) == (pair.halves[B].current, (pair.halves[B].current,))


def test_what_a_person_moved_back_is_not_outdated() -> None:
    pair, _ = moved()
    pair.set(A, "active")
    pair.set(B, "paused")
    pair.clock.sleep(LONG_AFTER)
    began = pair.clock.now
    assert held_by(pair) == {pair.halves[A].secret}
    assert pair.clock.now == began


@pytest.mark.parametrize(("what", "half", "other"), [("paused", A, B), ("activated", B, A)])
@pytest.mark.parametrize("step", ["none", "about to", "of the other half"])
def test_only_a_step_that_was_taken_with_this_half_tells(
    step: str, what: Literal["paused", "activated"], half: str, other: str
) -> None:
    pair = FakePair()
    pair.clock.sleep(60)
    if step != "none":
        pair.record(what, pair.plan(), other if step == "of the other half" else half, done=step != "about to")
    shown = Pair.of((A, B), [pair.halves[half].current for half in (A, B)])
    assert not is_outdated(shown, pair.records().moves)
    pair.record(what, pair.plan(), half)
    assert is_outdated(shown, pair.records().moves)


def test_without_a_time_of_change_nothing_is_outdated() -> None:
    pair, before = moved()
    shown = [webhook.model_copy(update={"updated_at": None}) for webhook in before.values()]
    assert not is_outdated(Pair.of((A, B), shown), pair.records().moves)
