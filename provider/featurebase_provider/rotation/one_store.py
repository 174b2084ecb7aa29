"""What one store must hold, and whether it may be written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.rotation.errors import SecretHasLeaked, StoreForeignValue
from featurebase_provider.rotation.store import SecretPair, StoredValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.signing_secret import SigningSecret


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
    :param halves: ids of both webhooks of a pair; empty for a single webhook. The store then holds secrets of both,
        so both of its slots are judged.
    """

    webhook_id: str
    managed_from: str
    known: frozenset[str] = frozenset()
    adopt: bool = False
    keeps_previous: bool = False
    previous: Previous = Previous.KEEP
    replaces: str | None = None
    leaked: frozenset[str] = frozenset()
    halves: frozenset[str] = frozenset()

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

    def is_about(self, webhook_id: str) -> bool:
        """Whether a mark with this id is that of the webhook, or of a half of the pair."""
        return webhook_id.lower() in {own.lower() for own in self.halves or (self.webhook_id,)}

    def knowing(self, *, known: Iterable[str] = (), leaked: Iterable[str] = ()) -> WriteRule:
        """The same rules with more known or leaked fingerprints."""
        return replace(self, known=self.known | set(known), leaked=self.leaked | set(leaked))


def check_ours(name: str, held: StoredValue, rule: WriteRule, *, current: str) -> None:
    """Check that the store's values may be replaced: the current one and, for a pair, the previous one too.

    :param name: the store, for the message.
    :param current: fingerprint of Featurebase's current secret.
    :raises StoreForeignValue: ``adopt`` is off, and a value is of unknown origin and unmarked, or can't be read.
    """
    if rule.adopt:
        return
    if not held.readable:
        raise StoreForeignValue(
            name,
            "it is write-only, so it can't be checked whose value it holds; nothing was changed",
            "If the value may be replaced, set adopt: true for this store",
        )
    if held.current is not None and current not in _names(held.current) and not is_ours(held, rule):
        raise _foreign(name, "a value", held.current, current)
    if rule.halves and held.previous is not None and _names(held.previous).isdisjoint(rule.known | rule.leaked):
        raise _foreign(name, "a previous value", held.previous, current)


def _foreign(name: str, what: str, value: SigningSecret, current: str) -> StoreForeignValue:
    return StoreForeignValue(
        name,
        f"it holds {what} ({value.fingerprint}) that is neither Featurebase's current secret ({current}) nor known "
        "from an earlier report, so it may belong to something else; it was not changed",
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
    marked = mark is not None and rule.is_about(mark.webhook_id) and mark.fingerprint in names
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


def check_not_leaked(name: str, held: StoredValue, secret: SigningSecret, rule: WriteRule) -> None:
    """Check that a secret that the store does not hold yet may be written.

    :raises SecretHasLeaked: it is recorded as leaked.
    """
    if secret.fingerprint in rule.leaked and secret not in (held.current, held.previous):
        raise SecretHasLeaked(
            rule.webhook_id,
            f"Featurebase's secret is {secret.fingerprint}, which an emergency run recorded as leaked; it was not "
            f"written to store {name}. If the emergency run has not refreshed the secret, clear its failed tasks; a "
            "retry then writes the new one",
        )


class Desired(Protocol):
    """What a store must hold."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the secret that the run is about, for outcomes and messages."""

    def check(self, name: str, held: StoredValue, rule: WriteRule) -> None:
        """Check that the store may be written.

        :param name: the store, for messages.
        :raises StoreForeignValue: it holds a value of unknown origin.
        :raises SecretHasLeaked: a secret that would be written is recorded as leaked.
        """

    def pair_for(self, held: StoredValue, rule: WriteRule) -> SecretPair | None:
        """What to write; None if the store holds it already."""

    def webhook_of(self, secret: SigningSecret, rule: WriteRule) -> str:
        """The id of the webhook whose secret this is, for the mark."""

    def is_overtaken(self, held: StoredValue, now: StoredValue) -> bool:
        """Whether somebody else changed what this would have written over, other than to what it would write."""

    def is_held(self, pair: SecretPair, seen: StoredValue) -> bool:
        """Whether the store, read back, holds what was written."""


@dataclass(frozen=True, slots=True)
class OneSecret:
    """The secret of a single webhook. The previous secret follows from what the store held."""

    secret: SigningSecret

    @property
    def fingerprint(self) -> str:
        """The secret's fingerprint."""
        return self.secret.fingerprint

    def check(self, name: str, held: StoredValue, rule: WriteRule) -> None:
        """See :class:`Desired`."""
        check_ours(name, held, rule, current=self.secret.fingerprint)
        if held.current != self.secret:
            check_not_leaked(name, replace(held, previous=None), self.secret, rule)

    def pair_for(self, held: StoredValue, rule: WriteRule) -> SecretPair | None:
        """See :class:`Desired`."""
        return desired_pair(held, self.secret, rule)

    def webhook_of(self, secret: SigningSecret, rule: WriteRule) -> str:
        """The webhook."""
        return rule.webhook_id

    def is_overtaken(self, held: StoredValue, now: StoredValue) -> bool:
        """See :class:`Desired`."""
        return now.current not in (held.current, self.secret)

    def is_held(self, pair: SecretPair, seen: StoredValue) -> bool:
        """Only the current one counts: readers that know one secret read that."""
        return seen.current == self.secret
