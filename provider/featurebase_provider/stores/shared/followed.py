"""A store whose value is copied on: when it has been written, those that copy are told, and asked whether they have."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.jobs import Job, run_at_once, sorted_out
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.shared.kubernetes import NoDryRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.stores.shared.followers import Follower

    T = TypeVar("T")

_PAUSE = 0.5
"""Seconds between two looks at a follower's status."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What the store held, and which followers are not done with it."""

    stored: StoredValue
    behind: tuple[Follower, ...]

    def is_what(self, pair: SecretPair) -> bool:
        """Whether the store itself holds this already."""
        stored = self.stored
        return stored.finished and (stored.current, stored.previous) == (pair.current, pair.previous)


class FollowedArmedStore(ArmedStore):
    """A store and its followers.

    The followers' cluster never holds up the store: each look at them is bounded, on threads of their own, and one that
    can't be asked counts as not done. What was told and is not done yet leaves the store unfinished, and pushes go on.

    :param armed: the store itself.
    :param timeout: seconds that all followers together may take to answer.
    """

    def __init__(self, armed: ArmedStore, followers: Sequence[Follower], *, timeout: float) -> None:
        self._armed = armed  # first: what the base class sets is set on it
        super().__init__(armed.name)
        self._followers, self._timeout = tuple(followers), timeout

    @property
    def trial(self) -> SigningSecret:
        """The store's own."""
        return self._armed.trial

    @trial.setter
    def trial(self, trial: SigningSecret) -> None:
        self._armed.trial = trial

    @property
    def trial_mark(self) -> StoreMark:
        """The store's own."""
        return self._armed.trial_mark

    @trial_mark.setter
    def trial_mark(self, mark: StoreMark) -> None:
        self._armed.trial_mark = mark

    @property
    def of_pair(self) -> bool:
        """The store's own."""
        return self._armed.of_pair

    @of_pair.setter
    def of_pair(self, of_pair: bool) -> None:
        self._armed.of_pair = of_pair

    def connect(self) -> None:
        """Connect the store; followers are connected when they are first asked."""
        self._armed.connect()

    def prove_writable(self) -> Writability:
        """Prove the store, then let the API server try to tell each follower."""
        proof = self._armed.prove_writable()
        said, problems = self._ask(self._followers, lambda one: one.prove())
        untried = [error for error in problems.values() if isinstance(error, NoDryRun)]
        for error in problems.values():
            if error not in untried:
                raise error
        details = [proof.detail, *said.values(), *(f"not provable: {error.problem}" for error in untried)]
        return Writability(proof.proven and not untried, "; ".join(details), proof.warning)

    def read(self) -> StoredValue:
        """Read the store, and ask the followers whether they have what it holds."""
        stored = self._armed.read()
        behind: tuple[Follower, ...] = ()
        if stored.current is not None:
            behind = self._behind(_name_of(stored.current, stored.previous), self._followers)
        finished = stored.finished and not behind
        return replace(stored, version=_Held(stored, behind), finished=finished)

    def look_again(self, held: StoredValue) -> None:
        """Look at the store itself."""
        before: _Held = held.version
        self._armed.look_again(before.stored)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None]:
        """Write the store if it is to hold something else; the followers are told when its own steps are done."""
        before: _Held = held.version
        if before.is_what(pair):
            return partial(self._have_copied, pair, before.behind)
        follow = self._armed.write(pair, held=before.stored, mark=mark)

        def complete() -> None:
            if follow is not None:
                follow()
            self._have_copied(pair, self._followers)

        return complete

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Mark the store itself."""
        before: _Held = held.version
        return self._armed.marking(before.stored, mark)

    def _have_copied(self, pair: SecretPair, followers: Sequence[Follower]) -> None:
        """Tell the followers, and give them time."""
        began = time.monotonic()
        value = _name_of(pair.current, pair.previous)
        self._tell(value, followers)
        told_again = False
        while self.patience and (followers := self._behind(value, followers)):
            waited = time.monotonic() - began
            if waited >= self.patience:
                raise StoreUnreachable(
                    self.name,
                    "it holds the secret, and was told to those that copy it, of which these have not fetched it yet: "
                    + ", ".join(one.full_name for one in followers),
                    "See their status and their operator's log; its push task looks again once it is run again",
                )
            if not told_again and waited >= self.patience / 2:
                told_again = True  # an operator that was away then may be back
                self._ask(followers, lambda one: one.tell(value))
            time.sleep(min(_PAUSE, self.patience / 4))

    def close(self) -> None:
        """Close the store and the followers' connections."""
        self._armed.close()
        for one in self._followers:
            one.close()

    def _tell(self, value: str, followers: Sequence[Follower]) -> None:
        """Tell those that were not told yet."""
        _, problems = self._ask(followers, lambda one: one.tell(value) if one.state(value) == "untold" else None)
        if not problems:
            return
        outcome = StoreUnreachable if all(error.retry_helps for error in problems.values()) else StoreRefused
        why = (f"{who}: {error.problem if isinstance(error, StoreError) else error}" for who, error in problems.items())
        raise outcome(
            self.name,
            f"it holds the secret, but what copies it could not be told: {'; '.join(why)}",
            "Its push task tells them once it is run again; until then they copy at their own interval",
        )

    def _behind(self, value: str, followers: Sequence[Follower]) -> tuple[Follower, ...]:
        states, _ = self._ask(followers, lambda one: one.state(value))
        return tuple(one for one in followers if states.get(one.full_name) != "done")

    def _ask(
        self, followers: Sequence[Follower], question: Callable[[Follower], T]
    ) -> tuple[Mapping[str, T], dict[str, FeaturebaseError]]:
        jobs: dict[str, Job[Any]] = {
            one.full_name: Job(self.name, partial(question, one), self._timeout) for one in followers
        }
        return sorted_out(run_at_once(jobs))


def _name_of(current: SigningSecret, previous: SigningSecret | None) -> str:
    """What a follower is told to fetch: fingerprints of all that it may copy."""
    return " ".join(one.fingerprint for one in (current, previous) if one is not None)
