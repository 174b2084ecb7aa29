"""Bring one store to Featurebase's current secret: what it shall hold, and whether we may write it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreConflict, StoreForeignValue, StoreReadBackDiffers
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark

if TYPE_CHECKING:
    from featurebase_provider.featurebase.signing_secret import SigningSecret

WRITE_ATTEMPTS = 5


class Previous(Enum):
    """What becomes of the previous secret that a store keeps beside the current one."""

    KEEP = "keep"
    """Keep it: taken over from the store's own value, untouched where that is current already."""
    DROP = "drop"
    """Remove it: its time is over, or it has leaked."""


@dataclass(frozen=True, slots=True)
class WriteRule:
    """The terms on which a store may be written.

    :param webhook_id: whose secret it is.
    :param managed_from: which Airflow writes, for the mark.
    :param known: fingerprints of values that are ours: the plan's secret, the current one, those of earlier
        reports.
    :param adopt: whether a value that is not ours may be replaced.
    :param keeps_previous: whether the store keeps the previous secret.
    :param previous: what becomes of it.
    """

    webhook_id: str
    managed_from: str
    known: frozenset[str] = frozenset()
    adopt: bool = False
    keeps_previous: bool = False
    previous: Previous = Previous.KEEP


def check_ours(name: str, held: StoredValue, rule: WriteRule, *, current: str) -> None:
    """Refuse to touch a value that is not ours.

    :param name: the store, for the message.
    :param current: fingerprint of Featurebase's current secret.
    :raises StoreForeignValue: the value is present, unknown and unmarked, or it can't be read; and ``adopt`` is off.
    """
    if rule.adopt:
        return
    if not held.readable:
        raise StoreForeignValue(
            name,
            "it never shows what it holds, so whose value that is cannot be judged; nothing was changed",
            "If it may be replaced, say adopt: true for this store",
        )
    if held.current is None or held.current.fingerprint == current or _is_ours(held, rule):
        return
    fingerprint = held.current.fingerprint
    raise StoreForeignValue(
        name,
        f"it holds a value ({fingerprint}) that is neither Featurebase's current secret ({current}) nor known from an "
        "earlier report, so it may belong to something else; it was not changed",
        "If it is to be replaced, say adopt: true for this store",
    )


def _is_ours(held: StoredValue, rule: WriteRule) -> bool:
    """Whether the value is known to be this webhook's: from this run, from a report, or by a mark that names it."""
    if held.current is None:
        return False
    fingerprint = held.current.fingerprint
    marked = held.mark is not None and (held.mark.webhook_id, held.mark.fingerprint) == (rule.webhook_id, fingerprint)
    return marked or fingerprint in rule.known


def desired_pair(held: StoredValue, secret: SigningSecret, rule: WriteRule) -> SecretPair | None:
    """What the store shall hold, or None where it holds that already.

    The previous secret is the one that the store itself held, never a value from elsewhere nor one that was not
    this webhook's (receivers would accept it), and it never equals the current one. A store that can't be read is
    to be written each time.
    """
    if held.current == secret:
        stays = rule.keeps_previous and rule.previous is Previous.KEEP and held.previous != secret
        kept = held.previous if stays else None
        return None if kept == held.previous and held.finished else SecretPair(secret, kept)
    if rule.keeps_previous and rule.previous is Previous.KEEP and _is_ours(held, rule):
        return SecretPair(secret, held.current)
    return SecretPair(secret, None)


def converge(armed: ArmedStore, secret: SigningSecret, rule: WriteRule, *, held: StoredValue | None = None) -> bool:
    """Write ``secret`` unless the store holds it, and read it back.

    A concurrent change of something else in the same secret or file is read again and kept. A concurrent
    change of the secret itself is the caller's to judge: it may be newer than ours. Where the store can't be read,
    every change may be one, and an accepted write is all there is to know.

    :param held: the store's value, where it was read just before.
    :returns: whether anything was written.
    :raises StoreForeignValue: the value is not ours.
    :raises StoreConflict: somebody else changed the secret in between; ours was not written.
    :raises StoreReadBackDiffers: the store took the value and shows another.
    :raises StoreError: the store refused or did not answer.
    """
    if held is None:
        held = armed.read()
    mark = StoreMark(rule.webhook_id, secret.fingerprint, rule.managed_from)
    for _ in range(WRITE_ATTEMPTS):
        check_ours(armed.name, held, rule, current=secret.fingerprint)
        pair = desired_pair(held, secret, rule)
        if pair is None:
            return False
        try:
            armed.write(pair, held=held, mark=mark)
        except StoreConflict:
            now = armed.read()
            if not now.readable or (now.current != held.current and now.current != secret):
                raise
            held = now
            continue
        if not held.readable:
            return True
        seen = armed.read()
        if seen.current != secret:
            raise StoreReadBackDiffers(
                armed.name,
                f"it accepted {secret.fingerprint} and then showed {seen.shown}",
                "Something else writes there, or the store caches; a retry reads Featurebase again before it writes",
            )
        return True
    raise StoreConflict(
        armed.name,
        f"other writers changed it {WRITE_ATTEMPTS} times in a row; our value was not written",
        "Its push task goes on trying",
    )
