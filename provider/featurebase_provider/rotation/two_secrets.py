"""What a store must hold for a pair of webhooks: the secrets of one or of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.models import ACTIVE
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.one_store import check_not_leaked, check_ours
from featurebase_provider.rotation.store import SecretPair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.store import StoredValue


@dataclass(frozen=True, slots=True)
class HalfSecret:
    """The secret of one half of a pair."""

    webhook_id: str
    secret: SigningSecret


@dataclass(frozen=True, slots=True)
class TwoSecrets:
    """The secrets of a pair that a store must hold.

    A secret that the store holds stays in its slot. A reader that reads one slot after the other would otherwise miss a
    secret that moves from the second to the first slot, even in a store that changes both at once.

    :param about: the secret that the run is about; its fingerprint names the result.
    :param needed: the secrets that are needed, one or two. A store that holds neither gets the first one as
        ``current``.
    :param may_empty: whether a slot that repeats the other may be emptied.
    :param spares_leaked: whether a leaked secret that a store lacks is left out, if another one is needed; without it
        such a store is not written.
    """

    about: SigningSecret
    needed: tuple[HalfSecret, ...]
    may_empty: bool = False
    spares_leaked: bool = False

    @classmethod
    def of(
        cls, about: Webhook, needed: Sequence[Webhook], *, may_empty: bool = False, spares_leaked: bool = False
    ) -> TwoSecrets:
        """Take the secrets from what Featurebase shows.

        :raises SecretMissing: a response had none.
        """
        halves = tuple(HalfSecret(half.id, secret_of(half)) for half in needed)
        return cls(secret_of(about), halves, may_empty, spares_leaked)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the secret that the run is about."""
        return self.about.fingerprint

    def check(self, name: str, held: StoredValue, rule: WriteRule) -> None:
        """See :class:`~.one_store.Desired`."""
        ours = rule.knowing(known=[half.secret.fingerprint for half in self.needed])
        check_ours(name, held, ours, current=self.needed[0].secret.fingerprint)
        pair = self._slots(held, rule)
        # Each slot by itself: a leaked secret that is in one must not come into the other, where more readers see it.
        check_not_leaked(name, replace(held, previous=None), pair.current, rule)
        if pair.previous is not None:
            check_not_leaked(name, replace(held, current=None), pair.previous, rule)

    def _wanted(self, held: StoredValue, rule: WriteRule) -> list[SigningSecret]:
        """The needed secrets, without leaked ones that this store lacks if these are to be left out."""
        every = [half.secret for half in self.needed]
        if not self.spares_leaked:
            return every
        held_now = (held.current, held.previous)
        return [secret for secret in every if secret.fingerprint not in rule.leaked or secret in held_now] or every

    def pair_for(self, held: StoredValue, rule: WriteRule) -> SecretPair | None:
        """See :class:`~.one_store.Desired`."""
        pair = self._slots(held, rule)
        is_done = (held.current, held.previous) == (pair.current, pair.previous) and held.finished
        return None if is_done else pair

    def webhook_of(self, secret: SigningSecret, rule: WriteRule) -> str:
        """The webhook whose secret this is."""
        return next((half.webhook_id for half in self.needed if half.secret == secret), rule.webhook_id)

    def is_overtaken(self, held: StoredValue, now: StoredValue) -> bool:
        """See :class:`~.one_store.Desired`. Both slots count."""
        ours = [half.secret for half in self.needed]
        return any(
            value != before and value not in ours
            for before, value in ((held.current, now.current), (held.previous, now.previous))
        )

    def is_held(self, pair: SecretPair, seen: StoredValue) -> bool:
        """See :class:`~.one_store.Desired`. Both slots count."""
        return (seen.current, seen.previous) == (pair.current, pair.previous)

    def held_by(self, held: StoredValue) -> bool:
        """Whether a store holds every needed secret, in either slot."""
        return {half.secret for half in self.needed} <= {held.current, held.previous}

    def _slots(self, held: StoredValue, rule: WriteRule) -> SecretPair:
        return slots(held, self._wanted(held, rule), may_empty=self.may_empty)


def slots(held: StoredValue, wanted: Sequence[SigningSecret], *, may_empty: bool) -> SecretPair:
    """What a store must hold next, so that no reader misses a secret that is needed.

    :param held: what it holds.
    :param wanted: the one or two secrets that are needed.
    :param may_empty: whether a slot that repeats the other may be emptied.
    """
    first, *rest = wanted
    if not rest:
        if _is(held.current, first):
            return SecretPair(first, first if _is(held.previous, first) and not may_empty else None)
        return SecretPair(first, first if _is(held.previous, first) else None)
    (second,) = rest
    if _is(held.current, second) or (_is(held.previous, first) and not _is(held.current, first)):
        return SecretPair(second, first)
    return SecretPair(first, second)


def _is(value: SigningSecret | None, secret: SigningSecret) -> bool:
    """Whether a slot holds the secret, perhaps with white space around it."""
    return value is not None and value.trimmed == secret


@dataclass(frozen=True, slots=True)
class PairFingerprints:
    """The fingerprints of a pair's secrets, by which it is judged what a store holds.

    :param shown: the fingerprint of each half's secret, by webhook id in lower case.
    :param needed: ids of the halves whose secret every store must hold: the active ones, or both if none is active.
    """

    shown: Mapping[str, str]
    needed: frozenset[str]

    @classmethod
    def of(cls, halves: Sequence[Webhook]) -> PairFingerprints:
        """Take them from the halves as Featurebase shows them."""
        shown = {half.id.lower(): half.fingerprint for half in halves if half.fingerprint is not None}
        active = {half.id.lower() for half in halves if half.status == ACTIVE}
        return cls(shown, frozenset((active or shown.keys()) & shown.keys()))

    def lacking(self, *held: str | None) -> tuple[str, ...]:
        """Ids of the halves whose secret is needed, and is not among these fingerprints."""
        return tuple(sorted(half for half in self.needed if self.shown[half] not in held))

    def stale(self, *held: str | None) -> tuple[str, ...]:
        """Those of these fingerprints that are not the current secret of either half."""
        return tuple(dict.fromkeys(one for one in held if one is not None and one not in self.shown.values()))

    def holding(self, held: StoredValue) -> Literal["matches", "unfinished", "padded", "differs"]:
        """Classify the values of a store, which are ours; see :class:`~.check.StoreCheck`."""
        values = [value for value in (held.current, held.previous) if value is not None]
        exact = [value.fingerprint for value in values]
        if not self.lacking(*exact) and not self.stale(*exact):
            return "matches" if held.finished else "unfinished"
        trimmed = [value.trimmed.fingerprint for value in values]
        return "differs" if self.lacking(*trimmed) or self.stale(*trimmed) else "padded"
