"""Updates one store to Featurebase's current secret: decides what it must hold and whether it may be written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import what_became_of
from featurebase_provider.rotation.errors import SecretHasLeaked, StoreConflict, StoreForeignValue, StoreReadBackDiffers
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.signing_secret import SigningSecret

WRITE_ATTEMPTS = 5


class Previous(Enum):
    """What to do with the previous secret that a store keeps beside the current one."""

    KEEP = "keep"
    """Keep it. It is taken from the store's own value; it is left alone if the store is current already."""
    EXPIRED = "expired"
    """It has expired: a previous secret that is in the store is removed. The secret that this run replaces is kept."""
    DROP = "drop"
    """Keep none: the secret has leaked."""


@dataclass(frozen=True, slots=True)
class WriteRule:
    """The rules for writing a store.

    :param webhook_id: the webhook whose secret is written.
    :param managed_from: which Airflow writes, for the mark.
    :param known: fingerprints of the webhook's known secrets: the plan's, the current one, those of earlier reports.
    :param adopt: whether a value of unknown origin may be replaced.
    :param keeps_previous: whether the store keeps the previous secret.
    :param previous: what to do with the previous secret.
    :param replaces: fingerprint of the secret that this run replaces; its time as the previous secret starts now.
    :param leaked: fingerprints of this webhook's leaked secrets. They are never written, never kept as the previous
        secret, and removed where they are found as one.
    """

    webhook_id: str
    managed_from: str
    known: frozenset[str] = frozenset()
    adopt: bool = False
    keeps_previous: bool = False
    previous: Previous = Previous.KEEP
    replaces: str | None = None
    leaked: frozenset[str] = frozenset()

    def may_keep(self, replaced: SigningSecret) -> bool:
        """Whether a store may keep the secret that is now overwritten as the previous one."""
        if not self.keeps_previous or self.previous is Previous.DROP:
            return False
        # A run that does not refresh found an outdated store: Featurebase replaced its secret long ago.
        over = self.previous is Previous.EXPIRED and self.replaces is None
        return not over and replaced.trimmed.fingerprint not in self.leaked

    def may_stay(self, previous: SigningSecret | None) -> bool:
        """Whether a previous secret that is already in the store may stay there."""
        if previous is None or not self.may_keep(previous):
            return False
        return self.previous is not Previous.EXPIRED or previous.trimmed.fingerprint == self.replaces

    def knowing(self, *, known: Iterable[str] = (), leaked: Iterable[str] = ()) -> WriteRule:
        """The same rules with more known or leaked fingerprints."""
        return replace(self, known=self.known | set(known), leaked=self.leaked | set(leaked))


def check_ours(name: str, held: StoredValue, rule: WriteRule, *, current: str) -> None:
    """Check that the store's value may be replaced.

    :param name: the store, for the message.
    :param current: fingerprint of Featurebase's current secret.
    :raises StoreForeignValue: ``adopt`` is off, and the value is of unknown origin and unmarked, or can't be read.
    """
    if rule.adopt:
        return
    if not held.readable:
        raise StoreForeignValue(
            name,
            "it is write-only, so it can't be checked whose value it holds; nothing was changed",
            "If the value may be replaced, set adopt: true for this store",
        )
    if held.current is None:
        return
    fingerprint = held.current.fingerprint
    if current in _names(held.current) or is_ours(held, rule):
        return
    raise StoreForeignValue(
        name,
        f"it holds a value ({fingerprint}) that is neither Featurebase's current secret ({current}) nor known from an "
        "earlier report, so it may belong to something else; it was not changed",
        "If the value may be replaced, set adopt: true for this store",
    )


def why_foreign(name: str, held: StoredValue, rule: WriteRule, *, current: str) -> StoreForeignValue | None:
    """The error that :func:`check_ours` raises for the value, or None."""
    try:
        check_ours(name, held, rule, current=current)
    except StoreForeignValue as exc:
        return exc
    return None


