from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.check import StoreCheck, check_stores
from featurebase_provider.rotation.errors import StoreForeignValue, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import ArmedStore, StoredValue, StoreMark, Writability, tell
from tests.world.fakes import WEBHOOK_ID, ArmedMemory, MemoryStore, a_rule, failing, fingerprint, secret

CURRENT, OLD, THEIRS = secret("current"), secret("old"), secret("theirs")
RULE = a_rule(known=frozenset({OLD.fingerprint}))


class StoreWithProof(MemoryStore):
    """Its proof of writability is what ``proof`` says."""

    proof: Any = staticmethod(lambda: Writability(False, "nobody can prove that"))

    def arm(self) -> ArmedStore:
        armed = ArmedMemory(self)
        armed.prove_writable = self.proof  # type: ignore[method-assign]
        return armed


def check(*stores: MemoryStore, current: str | None = CURRENT.fingerprint) -> tuple[StoreCheck, ...]:
    return check_stores(stores, RULE, current=current)


def check_one(store: MemoryStore, current: str | None = CURRENT.fingerprint) -> StoreCheck:
    (row,) = check(store, current=current)
    return row


@pytest.mark.parametrize(
    ("facts", "holding"),
    [
        ({"value": CURRENT}, "matches"),
        ({"value": SigningSecret(f"{CURRENT.reveal()}\n")}, "padded"),
        ({"value": CURRENT, "finished": False}, "unfinished"),
        ({"value": OLD}, "differs"),
        ({"value": THEIRS, "adopt": True}, "differs"),
        ({"value": THEIRS, "mark": StoreMark(WEBHOOK_ID, THEIRS.fingerprint, "here")}, "differs"),
        ({"value": None}, "absent"),
        ({"readable": False, "adopt": True}, "not_readable"),
    ],
)
def test_what_a_store_holds_is_named(facts: dict[str, Any], holding: str) -> None:
    row = check_one(MemoryStore(**facts))
    value = facts.get("value")
    assert (row.holding, row.fingerprint) == (holding, value.fingerprint if value else None)
    assert row.writability == Writability(True, "it is memory")
    assert row.problem is None
    assert row.ours is (value == OLD or "mark" in facts), "known from earlier runs, or by its mark"


def test_a_value_of_somebody_else_is_a_problem_and_no_proof_is_asked_for() -> None:
    row = check_one(StoreWithProof(value=THEIRS))
    assert (row.holding, row.fingerprint, row.writability) == ("foreign", THEIRS.fingerprint, None)
    assert isinstance(row.problem, StoreForeignValue)
    assert str(row.problem).startswith("store memory (memory://memory): ")


def test_whose_value_an_unreadable_store_holds_needs_a_word_in_the_configuration() -> None:
    row = check_one(MemoryStore(readable=False))
    assert row.holding == "not_readable"
    assert isinstance(row.problem, StoreForeignValue)


def test_a_failed_proof_is_a_problem() -> None:
    store = StoreWithProof(value=CURRENT)
    store.proof = failing(StoreRefused("memory", "read-only"))
    row = check_one(store)
    assert (row.holding, row.writability) == ("matches", None)
    assert isinstance(row.problem, StoreRefused)


def test_a_store_without_means_to_prove_it_is_no_problem() -> None:
    row = check_one(StoreWithProof(value=CURRENT))
    assert row.writability == Writability(False, "nobody can prove that")
    assert row.problem is None


def test_rows_come_in_the_order_given_and_a_failing_store_costs_no_other() -> None:
    stores = [
        MemoryStore("a", arm_error=StoreUnusable("a", "no client")),
        MemoryStore("b", value=CURRENT),
        MemoryStore("c", value=CURRENT),
        MemoryStore("d", value=THEIRS),
    ]
    stores[2].read_script.append(failing(StoreUnreachable("c", "down")))
    rows = check(*stores)
    assert [(row.label, row.holding, type(row.problem)) for row in rows] == [
        ("a", "unknown", StoreUnusable),
        ("b", "matches", type(None)),
        ("c", "unknown", StoreUnreachable),
        ("d", "foreign", StoreForeignValue),
    ]
    assert rows[0].name == "a (memory://a)"


def test_a_hanging_proof_costs_only_its_store() -> None:
    never = threading.Event()
    hanging = StoreWithProof("a", value=CURRENT, timeout=0.05)
    hanging.proof = lambda: never.wait(10)
    rows = check(hanging, MemoryStore("b", value=CURRENT))
    never.set()
    assert [type(row.problem) for row in rows] == [StoreUnreachable, type(None)]


