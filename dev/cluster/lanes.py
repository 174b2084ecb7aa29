"""The rotations of the cluster: webhooks with the crash matrix's service and receiver, and a real store beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.cluster.vendors import VENDORS
from tests.crash.pair_world import PairCrashWorld
from tests.crash.world import CrashWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.cluster.vendors import Vendor

VERIFY = {"timeout": "PT15M", "poll_interval": "PT10S"}
"""Long enough for a triggerer's triggers to find another one. The first look comes when the executor surely knows of
the deferral: a task that goes on before that is failed by the scheduler."""


class _Lane(CrashWorld):
    """One rotation.

    :param vendor: the store beside the config service and the Variable.
    """

    vendor: Vendor

    def entry(self) -> dict[str, Any]:
        """The entry in the rotation file."""
        entry = super().entry()
        entry["stores"].append(self.vendor.entry())
        return {**entry, "schedule": None, "verify": VERIFY}

    def vendor_is_right(self) -> bool:
        """Whether the vendor's store holds the current secrets, and no other one."""
        raise NotImplementedError

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that must turn up nowhere, by name."""
        issued = enumerate(dict.fromkeys(one.secret for one in self.sandbox.state.webhooks.issued), 1)
        signing = {f"{self.name}: signing secret {number}": secret for number, secret in issued}
        return {f"{self.name}: API key": self.api_key, **signing}


class RefreshLane(_Lane):
    """One webhook, whose secret is refreshed. A context manager."""

    def __init__(self, folder: Path, name: str, vendor: type[Vendor]) -> None:
        super().__init__(folder, name)
        self.vendor = vendor(name, keeps_previous=False)

    def __enter__(self) -> RefreshLane:
        super().__enter__()
        self.vendor.put(self.secret)
        return self

    def vendor_is_right(self) -> bool:
        """Featurebase's secret alone."""
        return self.vendor.slots() == (self.secret, None)


class PairLane(_Lane, PairCrashWorld):
    """A pair of webhooks, between which the deliveries move. A context manager."""

    def __init__(self, folder: Path, name: str, vendor: type[Vendor]) -> None:
        super().__init__(folder, name)
        self.vendor = vendor(name, keeps_previous=True)

    def __enter__(self) -> PairLane:
        super().__enter__()
        self.vendor.put(self.webhook(self.other_id).secret)
        return self

    def vendor_is_right(self) -> bool:
        """Both webhooks' secrets, the one that was live before as ``current``."""
        return self.vendor.slots() == (self.webhook(self.other_id).secret, self.secret)


Lane = RefreshLane | PairLane


def lanes(folder: Path, *, refreshes: int, pairs: int) -> Iterator[Lane]:
    """So many of each, with one vendor after the other; not entered yet."""
    for number in range(refreshes):
        yield RefreshLane(folder / f"single-{number + 1}", f"single-{number + 1}", VENDORS[number % len(VENDORS)])
    for number in range(pairs):
        yield PairLane(folder / f"pair-{number + 1}", f"pair-{number + 1}", VENDORS[number % len(VENDORS)])
