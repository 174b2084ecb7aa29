"""The steps of a cut-over, with what people, Featurebase and the records do at each point of them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.rotation.cut_over import Step, watch_of
from featurebase_provider.rotation.cut_over_steps import CutOverSteps
from featurebase_provider.rotation.errors import (
    CutOverStopped,
    CutOverUnread,
    MemoryUnknown,
    StoresLeftOver,
    StoreUnreachable,
)
from featurebase_provider.rotation.moves import Moves
from featurebase_provider.rotation.plan import RotationPlan
from tests.world.fake_pair import PREVIOUS_FOR, FakePair
from tests.world.fakes import failing
from tests.world.pair_states import A, B


class Cut:
    """A cut-over that has begun: both halves deliver."""

    def __init__(self) -> None:
        self.pair = FakePair()
        self.plan: RotationPlan = self.pair.plan(mode="revert")
        self.proven = {half: str(api.current.fingerprint) for half, api in self.pair.halves.items()}
        self.pair.record("activated", self.plan, B)
        self.pair.set(B, "active")
        self.leaked: frozenset[str] = frozenset()
        self.said: list[str] = []

    def steps(self) -> CutOverSteps:
        """A try of the task."""
        pair, records = self.pair, self.pair.records()
        watch = watch_of(
            self.plan,
            records.moves,
            self.proven,
            now=pair.now(),
            first_delivery=timedelta(minutes=5),
            pending=timedelta(hours=1),
            watched={},
        )
        source = records.source(pair, self.plan, PREVIOUS_FOR, now=pair.now, may_miss=True)
        rule = records.rule(self.plan)
        return CutOverSteps(
            pair,
            self.plan,
            records.memory,
            source,
            rule,
            watch,
            lambda: self.leaked,
            pair.now,
            self.said.append,
            pair.clock,
        )

    def run(self, *, reads: int = 20) -> dict[str, object]:
        """A try: look and take steps until it ends."""
        steps = self.steps()
        for _ in range(reads):
            step = steps.look()
            if step.kind == "wait":
                self.pair.clock.sleep(400)
                continue
            delivered = "active" in self.pair.statuses
            result = steps.take(step, [self.pair.store])
            assert not delivered or "active" in self.pair.statuses, "never is none active by our doing"
            if result is not None:
                return result
        raise AssertionError("it does not end")

    @property
    def moves(self) -> Moves:
        return self.pair.records().moves


@pytest.fixture
def cut() -> Cut:
    return Cut()


def test_the_old_half_is_paused_after_the_first_delivery(cut: Cut) -> None:
    cut.pair.delivered(B)
    result = cut.run()
    assert cut.pair.statuses == ("paused", "active")
    assert cut.moves.paused is not None
    assert (cut.moves.paused.webhook_id, cut.moves.paused.done) == (A, True)
    assert result["paused_at"] == cut.moves.paused.at
    assert cut.pair.store.writes == [], "the stores stay as they are"


def test_what_another_run_finishes_waits_for_retries_that_failed_before_it(cut: Cut) -> None:
    """The first run saw them, and failed; a retry of Featurebase comes after an hour."""
    cut.pair.delivered(A, 500, failures=1)
    cut.pair.delivered(B)
    begun = cut.pair.now()
    cut.pair.clock.sleep(60)
    cut.plan = cut.pair.plan(mode="distribute")
    assert "may be lost" in str(cut.run()["detail"])
    assert cut.pair.now() - begun > timedelta(minutes=55)


def test_a_cut_over_that_a_person_finished_is_over(cut: Cut) -> None:
    """If that person sets the half active again weeks later, no run takes it for an unfinished one and pauses it."""
    cut.pair.set(A, "paused")
    for _ in range(2):
        result = cut.run()
        assert (result["moved"], result["paused_at"], cut.moves.open) == (True, None, None)
        assert cut.moves.paused_by(cut.plan, A) is None, "so this run never sets it active again"


def test_records_that_fail_do_not_keep_a_finished_cut_over_from_ending(cut: Cut) -> None:
    steps = cut.steps()
    cut.pair.kept.problem = MemoryUnknown(A, "v", "can't be read")
    assert steps.take(Step("done"), [cut.pair.store]) is not None
    assert "a later run may go on with this cut-over" in cut.said[-1]


@pytest.mark.parametrize("fault", ["lost_after", "lost_before"])
def test_an_answer_that_is_lost_is_found_out(cut: Cut, fault: str) -> None:
    cut.pair.delivered(B)
    cut.pair.patch_script.append(fault)  # type: ignore[arg-type]
    if fault == "lost_before":
        with pytest.raises(CutOverUnread, match="shows webhook .* as 'active' after it was set paused"):
            cut.run()
        assert cut.moves.paused is not None
        assert not cut.moves.paused.done
    cut.run()
    assert cut.pair.statuses == ("paused", "active")


def test_nothing_is_paused_unless_it_is_recorded_first(cut: Cut) -> None:
    cut.pair.delivered(B)
    steps = cut.steps()
    cut.pair.kept.problem = MemoryUnknown(A, "v", "can't be read")
    with pytest.raises(MemoryUnknown):
        steps.take(Step("pause_old"), [cut.pair.store])
    assert cut.pair.patches == []


def test_the_old_half_comes_back_if_the_new_one_stops_in_that_moment(cut: Cut) -> None:
    cut.pair.delivered(B)
    cut.pair.on_patch = lambda half, status: cut.pair.set(B, "suspended") if (half, status) == (A, "paused") else None
    with pytest.raises(CutOverStopped, match="was set active again"):
        cut.run()
    assert cut.pair.statuses == ("active", "suspended")


def test_a_try_after_a_crash_brings_back_what_this_run_paused(cut: Cut) -> None:
    cut.pair.record("paused", cut.plan, A, done=False)
    cut.pair.set(A, "paused")
    cut.pair.set(B, "suspended")
    with pytest.raises(CutOverStopped, match="That one was set active again"):
        cut.run()
    assert cut.pair.statuses == ("active", "suspended")


def test_a_half_whose_secret_the_stores_have_forgotten_stays_paused(cut: Cut) -> None:
    """Long after the cut-over a person pauses the new half, and somebody clears the task."""
    cut.pair.delivered(B)
    cut.run()
    cut.pair.clock.sleep(2 * PREVIOUS_FOR.total_seconds())
    cut.pair.store.value, cut.pair.store.previous = cut.pair.halves[B].secret, None
    cut.pair.set(B, "paused")
    with pytest.raises(CutOverStopped, match="no webhook is set active, and nothing is delivered"):
        cut.run()
    assert cut.pair.statuses == ("paused", "paused")


def test_a_half_is_not_set_active_before_the_stores_hold_its_secret(cut: Cut) -> None:
    cut.pair.record("paused", cut.plan, A)
    cut.pair.set(A, "paused")
    cut.pair.refresh(A)
    cut.pair.set(B, "paused")
    held: list[bool] = []
    cut.pair.on_patch = lambda half, status: held.append(cut.pair.secret(A) in cut.pair.held)
    with pytest.raises(CutOverStopped):
        cut.run()
    assert held == [True]
    assert cut.pair.statuses == ("active", "paused")


@pytest.mark.parametrize("has_paused_new", [False, True])
def test_a_half_that_a_person_paused_stays_so(cut: Cut, has_paused_new: bool) -> None:
    """That this run paused the other half says nothing of this one."""
    if has_paused_new:
        cut.pair.record("paused", cut.plan, B)
    cut.pair.set(A, "paused")
    cut.pair.set(B, "paused")
    with pytest.raises(CutOverStopped):
        cut.run()
    assert cut.pair.statuses == ("paused", "paused")
    assert cut.pair.patches == []


def test_no_claim_without_the_records(cut: Cut) -> None:
    """While they can't be read, it is unknown who paused the halves."""
    cut.pair.set(A, "paused")
    cut.pair.set(B, "paused")
    steps = cut.steps()
    step = steps.look()
    assert step.kind == "stopped"
    cut.pair.kept.problem = MemoryUnknown(A, "v", "can't be read")
    with pytest.raises(MemoryUnknown):
        steps.take(step, [])


