"""How long receivers are without the new secret when it goes to many stores: the slowest store's time, or all of them.

The stores are in memory and take 80 ms for each call, as one behind a network does. All else is what a rotation runs
between the refresh and the last store. Before the refresh all stores are logged in to, which takes 80 ms each as well;
that is measured apart.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import StoreUnreachable
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability

if TYPE_CHECKING:
    from collections.abc import Sequence

STORE_MS = 80.0
GIVE_UP_MS = 500.0
OLD, NEW = SigningSecret("whsec_benchmark_old"), SigningSecret("whsec_benchmark_new")
RULE = WriteRule("benchmark", "benchmark", known=frozenset({OLD.fingerprint}))


@dataclass(frozen=True)
class SlowStore:
    """A store that takes ``milliseconds`` for a write, and for its read-back, or for ever (None), and so for its login.

    :param logs_in_when: ``connecting``, as the stores of this package do; ``arming``, as a plug-in may.
    """

    label: str
    milliseconds: float | None
    login_milliseconds: float | None = 0.0
    logs_in_when: str = "connecting"
    type: str = "slow"
    adopt: bool = False
    timeout: float = GIVE_UP_MS / 1000
    keeps_previous: bool = False
    previous_target: None = None

    @property
    def target(self) -> str:
        """Where it is."""
        return f"slow:{self.label}"

    def arm(self) -> ArmedSlow:
        """Log in, if that is done here."""
        if self.logs_in_when == "arming":
            self.log_in()
        return ArmedSlow(self)

    def log_in(self) -> None:
        """Wait as long as a login takes; a dead one until its client gives up, as late as the rotation does."""
        milliseconds = self.login_milliseconds
        time.sleep(self.timeout if milliseconds is None else milliseconds / 1000)
        if milliseconds is None:
            raise StoreUnreachable(self.label, "no answer")


class ArmedSlow(ArmedStore):
    """Its value, and the time that everything takes."""

    def __init__(self, store: SlowStore) -> None:
        super().__init__(f"{store.label} ({store.target})")
        self._store = store
        self._held, self._milliseconds, self._armed = OLD, store.milliseconds, False

    def connect(self) -> None:
        """Log in, if that is done here."""
        if self._store.logs_in_when == "connecting":
            self._store.log_in()

    def prove_writable(self) -> Writability:
        """It is memory."""
        return Writability(True, "it is memory")

    def read(self) -> StoredValue:
        """The first read is the arming, before the moment that counts; the second one reads back."""
        if self._armed:
            self._take()
        self._armed = True
        return StoredValue(self._held)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Take the time, then hold it."""
        self._take()
        self._held = pair.current

    def _take(self) -> None:
        if self._milliseconds is None:
            threading.Event().wait(GIVE_UP_MS / 1000 * 4)
        else:
            time.sleep(self._milliseconds / 1000)


def measure(runs: int) -> list[dict[str, Any]]:
    """Distribute to every set of stores ``runs`` times.

    :returns: a row per set, in milliseconds: the window (until the last store that answers has the secret) beside its
        slowest store and the sum of all of them.
    """
    twelve = [SlowStore(f"store_{number}", STORE_MS) for number in range(12)]
    cases: dict[str, Sequence[SlowStore]] = {
        "1 store": twelve[:1],
        "12 stores": twelve,
        "12 stores, one ten times as slow": [*twelve[:11], SlowStore("slow", STORE_MS * 10, timeout=5.0)],
        "12 stores, one hanging": [*twelve[:11], SlowStore("hanging", None)],
    }
    return [_row(name, stores, [_exposures(stores) for _ in range(runs)]) for name, stores in cases.items()]


def measure_arming(runs: int) -> list[dict[str, Any]]:
    """Arm every set of stores ``runs`` times.

    :returns: a row per set, in milliseconds: until all are ready or given up, beside the slowest login and their sum.
    """
    twelve = [SlowStore(f"store_{number}", STORE_MS, STORE_MS) for number in range(12)]
    dead = [SlowStore(f"dead_{number}", STORE_MS, None) for number in range(3)]
    cases = {
        "12 stores": twelve,
        "12 stores, three of them dead": [*twelve[:9], *dead],
        "the same, logged in to by arm()": [replace(store, logs_in_when="arming") for store in (*twelve[:9], *dead)],
    }
    return [_arming_row(name, stores, runs) for name, stores in cases.items()]


def _arming_row(name: str, stores: Sequence[SlowStore], runs: int) -> dict[str, Any]:
    logins = [GIVE_UP_MS if store.login_milliseconds is None else store.login_milliseconds for store in stores]
    samples = []
    for _ in range(runs):
        started = time.monotonic()
        with arming(stores):
            samples.append((time.monotonic() - started) * 1000)
    median = statistics.median(samples)
    return {
        "name": name,
        "runs": runs,
        "slowest_login_ms": max(logins),
        "sum_of_logins_ms": sum(logins),
        "median_ms": round(median, 1),
        "max_ms": round(max(samples), 1),
        "to_slowest": round(median / max(logins), 2),
    }


def _exposures(stores: Sequence[SlowStore]) -> list[float]:
    """Milliseconds until each store had the secret, shortest first; a hanging one has none."""
    with arming(stores) as ready:
        outcomes = distribute(ready, NEW, RULE, since=time.monotonic())
    return sorted(outcome.readable_ms for outcome in outcomes.values() if outcome.readable_ms is not None)


def _row(name: str, stores: Sequence[SlowStore], samples: Sequence[list[float]]) -> dict[str, Any]:
    times = [store.milliseconds for store in stores if store.milliseconds is not None]
    window = statistics.median(sample[-1] for sample in samples)
    return {
        "name": name,
        "runs": len(samples),
        "slowest_store_ms": max(times),
        "sum_of_stores_ms": sum(times),
        "median_window_ms": round(window, 1),
        "max_window_ms": round(max(sample[-1] for sample in samples), 1),
        "median_store_ms": round(statistics.median(time for sample in samples for time in sample), 1),
        "window_to_slowest": round(window / max(times), 2),
    }
