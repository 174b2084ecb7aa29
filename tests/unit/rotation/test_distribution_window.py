"""How long receivers are without the new secret: as long as the slowest store takes, not all of them together."""

from __future__ import annotations

import threading
import time

from featurebase_provider.rotation.all_stores import StoreOutcome, arming
from featurebase_provider.rotation.distribute import distribute
from tests.world.fakes import MemoryStore, a_rule, secret

OLD, NEW = secret("0"), secret("1")
RULE = a_rule(known=frozenset({OLD.fingerprint}))
STORES, SLOW_S = 12, 0.08


def slow_store(number: int, seconds: float = SLOW_S) -> MemoryStore:
    """A store that takes its time for each write, as one behind a network does."""
    return MemoryStore(f"store_{number}", value=OLD, on_write=lambda store, pair: time.sleep(seconds))


def pushed(stores: list[MemoryStore]) -> tuple[dict[str, StoreOutcome], float]:
    """What became of each store, and the seconds until all of them were done or given up."""
    with arming(stores) as ready:
        since = time.monotonic()
        outcomes = distribute(ready, NEW, RULE, since=since)
        return outcomes, time.monotonic() - since


def test_the_window_is_the_slowest_store_not_the_sum() -> None:
    """Judged by ratios, so that a busy machine does not matter."""
    stores = [slow_store(number) for number in range(STORES)]
    outcomes, window = pushed(stores)
    assert {outcome.result for outcome in outcomes.values()} == {"written"}
    assert SLOW_S <= window < 4 * SLOW_S
    assert window < STORES * SLOW_S / 2
    exposures = [outcome.readable_ms for outcome in outcomes.values()]
    assert all(exposure is not None and SLOW_S * 1000 <= exposure <= window * 1000 for exposure in exposures)


def test_a_slower_store_lengthens_no_others_exposure() -> None:
    """Eleven stores at 80 ms are done long before the one that takes ten times as long."""
    stores = [slow_store(number) for number in range(STORES - 1)] + [slow_store(99, 10 * SLOW_S)]
    outcomes, _ = pushed(stores)
    slowest = outcomes.pop("store_99").readable_ms
    assert slowest is not None
    assert slowest >= 10 * SLOW_S * 1000
    assert max(outcome.readable_ms or 0 for outcome in outcomes.values()) < slowest / 2


def test_a_hanging_store_delays_nobody() -> None:
    """The others' exposure stays about theirs; the hanging one is given up at its own timeout."""
    never = threading.Event()
    hanging = MemoryStore("hanging", value=OLD, timeout=0.8, on_write=lambda store, pair: never.wait(30) and None)
    outcomes, window = pushed([hanging, *(slow_store(number) for number in range(STORES - 1))])
    never.set()
    gave_up = outcomes.pop("hanging")
    assert (gave_up.result, gave_up.readable_ms) == ("failed", None)
    assert "no answer within 0.8 s" in (gave_up.problem or "")
    assert {outcome.result for outcome in outcomes.values()} == {"written"}
    assert max(outcome.readable_ms or 0 for outcome in outcomes.values()) < 4 * SLOW_S * 1000
    assert window >= 0.8