def test_a_failing_new_half_is_paused(cut: Cut) -> None:
    for failures in (1, 2, 3):
        cut.pair.delivered(B, 401, failures=failures)
    with pytest.raises(CutOverStopped, match="deliveries of webhook .* fail"):
        cut.run()
    assert cut.pair.statuses == ("active", "paused")
    assert cut.moves.paused is not None
    assert (cut.moves.paused.webhook_id, cut.moves.paused.done) == (B, True)
    assert cut.moves.open is None


def test_both_stay_if_the_old_half_is_paused_in_that_moment(cut: Cut) -> None:
    cut.pair.delivered(B, 401, failures=3)
    cut.pair.on_patch = lambda half, status: cut.pair.set(A, "paused") if (half, status) == (B, "paused") else None
    with pytest.raises(CutOverUnread, match="was set active again"):
        cut.run()
    assert cut.pair.statuses == ("paused", "active")


def test_records_that_fail_do_not_keep_a_failing_half_active(cut: Cut) -> None:
    steps = cut.steps()
    cut.pair.kept.problem = MemoryUnknown(A, "v", "can't be read")
    with pytest.raises(CutOverStopped):
        steps.take(Step("pause_new", "they fail"), [])
    assert cut.pair.statuses == ("active", "paused")


def test_a_try_after_a_crash_knows_that_this_run_paused_the_new_half(cut: Cut) -> None:
    cut.pair.delivered(B, 401, failures=3)

    def die(half: str, status: str) -> None:
        raise KeyboardInterrupt

    cut.pair.on_patch = die
    with pytest.raises(KeyboardInterrupt):
        cut.steps().take(Step("pause_new", "they fail"), [])
    cut.pair.on_patch = lambda half, status: None
    with pytest.raises(CutOverStopped, match="this run paused it, or was about to") as stopped:
        cut.run()
    assert cut.pair.statuses == ("active", "paused")
    assert str(stopped.value).endswith("Remove the cause, then trigger a new run")
    assert "person" not in "".join([*cut.said, str(stopped.value)]), "nobody intervened"


