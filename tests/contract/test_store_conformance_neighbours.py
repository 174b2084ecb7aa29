"""Two of our entries in one place: each keeps its own key, and neither loses what the other wrote."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.all_stores import arming, rule_for
from featurebase_provider.rotation.distribute import Looks, distribute
from featurebase_provider.rotation.errors import StoreError
from featurebase_provider.rotation.one_store import WriteRule
from tests.contract.store_case import HELD, HELD_PREVIOUS, StoreCase, not_applicable, ready
from tests.world.converge import converge

if TYPE_CHECKING:
    from featurebase_provider.stores.base import StoreConfig

WEBHOOK_ID = "507f1f77bcf86cd799439011"
ROUNDS = 4


def rule(*known: str) -> WriteRule:
    return WriteRule(WEBHOOK_ID, "https://airflow.example", frozenset(fingerprint_of(value) for value in known))


@pytest.fixture
def neighbours(case: StoreCase) -> tuple[StoreConfig, StoreConfig]:
    """Two entries: one where the current secret lies, one where the case keeps the previous one."""
    other = case.previous_as_current
    if other is None or not case.reads_back:
        not_applicable("its place holds one value")
    no_previous: dict[str, Any] = {name: None for name, value in other.items() if value is None}
    case.put(HELD, HELD_PREVIOUS)
    return case.config(**no_previous, label="one"), case.config(**other, label="two")


def test_entries_of_one_webhook_are_all_written(case: StoreCase, neighbours: tuple[StoreConfig, StoreConfig]) -> None:
    """Whether or not the store notices that its neighbour was written since it was read, or looked at."""
    before = case.seen()
    known = [HELD, HELD_PREVIOUS]
    for number in range(ROUNDS):
        value = f"whsec_number_{number}_0123456789abcdef"
        with arming(neighbours) as armed:
            outcomes = distribute(armed, SigningSecret(value), rule(*known), since=None, looks=Looks(armed))
        assert [outcome.problem for outcome in outcomes.values()] == [None, None]
        after = case.seen()
        assert before is not None
        assert after is not None
        assert (after.current, after.previous, after.others) == (value, value, before.others)
        known.append(value)


def test_two_webhooks_that_rotate_at_once_lose_nothing(
    case: StoreCase, neighbours: tuple[StoreConfig, StoreConfig]
) -> None:
    """They run in processes of their own, so only the store or a lock can keep them apart."""
    if not case.is_conditional:
        not_applicable("nothing tells two writes in the same instant apart")
    if any(config.arm().main_thread_only for config in neighbours):
        not_applicable("it is written on a task's main thread, of which a process has one")
    together = threading.Barrier(len(neighbours))
    lost: list[str] = []
    failed: list[Exception] = []

    def rotate_again_and_again(config: StoreConfig, held: str) -> None:
        armed = ready(config)
        known = [held]
        try:
            for number in range(ROUNDS):
                together.wait(60)
                before = armed.read()
                if before.current != SigningSecret(known[-1]):
                    lost.append(f"{config.label}: {number}")
                value = f"whsec_{config.label}_{number}_0123456789abcdef"
                converge(armed, SigningSecret(value), rule_for(config, rule(*known)), held=before)
                known.append(value)
        except (StoreError, threading.BrokenBarrierError) as error:
            failed.append(error)
            together.abort()
        finally:
            armed.close()

    threads = [
        threading.Thread(target=rotate_again_and_again, args=args)
        for args in zip(neighbours, (HELD, HELD_PREVIOUS), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert not lost
    seen = case.seen()
    assert seen is not None
    last = f"{ROUNDS - 1}_0123456789abcdef"
    assert (seen.current, seen.previous) == (f"whsec_one_{last}", f"whsec_two_{last}")
