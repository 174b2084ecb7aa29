"""Every state of a pair: the product of what Featurebase shows, what runs recorded, and what a store holds.

Half A delivered before the cut-over that the records tell of, half B after it. :func:`answer_in` asks the rules in
``rotation/`` what a run does in a state; docs/pair-states.md shows the answers, and tests judge them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from featurebase_provider.rotation.all_stores import ArmedStores
from featurebase_provider.rotation.errors import PlanRefused, RefreshRefused, SecretHasLeaked, StoreForeignValue
from featurebase_provider.rotation.moves import Move, Moves
from featurebase_provider.rotation.pair import Pair, Roles, check_in_time, roles
from featurebase_provider.rotation.pair_reading import PairReader, PairSource
from featurebase_provider.rotation.pair_rotate import check_live_first
from featurebase_provider.rotation.plan import HalfBaseline, PairBaseline
from featurebase_provider.rotation.store import StoredValue
from tests.world.fakes import START, Clock, FakeFeaturebase, MemoryStore, a_plan, a_rule, a_webhook, fingerprint, secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.modes import Mode
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import SecretPair
    from featurebase_provider.rotation.two_secrets import TwoSecrets

A, B = "a" * 24, "b" * 24
NOW = START
PREVIOUS_FOR = timedelta(hours=8)

GONE = "gone"
STATUSES = ("active", "paused", "suspended", GONE)
MODES: tuple[Mode, ...] = ("rotate", "dry_run", "distribute", "revert", "emergency")
LEAKED = ("none", "A's", "B's")
NOTHING, OLDER, FOREIGN = "nothing", "an older one", "a foreign one"
HELD = {NOTHING: None, "A's": "a", "B's": "b", OLDER: "older", "a leaked one": "leaked", FOREIGN: "foreign"}
"""What a slot may hold, and the secret's name."""


