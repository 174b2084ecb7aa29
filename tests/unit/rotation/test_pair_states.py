"""What must hold in every state of a pair, judged from the state alone, without the rules' own functions."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.rotation.moves import Moves
from featurebase_provider.rotation.pair import Roles
from tests.world import cut_over_states, pair_states_page
from tests.world.cut_over_states import CutOverState
from tests.world.pair_states import (
    COUNT,
    FOREIGN,
    LEAKED,
    MODES,
    NOTHING,
    RECORDS,
    STATUSES,
    A,
    Answer,
    B,
    Planned,
    Records,
    State,
    all_slots,
    names_of,
    plan_of,
    planned_states,
    wanted_by,
)

if TYPE_CHECKING:
    from featurebase_provider.rotation.modes import Mode

SECRETS = {A: "A's", B: "B's"}
MOVED_LONG_AGO = ("A paused 9 hours ago", "A forgotten 9 hours ago")
"""More than ``previous_for``."""


def statuses(state: State) -> dict[str, str]:
    return {A: state.a, B: state.b}


def active(state: State) -> list[str]:
    return [half for half, status in statuses(state).items() if status == "active"]


def leaked_names(state: State) -> set[str]:
    return {"a leaked one", state.leaked}


def delivered_lately(half: str, records: Records) -> bool:
    """Whether retries of what the half delivered may be under way."""
    hours = records.a_delivered if half == A else records.b_delivered
    return hours is not None and hours < 8


def test_the_page_is_up_to_date() -> None:
    assert pair_states_page.PAGE.read_text(encoding="utf-8") == pair_states_page.page(), "see make pair-states"


def test_every_state_is_judged() -> None:
    assert len(list(planned_states())) * len(list(all_slots())) == COUNT == 43_200
    assert len(list(cut_over_states.all_states())) == cut_over_states.COUNT == 3_072


@pytest.mark.parametrize(("mode", "a", "b", "records"), list(product(MODES, STATUSES, STATUSES, RECORDS)))
@pytest.mark.parametrize("leaked", LEAKED)
def test_what_a_store_holds_next(mode: Mode, a: str, b: str, records: str, leaked: str) -> None:
    planned = Planned(State(mode, a, b, records, leaked))
    judge_roles(planned.state, planned.roles)
    for slots in all_slots():
        state = replace(planned.state, current=slots[0], previous=slots[1])
        answer = planned.answer(*slots)
        if answer.refused:
            assert answer.slots == slots
        else:
            judge_store(state, answer)


def judge_roles(state: State, chosen: Roles | str) -> None:
    """No half is refreshed that anybody depends on, and none set active that can't be or must not."""
    if isinstance(chosen, str):
        may_always = state.mode in ("distribute", "emergency") and (state.a, state.b) != ("gone", "gone")
        assert not may_always, "the stores can be brought up to date in every state"
        return
    shown = statuses(state)
    if chosen.refreshes is not None:
        other = B if chosen.refreshes == A else A
        assert (shown[chosen.refreshes], shown[other]) == ("paused", "active")
        assert not delivered_lately(chosen.refreshes, RECORDS[state.records])
        assert (chosen.was_live, chosen.moves_to) == (other, chosen.refreshes)
    if chosen.moves_to != chosen.was_live and state.mode != "emergency":
        assert shown[chosen.was_live] == "active", "deliveries move away from where they are"
        assert shown[chosen.moves_to] in ("active", "paused")
        if state.mode == "revert":
            assert SECRETS[chosen.moves_to] != state.leaked
            assert delivered_lately(chosen.moves_to, RECORDS[state.records]) or shown[chosen.moves_to] == "active"
    if state.mode == "distribute" and chosen.moves_to != chosen.was_live:
        assert active(state) == [A, B], "it only finishes what has begun: it sets no webhook active"


def judge_store(state: State, answer: Answer) -> None:
    """The store is written."""
    before, after = state.slots, answer.slots
    halves = {SECRETS[half] for half, status in statuses(state).items() if status != "gone"}
    live = active(state)
    # In an emergency a leaked secret is not published, even if the half that signs with it could not be refreshed yet.
    spared = leaked_names(state) - set(before) if state.mode == "emergency" else set()
    needed = {SECRETS[half] for half in live} - spared
    assert needed <= set(after), "the stores hold the secret of every active half"
    assert set(after) <= halves | {NOTHING}, "and of no webhook that is not one of the two"
    assert FOREIGN not in before, "what is not ours is never overwritten"
    for was, now in zip(before, after, strict=True):
        assert now == was or now not in leaked_names(state), "a leaked secret is never written"
    if len(live) == 1 and before[0] == SECRETS[live[0]]:
        assert after[0] == before[0], "nothing touches the live half's secret where it is current"
    if state.mode != "emergency" and len(live) == 1:
        standby = B if live == [A] else A
        may_need = delivered_lately(standby, RECORDS[state.records]) and SECRETS[standby] in halves
        if may_need and SECRETS[standby] not in leaked_names(state):
            assert SECRETS[standby] in after, "receivers need it while retries may come"
    judge_readers(before, after)
    if state.mode == "rotate" and answer.may_refresh:
        assert before[0] == SECRETS[live[0]]


