"""What the stores hold after an emergency's push: what is left over, and how long each was exposed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from featurebase_provider.rotation.clock import SYSTEM_CLOCK, milliseconds_between
from featurebase_provider.rotation.errors import ForeignValuesLeft, StoresLeftOver

if TYPE_CHECKING:
    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.push import AllPushed
    from featurebase_provider.rotation.rotate import RotationOutcome


def require_all(pushed: AllPushed) -> None:
    """Make sure that every store holds the new secret.

    :raises StoresLeftOver: stores do not hold it yet; the message names each and the reason.
    :raises ForeignValuesLeft: only stores with a foreign value are left.
    """
    left = pushed.left
    if not left:
        return
    problem = (
        f"the leaked secret was replaced by {pushed.webhook.fingerprint}, but {len(left)} of "
        f"{len(pushed.stores)} stores do not hold it: {'; '.join(str(store.problem).rstrip('.') for store in left)}"
    )
    if all(store.label in pushed.foreign for store in left):
        raise ForeignValuesLeft(
            pushed.webhook.id,
            f"{problem}. A foreign value is never overwritten: remove it, or set adopt: true for that store, then "
            "clear this task",
        )
    raise StoresLeftOver(pushed.webhook.id, f"{problem}. Fix these stores; the next try writes them")


def since_the_refresh(outcome: StoreOutcome, rotated: RotationOutcome) -> StoreOutcome:
    """Keep rotate's measurement for a store that needed nothing more; otherwise measure up to now."""
    earlier = rotated.stores.get(outcome.label)
    if earlier is not None and earlier.holds_secret and earlier.fingerprint == outcome.fingerprint:
        return earlier
    if outcome.result != "written" or rotated.posted is None:
        return outcome
    until_now = milliseconds_between(rotated.posted, SYSTEM_CLOCK.moment())
    return replace(outcome, readable_ms=None, confirmed_ms=until_now)
