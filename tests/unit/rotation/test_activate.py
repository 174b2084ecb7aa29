"""What must hold before the refreshed half is set active, and what becomes of it if something happens meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.rotation.activate import Activation
from featurebase_provider.rotation.errors import (
    ActivationUnknown,
    HalfNotActivated,
    MemoryUnknown,
    StoresDisagree,
    StoresUnread,
    StoreUnreachable,
)
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fake_pair import PREVIOUS_FOR, FakePair
from tests.world.fakes import failing
from tests.world.pair_states import A, B

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook

KEY = "key"


@pytest.fixture
def pair() -> FakePair:
    return FakePair()


@pytest.fixture
def plan(pair: FakePair) -> RotationPlan:
    plan = pair.plan(mode="revert")
    return pair.records().memory.keep_plan(KEY, plan)


def activation(pair: FakePair, plan: RotationPlan, **changes: Any) -> Activation:
    records = pair.records()
    facts: dict[str, Any] = {
        "api": pair,
        "rotated": RotationOutcome(plan, "not_asked", str(pair.halves[B].current.fingerprint)),
        "records": records,
        "source": records.source(pair, plan, PREVIOUS_FOR, now=pair.now),
        "stores": [pair.store],
        "plan_key": KEY,
        "proven": pair.halves[B].current.fingerprint,
        "probe": lambda webhook: None,
        "now": pair.now,
        "say": lambda text: None,
    }
    return Activation(**{**facts, **changes})


def test_the_moment_is_recorded_before_the_half_is_set_active(pair: FakePair, plan: RotationPlan) -> None:
    seen = []
    pair.on_patch = lambda half, status: seen.append(pair.records().moves.activated)
    probed: list[str] = []
    at = activation(pair, plan, probe=lambda webhook: probed.append(webhook.id)).run()
    assert [move.at for move in seen if move is not None] == [at]
    assert pair.statuses == ("active", "active")
    assert probed == [A, B]


def test_a_half_that_was_drained_is_not_probed(pair: FakePair, plan: RotationPlan) -> None:
    """Long after the cut-over somebody clears the whole run: no receiver accepts the old half's secret any more."""
    at = activation(pair, plan).run()
    pair.set(A, "paused")
    pair.record("paused", plan, A)
    pair.store.previous = None
    pair.store.value = pair.halves[B].secret
    pair.clock.sleep(2 * PREVIOUS_FOR.total_seconds())
    probed: list[str] = []
    assert activation(pair, plan, probe=lambda webhook: probed.append(webhook.id)).run() == at
    assert probed == [B]


def test_a_second_try_keeps_the_moment(pair: FakePair, plan: RotationPlan) -> None:
    at = activation(pair, plan).run()
    pair.clock.sleep(60)
    assert activation(pair, plan).run() == at
    assert pair.patches == [(B, "active")]


@pytest.mark.parametrize("when", ["in that moment", "before the next try"])
def test_a_half_that_signs_with_another_secret_is_paused_again(pair: FakePair, plan: RotationPlan, when: str) -> None:
    """Somebody refreshed it: no store holds that secret, and the receiver would refuse what it signs."""
    made = activation(pair, plan)
    if when == "in that moment":
        pair.on_patch = lambda half, status: pair.refresh(half) if status == "active" else None
    else:
        made.run()
        pair.refresh(B)
    with pytest.raises(HalfNotActivated, match="was paused again"):
        made.run()
    assert pair.statuses == ("active", "paused")


def test_it_is_not_paused_if_no_other_half_delivers(pair: FakePair, plan: RotationPlan) -> None:
    activation(pair, plan).run()
    proven = pair.halves[B].current.fingerprint
    pair.set(A, "paused")
    pair.record("paused", plan, A)
    pair.refresh(B)
    with pytest.raises(HalfNotActivated, match="mode=distribute at once"):
        activation(pair, plan, proven=proven).run()
    assert pair.statuses == ("paused", "active")


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_an_answer_that_is_lost(pair: FakePair, plan: RotationPlan, fault: Any) -> None:
    pair.patch_script.append(fault)
    if fault == "lost_before":
        with pytest.raises(ActivationUnknown, match="does not show it active"):
            activation(pair, plan).run()
    activation(pair, plan).run()
    assert pair.statuses == ("active", "active")
    assert pair.patches == [(B, "active")]


