"""Bring one store to Featurebase's current secret: what it shall hold, and whether we may write it."""

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
    """What becomes of the previous secret that a store keeps beside the current one."""

    KEEP = "keep"
    """Keep it: taken over from the store's own value, untouched where that is current already."""
    EXPIRED = "expired"
    """Its time is over: one that lies in the store is removed. What this run itself replaces is kept."""
    DROP = "drop"
    """Keep none: the secret has leaked."""


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
    :param replaces: fingerprint of the secret that this run replaces: its time as the previous one begins now.
    :param leaked: fingerprints of this webhook's secrets that must be left in no store: never kept as the previous
        secret, dropped where they are found there, and never written.
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
        """Whether a store may keep the secret that it holds, and that is overwritten now, as the previous one."""
        if not self.keeps_previous or self.previous is Previous.DROP:
            return False
        # A run that refreshes nothing finds a store that was left behind: Featurebase replaced its secret long ago.
        over = self.previous is Previous.EXPIRED and self.replaces is None
        return not over and replaced.trimmed.fingerprint not in self.leaked

    def may_stay(self, previous: SigningSecret | None) -> bool:
        """Whether a previous secret that lies in the store already may stay there."""
        if previous is None or not self.may_keep(previous):
            return False
        return self.previous is not Previous.EXPIRED or previous.trimmed.fingerprint == self.replaces

    def knowing(self, *, known: Iterable[str] = (), leaked: Iterable[str] = ()) -> WriteRule:
        """The same terms with more fingerprints known to be ours, or to have leaked."""
        return replace(self, known=self.known | set(known), leaked=self.leaked | set(leaked))


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
    if held.current is None:
        return
    fingerprint = held.current.fingerprint
    if current in _names(held.current) or is_ours(held, rule):
        return
    raise StoreForeignValue(
        name,
        f"it holds a value ({fingerprint}) that is neither Featurebase's current secret ({current}) nor known from an "
        "earlier report, so it may belong to something else; it was not changed",
        "If it is to be replaced, say adopt: true for this store",
    )


def why_foreign(name: str, held: StoredValue, rule: WriteRule, *, current: str) -> StoreForeignValue | None:
    """What :func:`check_ours` raises for the value, or None."""
    try:
        check_ours(name, held, rule, current=current)
    except StoreForeignValue as exc:
        return exc
    return None


def is_ours(held: StoredValue, rule: WriteRule) -> bool:
    """Whether a value is known to be this webhook's: from this run, from earlier ones, or by a mark that names it.

    One that differs from such a value in white space around it is ours too, and is written over with the exact one.
    """
    if held.current is None:
        return False
    names, mark = _names(held.current), held.mark
    marked = mark is not None and mark.webhook_id == rule.webhook_id and mark.fingerprint in names
    return marked or not names.isdisjoint(rule.known | rule.leaked)


def is_padded(held: StoredValue, current: str) -> bool:
    """Whether a store holds the secret of fingerprint ``current`` but for white space around it."""
    return (
        held.current is not None and held.current.fingerprint != current and held.current.trimmed.fingerprint == current
    )


def _names(value: SigningSecret) -> frozenset[str]:
    """A value's fingerprints, with and without the white space around it."""
    return frozenset({value.fingerprint, value.trimmed.fingerprint})


def desired_pair(held: StoredValue, secret: SigningSecret, rule: WriteRule) -> SecretPair | None:
    """What the store shall hold, or None where it holds that already.

    The previous secret is the one that the store itself held, never a value from elsewhere nor one that was not
    this webhook's or has leaked (receivers would accept it), and it never equals the current one. A store that can't
    be read is to be written each time.
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
            f"Featurebase shows {secret.fingerprint}, which has leaked according to an emergency run; store {name} was "
            "not given it. If the emergency run has not refreshed the secret, clear its failed tasks; a retry then "
            "writes the new one",
        )


def converge(armed: ArmedStore, secret: SigningSecret, rule: WriteRule, *, held: StoredValue | None = None) -> bool:
    """Write ``secret`` unless the store holds it, and read it back.

    A concurrent change of something else in the same secret or file is read again and kept. A concurrent
    change of the secret itself is the caller's to judge: it may be newer than ours. Where the store can't be read,
    every change may be one, and an accepted write is all there is to know.

    :param held: the store's value, where it was read just before.
    :returns: whether anything was written.
    :raises SecretHasLeaked: ``secret`` is one that must be written nowhere; the store is as it was.
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
                "Something else writes there, or the store caches; a retry reads Featurebase again before it writes",
            )
        return True
    raise StoreConflict(
        armed.name,
        f"other writers changed it {WRITE_ATTEMPTS} times in a row; our value was not written",
        "Its push task goes on trying",
    )


def _how_changed(secret: SigningSecret, seen: StoredValue) -> str:
    """Where the store itself changes what it is given, a retry meets the same again."""
    how = what_became_of(secret.reveal(), seen.current.reveal()) if seen.current is not None else ""
    return f", which is the same {how}: what stores it changes it" if how else ""
