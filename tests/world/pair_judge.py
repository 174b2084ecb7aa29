"""What must hold for a pair at every moment, judged at each change of a webhook or a store."""

from __future__ import annotations

import copy
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from featurebase_provider.featurebase.signing_secret import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featurebase_provider.sandbox.journal import Attempt
    from featurebase_provider.sandbox.server import SandboxServer
    from featurebase_provider.sandbox.webhooks import Webhook, Webhooks

DELIVERY_SECONDS = 3.0
"""Longer than any attempt of a delivery lasts that is under way."""


class JudgedWorld(Protocol):
    """A Featurebase with a pair of webhooks, and its stores."""

    @property
    def sandbox(self) -> SandboxServer:
        """The Featurebase."""

    @property
    def slots(self) -> tuple[tuple[str | None, str | None], ...]:
        """What each store holds now: the current and the previous secret."""

    def name_of(self, half: str) -> str:
        """Names a half in messages."""


class PairJudge:
    """Collects what a run broke; what a person broke counts only until the run has mended it.

    Rules: a store never loses the secret of an active half; no half is set active whose secret a store lacks; never is
    none active by the run's doing; a store is never given a secret of neither half; no delivery that a receiver with
    both secrets would accept is refused, and no event is lost.
    """

    def __init__(self, world: JudgedWorld) -> None:
        self._world = world
        self._lock = threading.RLock()
        self._missing: frozenset[tuple[int, str]] = frozenset()
        self._slots: tuple[tuple[str | None, str | None], ...] = ()
        self._active = 0
        self._attempts = self._events = 0
        self._theirs: set[str] = set()
        self.is_by_hand = False
        self.broken: list[str] = []

    def watch(self, webhooks: Webhooks) -> None:
        """Look at every change of a webhook from now on."""
        for name in ("update", "refresh_secret", "delete"):
            self._wrap(webhooks, name)
        self.begin()

    def _wrap(self, webhooks: Webhooks, name: str) -> None:
        change = getattr(webhooks, name)

        def watched(webhook_id: str, *args: Any, **how: Any) -> Any:
            result = change(webhook_id, *args, **how)
            if self.is_by_hand and name == "refresh_secret":
                self._theirs.add(fingerprint_of(result.secret))
            self.look(by_us=not self.is_by_hand)
            return result

        setattr(webhooks, name, watched)

    def put_back(self, webhooks: Webhooks, kept: Mapping[str, Webhook]) -> None:
        """Bring webhooks back to an earlier state."""
        webhooks._current.update({half: copy.deepcopy(webhook) for half, webhook in kept.items()})
        webhooks._before_change.clear()
        for webhook in webhooks.all():
            webhooks.touch(webhook)
            webhooks._issue(webhook, by="a test")

    def begin(self) -> None:
        """Forget what was, and judge what happens from now on."""
        with self._lock:
            journal = self._world.sandbox.state.journal
            self._attempts, self._events = len(journal.attempts), len(journal.events)
            self._theirs.clear()
            self.broken.clear()
            self._missing, self._slots, self._active = self._lacking(), self._world.slots, len(self._actives())

    def look(self, *, by_us: bool) -> None:
        """Compare with the last look."""
        with self._lock:
            missing, slots, active = self._lacking(), self._world.slots, len(self._actives())
            if by_us:
                self.broken += [
                    f"store {number} lacks the secret of the active webhook {self._world.name_of(half)}"
                    for number, half in sorted(missing - self._missing)
                ]
                if not active and self._active:
                    self.broken.append("no webhook is active any more")
                self.broken += self._strange(slots)
            else:
                self._theirs |= {fingerprint_of(self._world.secret_of(half)) for _, half in missing - self._missing}
            self._missing, self._slots, self._active = missing, slots, active

    def _strange(self, slots: tuple[tuple[str | None, str | None], ...]) -> list[str]:
        ours = {webhook.secret for webhook in self._world.sandbox.state.webhooks.all()}
        return [
            f"store {number} was given a secret of neither webhook"
            for number, (before, after) in enumerate(zip(self._slots, slots, strict=True))
            if {value for value in after if value} - ours - set(before)
        ]

    def check(self, *, lost: int = 0) -> None:
        """All that was seen since the begin.

        :param lost: how many events may be lost for good.
        """
        assert self.broken == [], self.broken
        refused = [
            f"{self._world.name_of(one.webhook_id)}: {one.status_code or one.error}"
            for one in self._tried()
            if one.status_code not in (200, None) and one.fingerprint not in self._theirs
        ]
        assert refused == [], refused
        assert len(self.lost()) <= lost, f"{len(self.lost())} events were lost"

    def lost(self) -> set[int]:
        """The emissions so far of which no event is delivered in the end, although it was not a person's doing.

        That is: there was an active webhook, and no attempt was refused after a refresh by hand.
        """
        events = self._world.sandbox.state.journal.events
        so_far = len(events)
        give_up = time.monotonic() + DELIVERY_SECONDS
        while True:
            refused = {one.event_id for one in self._tried() if one.fingerprint in self._theirs}
            mine = [one for one in events[self._events : so_far] if one.webhook_id is not None]
            left = {one.emission for one in mine}
            left -= {one.emission for one in mine if one.delivered or one.id in refused}
            if not left or time.monotonic() > give_up:
                return left
            time.sleep(0.02)

    def _tried(self) -> list[Attempt]:
        return self._world.sandbox.state.journal.attempts[self._attempts :]

    def _actives(self) -> list[Webhook]:
        return [webhook for webhook in self._world.sandbox.state.webhooks.all() if webhook.status == "active"]

    def _lacking(self) -> frozenset[tuple[int, str]]:
        """Which store lacks the secret of which active half."""
        return frozenset(
            (number, webhook.id)
            for number, slots in enumerate(self._world.slots)
            for webhook in self._actives()
            if webhook.secret not in slots
        )