def test_stores_forget_the_secret_of_a_half_that_never_became_active(pair: FakePair, plan: RotationPlan) -> None:
    """Nobody clears the run. The half is as it was before, which a half that became active is in stale reads only."""
    pair.clock.sleep(60)
    pair.patch_script.append("lost_before")
    with pytest.raises(ActivationUnknown):
        activation(pair, plan).run()
    pair.clock.sleep(2 * PREVIOUS_FOR.total_seconds())
    later = pair.plan(mode="distribute", moves_to=A, was_live=A)
    _, wanted = pair.records().source(pair, later, PREVIOUS_FOR, now=pair.now).read()
    assert [half.webhook_id for half in wanted.needed] == [A]


@pytest.mark.parametrize("way", ["at once", "by a second try", "without a record of it"])
def test_it_is_recorded_whether_the_half_became_active(pair: FakePair, plan: RotationPlan, way: str) -> None:
    """Not to be able to record it ends no run: the half is active by then."""
    said: list[str] = []
    made = activation(pair, plan, say=said.append)
    if way == "by a second try":
        pair.record("activated", plan, B, done=False)
        pair.set(B, "active")
        made = activation(pair, plan)
    if way == "without a record of it":
        pair.on_patch = lambda half, status: pair.kept.records.update(dict.fromkeys(pair.kept.records, "spoilt"))
    made.run()
    if way == "without a record of it":
        assert "It stays recorded that" in said[-1]
    else:
        step = pair.records().moves.activated
        assert step is not None
        assert step.done
    assert pair.statuses == ("active", "active")


@pytest.mark.parametrize("status", ["paused", "suspended"])
def test_a_half_that_was_paused_after_an_earlier_try_stays_so(pair: FakePair, plan: RotationPlan, status: str) -> None:
    activation(pair, plan).run()
    pair.clock.sleep(60)
    pair.set(B, status)
    with pytest.raises(HalfNotActivated, match="so it stays so|is 'suspended'"):
        activation(pair, plan).run()
    assert pair.statuses == ("active", status)


@pytest.mark.parametrize("earlier_try", [False, True])
@pytest.mark.parametrize("status", ["paused", "suspended"])
def test_deliveries_that_were_stopped_do_not_go_on_through_the_other_half(
    pair: FakePair, plan: RotationPlan, status: str, earlier_try: bool
) -> None:
    """A person, or Featurebase, has paused the half that delivered: nobody knows that it may be undone."""
    if earlier_try:
        pair.patch_script.append("lost_before")
        with pytest.raises(ActivationUnknown):
            activation(pair, plan).run()
    pair.set(A, status)
    with pytest.raises(HalfNotActivated, match=f"webhook {A}, which delivered when .* is '{status}'"):
        activation(pair, plan).run()
    assert pair.statuses == (status, "paused")
    assert (pair.records().moves.activated is not None) == earlier_try


def test_a_half_that_is_active_already_needs_no_other_one(pair: FakePair, plan: RotationPlan) -> None:
    """Such as after the cut-over, if all tasks are cleared."""
    at = activation(pair, plan).run()
    pair.set(A, "paused")
    assert activation(pair, plan).run() == at
    assert pair.patches == [(B, "active")]


def test_what_this_run_paused_itself_may_be_set_active_again(pair: FakePair, plan: RotationPlan) -> None:
    """Its deliveries failed; the receiver was repaired, and the tasks from the probe on were cleared."""
    at = activation(pair, plan).run()
    pair.clock.sleep(60)
    pair.set(B, "paused")
    pair.record("paused", plan, B)
    pair.clock.sleep(60)
    assert activation(pair, plan).run() > at
    assert pair.records().moves.open is not None


def test_a_plan_that_was_replaced_moves_nothing(pair: FakePair, plan: RotationPlan) -> None:
    pair.clock.sleep(60)
    pair.records().memory.forget_plan(KEY)
    with pytest.raises(HalfNotActivated, match="another run's plan has replaced it"):
        activation(pair, plan).run()
    assert pair.patches == []


def test_records_that_can_not_be_written_or_read_move_nothing(pair: FakePair, plan: RotationPlan) -> None:
    """The leaks are read, too."""
    ready = activation(pair, plan)
    for reads in range(3):
        left = reads

        def problem(name: str) -> str | None:
            nonlocal left
            left -= 1
            if left < 0:
                raise MemoryUnknown(B, name, "can't be read")
            return pair.kept.records.get(name)

        pair.kept.read = problem  # type: ignore[method-assign]
        with pytest.raises(MemoryUnknown):
            ready.run()
    assert pair.patches == []


