"""Reads both webhooks of a pair, and says what stores must hold by what Featurebase shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.current import ReadsWebhooks, SecretOrder, read_current
from featurebase_provider.rotation.errors import PlanRefused
from featurebase_provider.rotation.pair import Pair, is_drained, is_outdated, needed, never_became_live
from featurebase_provider.rotation.two_secrets import TwoSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.moves import Moves
    from featurebase_provider.rotation.plan import RotationPlan


OUTDATED_SECONDS = 5.0
"""How long a pair that is shown as before a run's last step is read again. After that it is taken as it is shown: it is
not documented that each change of a webhook changes its ``updatedAt``."""
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class PairReader:
    """Reads both halves of a pair.

    :param ids: the ids of both, in the order of the rotation file.
    :param orders: what is known about the order of each half's secrets, by id in lower case. A secret of one half never
        makes a read of the other stale.
    :param planned: ids in lower case of the halves that the run's plan saw. A single 404 must not make a store lose the
        secret of a half that delivers, so a planned half that is missing ends the read.
    :param patience: seconds to keep reading while the responses are stale.
    :param moves: what runs recorded about cut-overs, if that is known.
    """

    api: ReadsWebhooks
    ids: tuple[str, str]
    orders: Mapping[str, SecretOrder]
    planned: frozenset[str] = frozenset()
    patience: float = 30.0
    clock: Clock = SYSTEM_CLOCK
    moves: Moves | None = None

    def read(self) -> Pair:
        """Read both halves; one that no longer exists is missing. If they are outdated, read them again.

        :raises WebhookNotFound: a half that the plan saw does not exist.
        :raises StaleRead: every response was stale.
        :raises SecretMissing: a response had no secret.
        :raises ApiError: Featurebase could not be read.
        """
        deadline = self.clock.monotonic() + OUTDATED_SECONDS
        while True:
            pair = self._shown()
            is_current = self.moves is None or not is_outdated(pair, self.moves)
            if is_current or self.clock.monotonic() >= deadline:
                return pair
            self.clock.sleep(PAUSE_SECONDS)

    def _shown(self) -> Pair:
        found = []
        for webhook_id in self.ids:
            try:
                found.append(
                    read_current(
                        self.api,
                        webhook_id,
                        self.orders.get(webhook_id.lower(), SecretOrder()),
                        patience=self.patience,
                        clock=self.clock,
                    )
                )
            except WebhookNotFound:
                if webhook_id.lower() in self.planned:
                    raise
        return Pair.of(self.ids, found)

    def take(self, webhook: Webhook) -> None:
        """Record the response to a change of a half, so that a read of its earlier state is noticed."""
        order = self.orders.get(webhook.id.lower())
        if order is not None and webhook.secret is not None and not order.is_stale(webhook):
            order.advance(webhook)

    @property
    def seen(self) -> frozenset[str]:
        """Fingerprints of all secrets of both halves that were seen."""
        return frozenset().union(*(order.seen for order in self.orders.values()))


@dataclass(frozen=True)
class PairSource:
    """Says what stores must hold for a pair; see :class:`~.push.Source`.

    :param plan: the run's plan.
    :param moves: what runs recorded about cut-overs.
    :param previous_for: how long stores keep the secret of the half that is not live.
    :param leaked: fingerprints of leaked secrets.
    :param now: returns the server's time.
    :param take_back: whether the stores must forget the secret of the half that never became live.
    """

    reader: PairReader
    plan: RotationPlan
    moves: Moves
    previous_for: timedelta
    now: Callable[[], datetime]
    leaked: frozenset[str] = frozenset()
    take_back: bool = False

    def read(self) -> tuple[Webhook, TwoSecrets]:
        """Read both halves; return the one that the run is about, and what to hold."""
        return self.wanted(self.reader.read())

    def wanted(self, pair: Pair) -> tuple[Webhook, TwoSecrets]:
        """The half that the run is about, and what stores must hold while Featurebase shows this pair.

        :raises PlanRefused: neither half exists any more.
        """
        if not pair.shown:
            raise PlanRefused(pair.name, "neither webhook of it exists any more")
        baseline = self.plan.pair
        first = baseline.was_live if baseline is not None else None
        halves = needed(pair, self.plan.mode, first=first, drained=self._is_drained(pair), leaked=self.leaked)
        # Its own half even if stores may forget that one's secret: the history of a half is about that half only.
        about = pair.get(self.plan.webhook_id) or halves[0]
        return about, TwoSecrets.of(
            about, halves, may_empty=self._may_empty(pair), spares_leaked=self.plan.is_emergency
        )

    @property
    def seen(self) -> frozenset[str]:
        """See :class:`~.push.Source`."""
        return self.reader.seen

    @property
    def _stays(self) -> bool:
        """Whether this run moves no deliveries."""
        return self.plan.pair is not None and self.plan.pair.was_live == self.plan.webhook_id.lower()

    def _is_drained(self, pair: Pair) -> bool:
        """Whether stores may forget the half that is not live."""
        baseline, live = self.plan.pair, pair.live
        if baseline is None or live is None or is_outdated(pair, self.moves):
            return False
        if self.take_back:
            is_back = live.id.lower() == baseline.was_live
            return is_back and never_became_live(pair, self.moves, previous_for=self.previous_for, now=self.now())
        is_own = live.id.lower() == self.plan.webhook_id.lower()
        if self.plan.mode == "revert" and self._stays:
            is_over = is_own and never_became_live(pair, self.moves, previous_for=self.previous_for, now=self.now())
        else:
            # Once the deliveries have moved, a task that runs again long after must not bring the old secret back.
            may_be = self.plan.mode == "distribute" or (is_own and not self._stays)
            is_over = may_be and is_drained(pair, self.moves, previous_for=self.previous_for, now=self.now())
        return is_over

    def _may_empty(self, pair: Pair) -> bool:
        if self.take_back or self.plan.is_emergency or (self.plan.mode == "revert" and self._stays):
            return True
        drained = self.moves.drained_to(pair.live.id) if pair.live is not None else None
        return drained is not None and self.now() - drained.moment >= self.previous_for