def is_ours(held: StoredValue, rule: WriteRule) -> bool:
    """Whether a value is known to be this webhook's: from this run, from earlier runs, or by its mark.

    A value that differs from a known one only in surrounding white space counts too; it is replaced by the exact one.
    """
    if held.current is None:
        return False
    names, mark = _names(held.current), held.mark
    marked = mark is not None and mark.webhook_id == rule.webhook_id and mark.fingerprint in names
    return marked or not names.isdisjoint(rule.known | rule.leaked)


def is_padded(held: StoredValue, current: str) -> bool:
    """Whether a store holds the secret with fingerprint ``current``, but with white space around it."""
    return (
        held.current is not None and held.current.fingerprint != current and held.current.trimmed.fingerprint == current
    )


def _names(value: SigningSecret) -> frozenset[str]:
    """A value's fingerprints, with and without the white space around it."""
    return frozenset({value.fingerprint, value.trimmed.fingerprint})


def desired_pair(held: StoredValue, secret: SigningSecret, rule: WriteRule) -> SecretPair | None:
    """What the store must hold, or None if it holds that already.

    The previous secret is the one that the store itself held. It never comes from elsewhere, never equals the current
    secret, and is never a leaked secret or a value of unknown origin, since receivers would accept it. A store that
    can't be read is written each time.
    """
    if held.current == secret or is_padded(held, secret.fingerprint):
        kept = held.previous if held.previous != secret and rule.may_stay(held.previous) else None
        is_done = held.current == secret and kept == held.previous and held.finished
        return None if is_done else SecretPair(secret, kept)
    if held.current is None or not rule.may_keep(held.current):
        return SecretPair(secret, None)
    return SecretPair(secret, held.current.trimmed if is_ours(held, rule) else None)


def _check_not_leaked(name: str, held: StoredValue, secret: SigningSecret, rule: WriteRule) -> None:
    if secret.fingerprint in rule.leaked and held.current != secret:
        raise SecretHasLeaked(
            rule.webhook_id,
            f"Featurebase's secret is {secret.fingerprint}, which an emergency run recorded as leaked; it was not "
            f"written to store {name}. If the emergency run has not refreshed the secret, clear its failed tasks; a "
            "retry then writes the new one",
        )


def converge(armed: ArmedStore, secret: SigningSecret, rule: WriteRule, *, held: StoredValue | None = None) -> bool:
    """Write ``secret`` unless the store holds it, and read it back.

    If something else in the same secret or file changes concurrently, it is read again and kept. If the secret itself
    changes concurrently, the caller decides: the other value may be newer. In a store that can't be read, every
    concurrent change may be such a change, and an accepted write counts as success.

    :param held: the store's value, if it was read just before.
    :returns: whether anything was written.
    :raises SecretHasLeaked: ``secret`` is recorded as leaked; the store is unchanged.
    :raises StoreForeignValue: the store's value is of unknown origin and must not be replaced.
    :raises StoreConflict: somebody else changed the secret in between; ``secret`` was not written.
    :raises StoreReadBackDiffers: the store accepted the value and shows another.
    :raises StoreError: the store refused or did not answer.
    """
    if held is None:
        held = armed.read()
    mark = StoreMark(rule.webhook_id, secret.fingerprint, rule.managed_from)
    for _ in range(WRITE_ATTEMPTS):
        check_ours(armed.name, held, rule, current=secret.fingerprint)
        _check_not_leaked(armed.name, held, secret, rule)
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
                f"it accepted {secret.fingerprint} and then showed {seen.shown}{_how_changed(secret, seen)}",
                "Something else writes to it, or the store caches; a retry reads Featurebase again before it writes",
            )
        return True
    raise StoreConflict(
        armed.name,
        f"other writers changed it {WRITE_ATTEMPTS} times in a row; the secret was not written",
        "Its push task keeps trying",
    )


def _how_changed(secret: SigningSecret, seen: StoredValue) -> str:
    """Where the store itself changes what it is given, a retry meets the same again."""
    how = what_became_of(secret.reveal(), seen.current.reveal()) if seen.current is not None else ""
    return f", which is the same {how}: what stores it changes it" if how else ""