@pytest.mark.parametrize("half", [A, B])
def test_a_refresh_by_hand_since_the_probe_is_noticed(pair: FakePair, plan: RotationPlan, half: str) -> None:
    ready = activation(pair, plan)
    pair.refresh(half)
    with pytest.raises(StoresDisagree, match="not every store holds the secrets of both"):
        ready.run()
    pair.store.value, pair.store.previous = pair.halves[A].secret, pair.halves[B].secret
    if half == B:
        with pytest.raises(HalfNotActivated, match="was refreshed again"):
            ready.run()
        assert pair.patches == []


def test_a_store_that_can_not_be_read(pair: FakePair, plan: RotationPlan) -> None:
    pair.store.read_script.append(failing(StoreUnreachable("memory", "no answer", "A retry reads again")))
    with pytest.raises(StoresUnread, match="no answer"):
        activation(pair, plan).run()
    assert pair.patches == []


@pytest.mark.parametrize("half", [A, B])
def test_a_half_that_was_deleted(pair: FakePair, plan: RotationPlan, half: str) -> None:
    ready = activation(pair, plan)
    pair.gone.add(half)
    with pytest.raises(Exception, match="no longer exists|does not exist|not found|404"):
        ready.run()
    assert pair.patches == []


@pytest.mark.parametrize("half", [A, B])
def test_halves_that_differ_by_now_move_nothing(pair: FakePair, half: str) -> None:
    """A person has edited one while the run waited, such as for its approval."""
    plan = pair.records().memory.keep_plan(KEY, pair.plan())
    ready = activation(pair, plan)
    pair.halves[half].change(topics=["comment.created"])
    with pytest.raises(HalfNotActivated, match=r"differs .* in topics: .* not set active.*trigger a new run"):
        ready.run()
    assert pair.patches == []


def test_what_is_changed_after_the_activation_does_not_stop_a_second_try(pair: FakePair) -> None:
    plan = pair.records().memory.keep_plan(KEY, pair.plan())
    at = activation(pair, plan).run()
    pair.halves[A].change(topics=["comment.created"])
    assert activation(pair, plan).run() == at


def test_a_leaked_secret_is_never_set_active(pair: FakePair, plan: RotationPlan) -> None:
    pair.records().halves[B].add_leaked([str(pair.halves[B].current.fingerprint)])
    with pytest.raises(HalfNotActivated, match="leaked"):
        activation(pair, plan).run()
    assert pair.patches == []


def test_it_waits_for_a_refresh_that_may_be_late(pair: FakePair, plan: RotationPlan) -> None:
    """If it takes effect meanwhile, the half is left paused."""
    until = pair.now().timestamp() + 300
    rotated = RotationOutcome(
        plan,
        "found_after_lost_answer",
        str(pair.halves[B].current.fingerprint),
        waits_until=pair.now().fromtimestamp(until, tz=pair.now().tzinfo).isoformat(),
    )
    pair.clock.at(200, lambda: pair.halves[B].rotated())
    with pytest.raises(StoresDisagree):
        activation(pair, plan, rotated=rotated).run()
    assert pair.now().timestamp() >= until
    assert pair.patches == []


@pytest.mark.parametrize("hours", [-9, 9])
def test_it_waits_by_featurebases_clock_however_wrong_the_workers_is(
    pair: FakePair, plan: RotationPlan, hours: int
) -> None:
    """The server's time is not known before its first response."""
    reads, began = [], pair.now()
    until = began + timedelta(seconds=300)
    rotated = RotationOutcome(
        plan, "already_done", str(pair.halves[B].current.fingerprint), waits_until=until.isoformat()
    )
    read = pair.get_webhook

    def now() -> datetime:
        return pair.now() if reads else pair.now() + timedelta(hours=hours)

    def get_webhook(webhook_id: str) -> Webhook:
        reads.append(webhook_id)
        return read(webhook_id)

    pair.get_webhook = get_webhook  # type: ignore[method-assign]
    activation(pair, plan, rotated=rotated, now=now).run()
    assert until <= pair.now() < until + timedelta(seconds=60)
    assert pair.patches == [(B, "active")]