def judge_readers(before: tuple[str, str], after: tuple[str, str]) -> None:
    """A reader of one slot after the other sees what it needs, though the write comes in between."""
    stays = set(before) & set(after) - {NOTHING}
    assert stays <= {before[0], after[1]}, "current, then previous"
    assert stays <= {before[1], after[0]}, "previous, then current"


@pytest.mark.parametrize(("mode", "a", "b", "records"), list(product(MODES, STATUSES, STATUSES, RECORDS)))
def test_a_plan_that_a_person_overtook(mode: Mode, a: str, b: str, records: str) -> None:
    """Whatever a run planned: what its tasks write follows from what Featurebase shows now."""
    state = State(mode, a, b, records)
    for was_live, moves_to in product((A, B), (A, B)):
        if statuses(state)[moves_to] != "gone":
            judge_tasks_of(state, Roles(was_live, moves_to))


def judge_tasks_of(state: State, planned: Roles) -> None:
    wanted = wanted_by(plan_of(state, planned), state)
    for current, previous in all_slots():
        if FOREIGN in (current, previous):
            continue
        held = replace(state, current=current, previous=previous)
        wanted.check("a store", held.held, held.rule)
        written = wanted.pair_for(held.held, held.rule)
        judge_store(held, Answer(held.slots if written is None else names_of(written)))


@pytest.mark.parametrize("slots", list(all_slots()))
@pytest.mark.parametrize("records", MOVED_LONG_AGO)
def test_stores_forget_the_old_half_in_the_end(slots: tuple[str, str], records: str) -> None:
    """Two runs, and more than ``previous_for`` between them."""
    if FOREIGN in slots:
        return
    first = Planned(State("distribute", "paused", "active", "A paused 9 hours ago")).answer(*slots)
    assert first.slots[0] == "B's"
    assert first.slots[1] in ("B's", NOTHING)
    again = Planned(State("distribute", "paused", "active", "A paused 9 hours ago")).answer(*first.slots)
    assert again.slots == first.slots, "not at once: a reader of the second slot may have been about to find it there"
    last = Planned(State("distribute", "paused", "active", "A forgotten 9 hours ago")).answer(*first.slots)
    assert last.slots == ("B's", NOTHING)


@pytest.mark.parametrize(
    ("a", "a_secret", "by_us", "b"),
    list(product(STATUSES, cut_over_states.SECRETS, cut_over_states.PAUSED_BY, STATUSES)),
)
def test_the_steps_of_a_cut_over(a: str, a_secret: str, by_us: str, b: str) -> None:
    values = cut_over_states
    for rest in product(values.SECRETS, values.DELIVERIES, values.OLD_FAILED, values.TIMES):
        judge_step(CutOverState(a, a_secret, by_us, b, *rest))


def judge_step(state: CutOverState) -> None:
    step = state.step
    both = state.a == state.b == "active"
    proven = state.b_secret == "as probed"
    if step in ("pause_old", "pause_new"):
        assert both, "never is none active by our doing"
        assert state.a_secret == "as probed", "the stores need a changed secret first"
    if step == "pause_old":
        assert proven
        assert state.b_delivers == "accepted" or (state.time != "in first_delivery" and state.b_delivers == "none")
        assert state.a_failed == "no" or state.time == "after both"
    if step == "pause_new":
        assert not proven or "failed" in state.b_delivers
    if step == "restore_old":
        assert (state.a, state.by_us) == ("paused", "yes"), "a half that a person paused stays so"
        assert state.b != "active"
        assert state.a_secret == "as probed"
    if step == "done":
        assert state.b == "active"
        assert state.a != "active"
        assert proven
    if step == "wait":
        assert both
        assert state.time != "after both", "it ends"
    if step == "push":
        assert "changed" in (state.a_secret, state.b_secret)
    changed = [half for half, which in ((state.a, state.a_secret), (state.b, state.b_secret)) if which == "changed"]
    if "active" in changed:
        assert step in ("push", "pause_new"), "nothing waits while an active half's secret is in no store"


def test_a_cut_over_that_is_over_is_not_open() -> None:
    assert Moves().open is None
    assert [name for name, records in RECORDS.items() if records.moves.open is not None] == [
        "B set active 1 minute ago"
    ]