def test_a_changed_old_half_is_pushed_first(cut: Cut) -> None:
    cut.pair.refresh(A)
    cut.pair.delivered(B)
    cut.run()
    assert cut.pair.held == (cut.pair.secret(A), cut.pair.secret(B))
    assert cut.pair.statuses == ("paused", "active")


def test_nothing_is_paused_while_a_store_lacks_the_changed_secret(cut: Cut) -> None:
    cut.pair.refresh(A)
    cut.pair.delivered(B)
    cut.pair.store.write_script.append(failing(StoreUnreachable("memory", "no answer", "A retry")))
    with pytest.raises(StoresLeftOver, match="no answer"):
        cut.run()
    assert cut.pair.statuses == ("active", "active")
    cut.run()
    assert cut.pair.statuses == ("paused", "active")


def test_a_changed_new_half_is_paused(cut: Cut) -> None:
    cut.pair.refresh(B)
    with pytest.raises(CutOverStopped, match="was refreshed by somebody else"):
        cut.run()
    assert cut.pair.statuses == ("active", "paused")


def test_both_changed_are_published_and_the_one_not_proven_is_paused(cut: Cut) -> None:
    cut.pair.refresh(A)
    cut.pair.refresh(B)
    with pytest.raises(CutOverStopped):
        cut.run()
    assert cut.pair.statuses == ("active", "paused")
    assert cut.pair.secret(A) in cut.pair.held


def test_a_changed_new_half_that_delivers_alone_is_pushed(cut: Cut) -> None:
    cut.pair.set(A, "paused")
    cut.pair.refresh(B)
    result = cut.run()
    assert cut.pair.secret(B) in cut.pair.held
    assert result["paused_at"] is None, "a person paused it"


@pytest.mark.parametrize("half", [A, B])
def test_a_half_that_was_deleted(cut: Cut, half: str) -> None:
    cut.pair.gone.add(half)
    if half == A:
        assert cut.run()["moved"]
    else:
        with pytest.raises(CutOverStopped, match="no longer exists"):
            cut.run()
    assert cut.pair.patches == []


def test_a_stale_read_decides_nothing(cut: Cut) -> None:
    cut.pair.delivered(B)
    steps = cut.steps()
    steps.look()
    before = cut.pair.halves[B].history[1]
    cut.pair.halves[B].read_script.extend([before] * 2)
    assert steps.look().kind in ("wait", "pause_old")
    assert cut.pair.patches == []


def test_a_leaked_secret_takes_no_deliveries(cut: Cut) -> None:
    cut.pair.delivered(B)
    cut.leaked = frozenset({cut.proven[B]})
    with pytest.raises(CutOverStopped, match="leaked"):
        cut.run()
    assert cut.pair.statuses == ("active", "paused")


def test_the_trigger_knows_that_deliveries_fail(cut: Cut) -> None:
    """It has watched for longer; but what has recovered since is believed."""
    cut.pair.delivered(B, 401, failures=1)
    assert cut.steps().look(seen="pause_new").kind == "pause_new"
    cut.pair.delivered(A, 500, failures=1)
    cut.pair.delivered(B)
    assert cut.steps().look(seen="pause_new").kind == "wait", "the old half's retries are waited for"


def test_a_refusal_of_featurebase_ends_the_try(cut: Cut) -> None:
    cut.pair.delivered(B)
    cut.pair.gone.clear()
    cut.pair.patch_script.append(ApiError("PATCH", f"/v2/webhooks/{A}", 403))
    with pytest.raises(ApiError, match=re.escape("403")):
        cut.run()
    assert cut.pair.statuses == ("active", "active")