@pytest.mark.parametrize(("value", "holding"), [(THEIRS, "not_compared"), (None, "absent")])
def test_without_featurebases_secret_nothing_is_judged(value: Any, holding: str) -> None:
    """Whether it can be written is told all the same."""
    row = check_one(MemoryStore(value=value), current=None)
    assert (row.holding, row.problem) == (holding, None)
    assert row.writability is not None


def test_a_check_changes_nothing_and_gives_connections_back() -> None:
    stores = [MemoryStore("a", value=OLD, previous=secret("older")), MemoryStore("b")]
    check(*stores)
    assert [(store.value, store.version, store.writes, store.closed) for store in stores] == [
        (OLD, 0, [], 1),
        (None, 0, [], 1),
    ]
    assert stores[0].previous == secret("older")


def test_a_row_shows_no_secret() -> None:
    shown = repr(check(MemoryStore("a", value=OLD), MemoryStore("b", value=THEIRS)))
    assert "whsec_" not in shown
    assert fingerprint("theirs") in shown


def test_a_store_is_tried_in_the_name_of_its_webhook_with_a_value_like_its_secret() -> None:
    """A store may pick its place by the webhook's id, or have no room for it."""
    tried: list[ArmedStore] = []

    class Tried(MemoryStore):
        def arm(self) -> ArmedStore:
            tried.append(super().arm())
            return tried[-1]

    longest = SigningSecret(f"whsec_{'x' * 200}")
    check_stores([Tried(value=OLD)], RULE, current=CURRENT.fingerprint, secret=longest)
    (armed,) = tried
    assert len(armed.trial.reveal()) == len(longest.reveal())
    assert armed.trial_mark == StoreMark(WEBHOOK_ID, armed.trial.fingerprint, RULE.managed_from)
    assert armed.of_pair is False


def test_a_pairs_stores_are_told_that_they_keep_the_secrets_of_two_webhooks() -> None:
    store = MemoryStore(value=OLD)
    armed = store.arm()
    store.arm = lambda: armed  # type: ignore[method-assign]
    check_stores([store], replace(RULE, halves=frozenset({WEBHOOK_ID, "f" * 24})), current=CURRENT.fingerprint)
    assert armed.of_pair is True


class ArmedWithout(ArmedStore):
    """A store of an earlier time: it knows nothing of trials, and does not call the constructor."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name

    def read(self) -> StoredValue:
        return StoredValue(CURRENT)

    def write(self, pair: object, *, held: object, mark: object) -> None: ...

    def prove_writable(self) -> Writability:
        return Writability(True, "in its own way")


class WithItsOwnTrial(ArmedWithout):
    """It has the name already, for something else."""

    def trial(self) -> bool:  # type: ignore[override]
        return True

    def prove_writable(self) -> Writability:
        return Writability(self.trial(), "in its own way")


class WithAProperty(ArmedWithout):
    @property
    def trial(self) -> str:  # type: ignore[override]
        return "theirs"


class WithAnAttribute(ArmedWithout):
    def __init__(self) -> None:
        super().__init__()
        self.trial = 3  # type: ignore[assignment]

    def prove_writable(self) -> Writability:
        assert self.trial == 3
        return super().prove_writable()


@dataclass(frozen=True)
class Frozen(ArmedWithout):
    name: str = "memory"


@pytest.mark.parametrize("kind", [ArmedWithout, WithItsOwnTrial, WithAProperty, WithAnAttribute, Frozen])
def test_a_plug_ins_store_that_has_no_room_for_a_trial_is_tried_in_its_own_way(kind: type[ArmedStore]) -> None:
    store = MemoryStore(value=CURRENT)
    store.arm = kind  # type: ignore[method-assign]
    assert check_one(store).writability == Writability(True, "in its own way")


def test_what_a_store_can_not_be_told_it_does_without() -> None:
    class Impatient(ArmedWithout):
        patience = property(lambda self: "theirs")  # type: ignore[assignment]

    for armed in (Impatient(), Frozen()):
        tell(armed, patience=1.0)
    told = ArmedWithout()
    tell(told, patience=1.0)
    assert (Impatient().patience, Frozen().patience, told.patience) == ("theirs", 0.0, 1.0)