def _at(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def _move(webhook_id: str, hours: float) -> Move:
    return Move(webhook_id, _at(hours).isoformat())


@dataclass(frozen=True)
class Records:
    """What runs recorded, and when each half delivered last, in hours before now; None if it never did."""

    moves: Moves
    a_delivered: float | None
    b_delivered: float | None


RECORDS = {
    "no cut-over": Records(Moves(), 0.01, None),
    "B set active 1 minute ago": Records(Moves(activated=_move(B, 0.02)), 0.01, 0.01),
    "A paused 1 hour ago": Records(Moves(_move(B, 2), _move(A, 1)), 1, 0.01),
    "A paused 9 hours ago": Records(Moves(_move(B, 10), _move(A, 9)), 9, 0.01),
    "A forgotten 9 hours ago": Records(Moves(_move(B, 30), _move(A, 20), _move(B, 9)), 20, 0.01),
}
"""``previous_for`` is 8 hours."""


@dataclass(frozen=True)
class State:
    """One state.

    :param a: status of half A, or ``gone``; ``b`` of half B.
    :param records: a name in :data:`RECORDS`.
    :param leaked: whose current secret has leaked.
    :param current: a name in :data:`HELD`: what the store holds as ``current``, and ``previous`` beside it.
    """

    mode: Mode
    a: str
    b: str
    records: str
    leaked: str = "none"
    current: str = NOTHING
    previous: str = NOTHING

    @property
    def pair(self) -> Pair:
        """What Featurebase shows."""
        facts = RECORDS[self.records]
        shown = [
            a_webhook(
                f"whsec_{name}",
                id=webhook_id,
                status=status,
                updated_at=_at(24),
                last_status=None
                if delivered is None
                else {"code": 200, "message": "", "timestamp": _at(delivered).isoformat()},
            )
            for webhook_id, name, status, delivered in (
                (A, "a", self.a, facts.a_delivered),
                (B, "b", self.b, facts.b_delivered),
            )
            if status != GONE
        ]
        return Pair.of((A, B), shown)

    @property
    def moves(self) -> Moves:
        """What runs recorded."""
        return RECORDS[self.records].moves

    @property
    def leaked_now(self) -> frozenset[str]:
        """Fingerprints of all leaked secrets."""
        of_halves = {"A's": ["a"], "B's": ["b"]}.get(self.leaked, [])
        return frozenset(fingerprint(name) for name in ("leaked", *of_halves))

    @property
    def held(self) -> StoredValue:
        """What the store holds."""
        return StoredValue(_secret(self.current), _secret(self.previous))

    @property
    def slots(self) -> tuple[str, str]:
        """The same, by name."""
        return self.current, self.previous

    @property
    def rule(self) -> WriteRule:
        """The rules for writing the store."""
        known = frozenset(fingerprint(name) for name in ("a", "b", "older"))
        return a_rule(halves=frozenset({A, B}), known=known, leaked=self.leaked_now, keeps_previous=True)


def _secret(name: str) -> SigningSecret | None:
    held = HELD[name]
    return secret(held) if held is not None else None


@dataclass(frozen=True)
class Answer:
    """What the rules answer.

    :param roles: what each half does; None if the run is refused, or is an emergency's.
    :param refused: why the run, or this store's part in it, is refused; empty if it isn't.
    :param may_refresh: whether a run that refreshes would send the refresh, as far as this store is concerned.
    :param needed: whose secrets the store must hold, the one for an empty store's ``current`` first.
    :param may_empty: whether a slot that repeats the other one is emptied.
    :param slots: what the store holds afterwards, by name.
    """

    slots: tuple[str, str]
    roles: Roles | None = None
    refused: str = ""
    may_refresh: bool = False
    needed: tuple[str, ...] = ()
    may_empty: bool = False


@dataclass(frozen=True)
class Planned:
    """What the rules answer for a state, whatever the store holds."""

    state: State

    @cached_property
    def roles(self) -> Roles | str:
        """What each half does, or why the run is refused."""
        state, pair = self.state, self.state.pair
        if state.mode == "emergency":
            live = (pair.live or (pair.active or pair.webhooks or (a_webhook(id=A),))[0]).id
            return Roles(live, live) if pair.shown else "neither webhook of it exists any more"
        came_from = None if state.moves == Moves() else A
        try:
            chosen = roles(pair, state.mode, moves=state.moves, leaked=state.leaked_now, came_from=came_from)
            check_in_time(pair, state.mode, chosen, moves=state.moves, previous_for=PREVIOUS_FOR, now=NOW)
        except PlanRefused as exc:
            return exc.problem
        return chosen

    @cached_property
    def wanted(self) -> TwoSecrets:
        """What a store must hold; only if the run is not refused."""
        state, chosen = self.state, self.roles
        assert isinstance(chosen, Roles)
        return wanted_by(plan_of(state, chosen), state)

    def answer(self, current: str, previous: str) -> Answer:
        """What the rules answer for a store that holds this."""
        state = replace(self.state, current=current, previous=previous)
        chosen = self.roles
        if isinstance(chosen, str):
            return Answer(state.slots, refused=chosen)
        names = tuple(_half(half.webhook_id) for half in self.wanted.needed)
        answer = Answer(
            state.slots, chosen, may_refresh=may_refresh(state), needed=names, may_empty=self.wanted.may_empty
        )
        try:
            self.wanted.check("a store", state.held, state.rule)
        except StoreForeignValue:
            return replace(answer, refused="a foreign value")
        except SecretHasLeaked:
            return replace(answer, refused="a leaked secret would be written")
        written = self.wanted.pair_for(state.held, state.rule)
        return answer if written is None else replace(answer, slots=names_of(written))


def plan_of(state: State, chosen: Roles) -> RotationPlan:
    """The plan that preflight would make."""
    pair = state.pair
    about = pair.get(chosen.moves_to)
    assert about is not None
    baseline = PairBaseline(
        {half_id: HalfBaseline.of(webhook) for half_id, webhook in pair.shown.items()},
        chosen.was_live,
        chosen.refreshes if state.mode == "rotate" else None,
    )
    return a_plan(about, mode=state.mode, pair=baseline)


def wanted_by(plan: RotationPlan, state: State) -> TwoSecrets:
    """What a run with this plan would have a store hold in a state."""
    reader = PairReader(FakeFeaturebase(Clock()), (A, B), {})
    source = PairSource(reader, plan, state.moves, PREVIOUS_FOR, lambda: NOW, leaked=state.leaked_now)
    return source.wanted(state.pair)[1]


def may_refresh(state: State) -> bool:
    """Whether the refresh of a paused half may be sent, as far as this store is concerned."""
    store = MemoryStore(label="store")
    ready = ArmedStores({"store": store}, {"store": store.arm()}, {"store": state.held}, {})
    try:
        check_live_first(ready, state.pair, B)
    except RefreshRefused:
        return False
    return True


def _half(webhook_id: str) -> str:
    return {A: "A's", B: "B's"}[webhook_id]


def names_of(written: SecretPair) -> tuple[str, str]:
    """What a write leaves in the slots, by name."""
    return _name(written.current), _name(written.previous)


def _name(value: SigningSecret | None) -> str:
    return next(name for name in HELD if _secret(name) == value)


def planned_states() -> Iterator[Planned]:
    """Every state but for what the store holds."""
    for mode, a, b, records, leaked in product(MODES, STATUSES, STATUSES, RECORDS, LEAKED):
        yield Planned(State(mode, a, b, records, leaked))


def all_slots() -> Iterator[tuple[str, str]]:
    """All that a store may hold: ``current`` and ``previous``."""
    yield from product(HELD, HELD)


COUNT = len(MODES) * len(STATUSES) ** 2 * len(RECORDS) * len(LEAKED) * len(HELD) ** 2
