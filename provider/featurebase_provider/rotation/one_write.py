"""Writes what one store must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.featurebase.text import what_became_of
from featurebase_provider.rotation.errors import StoreConflict, StoreReadBackDiffers
from featurebase_provider.rotation.one_store import OneSecret
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.rotation.one_store import Desired, WriteRule

WRITE_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Written:
    """A write that the store has accepted: readers get the new value. It is to be completed and read back.

    :param pair: what was written; None if the store held the value already, and only lacked what follows its write.
    :param steps: what follows the write; see :meth:`ArmedStore.write` and :meth:`ArmedStore.marking`.
    :param readable: whether the store can be read back.
    """

    armed: ArmedStore
    desired: Desired
    pair: SecretPair | None
    steps: tuple[Callable[[], None], ...]
    readable: bool

    @property
    def is_new(self) -> bool:
        """Whether the value was written just now."""
        return self.pair is not None

    def confirm(self) -> None:
        """Take the steps that follow the write, and read the store back.

        :raises StoreReadBackDiffers: the store accepted the value and shows another.
        :raises StoreError: a step failed, or the store could not be read.
        """
        for step in self.steps:
            step()
        if self.pair is None or not self.readable:
            return
        seen = self.armed.read()
        if not self.desired.is_held(self.pair, seen):
            raise StoreReadBackDiffers(
                self.armed.name,
                f"it accepted {self.pair.current.fingerprint} and then showed {_shown(seen, self.pair)}"
                f"{_changed(self.pair, seen)}",
                "Something else writes to it, or the store caches; a retry reads Featurebase again before it writes",
            )


def write_wanted(
    armed: ArmedStore,
    wanted: SigningSecret | Desired,
    rule: WriteRule,
    *,
    held: StoredValue,
    look: Callable[[], None] | None = None,
) -> Written | None:
    """Write what the store must hold, unless it holds that.

    If it holds that, and a worker that was lost after the write has left no mark, the mark is to follow.

    If something else in the same secret or file changes concurrently, it is read again and kept. If the secret itself
    changes concurrently, the caller decides: the other value may be newer. In a store that can't be read, every
    concurrent change may be such a change, and an accepted write counts as success.

    :param wanted: a webhook's secret, or what to hold for a pair.
    :param held: the store's value, read before.
    :param look: tells the result of :meth:`ArmedStore.look_again`, if that was called since; None calls it here.
    :returns: the write, or the completion of an earlier one; None if nothing is to be done.
    :raises SecretHasLeaked: the secret is recorded as leaked; the store is unchanged.
    :raises StoreForeignValue: the store's value is of unknown origin and must not be replaced.
    :raises StoreConflict: somebody else changed the secret in between; nothing was written.
    :raises StoreError: the store refused or did not answer.
    """
    desired = OneSecret(wanted) if isinstance(wanted, SigningSecret) else wanted
    for _ in range(WRITE_ATTEMPTS):
        desired.check(armed.name, held, rule)
        pair = desired.pair_for(held, rule)
        left = _mark_left_out(armed, desired, held, pair, rule)
        if pair is None:
            return Written(armed, desired, None, left, held.readable) if left else None
        try:
            look() if look is not None else armed.look_again(held)
            follow = armed.write(pair, held=held, mark=_mark_of(pair.current, desired, rule))
        except StoreConflict:
            now = armed.read()
            if not now.readable or desired.is_overtaken(held, now):
                raise
            held, look = now, None
            continue
        return Written(armed, desired, pair, (*((follow,) if follow is not None else ()), *left), held.readable)
    raise StoreConflict(
        armed.name,
        f"other writers changed it {WRITE_ATTEMPTS} times in a row; the secret was not written",
        "Its push task keeps trying",
    )


def _mark_left_out(
    armed: ArmedStore, desired: Desired, held: StoredValue, pair: SecretPair | None, rule: WriteRule
) -> tuple[Callable[[], None], ...]:
    """The step that marks a value which stays, if it has no mark, or that of an earlier one.

    Another webhook's mark is left alone: it may be that of another key of the same secret.

    :param pair: what is to be written; None if the store holds that, the same if only what follows is to be done.
    """
    if held.current is None or pair not in (None, SecretPair(held.current, held.previous)):
        return ()
    mark, found = _mark_of(held.current, desired, rule), held.mark
    if found is not None and (found.fingerprint == mark.fingerprint or not rule.is_about(found.webhook_id)):
        return ()
    step = armed.marking(held, mark)
    return () if step is None else (step,)


def _mark_of(current: SigningSecret, desired: Desired, rule: WriteRule) -> StoreMark:
    return StoreMark(desired.webhook_of(current, rule), current.fingerprint, rule.managed_from)


def _shown(seen: StoredValue, pair: SecretPair) -> str:
    if seen.current != pair.current:
        return seen.shown
    return "nothing beside it" if seen.previous is None else f"{seen.previous.fingerprint} beside it"


def _changed(pair: SecretPair, seen: StoredValue) -> str:
    """Where the store itself changes what it is given, a retry meets the same again."""
    how = what_became_of(pair.current.reveal(), seen.current.reveal()) if seen.current is not None else ""
    return f", which is the same {how}: what stores it changes it" if how else ""
