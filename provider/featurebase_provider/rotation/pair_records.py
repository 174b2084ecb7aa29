"""A pair's records, read for one task, and what stores must hold by them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.errors import MemoryUnknown, PlanUnreadable
from featurebase_provider.rotation.history import order_of
from featurebase_provider.rotation.moves import Moves, pair_id
from featurebase_provider.rotation.pair_reading import PairReader, PairSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from featurebase_provider.rotation.current import ReadsWebhooks, SecretOrder
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import PairBaseline, RotationPlan
    from featurebase_provider.rotation.rotate import RotationOutcome


@dataclass(frozen=True)
class PairRecords:
    """The records of a pair, read for one task.

    :param memory: those of the pair: its plan, and the steps of its cut-over.
    :param halves: those of each half, by id in lower case.
    :param histories: what earlier runs recorded about each half, by id in lower case.
    :param managed_from: which Airflow writes, for the marks in stores.
    """

    memory: WebhookMemory
    halves: Mapping[str, WebhookMemory]
    histories: Mapping[str, History]
    moves: Moves
    managed_from: str
    clock: Clock = field(default=SYSTEM_CLOCK)

    @classmethod
    def read(
        cls,
        ids: tuple[str, str],
        *,
        memory_of: Callable[[str], WebhookMemory],
        recall: Callable[[WebhookMemory], History],
        managed_from: str,
        tolerate: Callable[[MemoryUnknown], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> PairRecords:
        """Read them.

        :param ids: the ids of both webhooks, in the order of the rotation file.
        :param memory_of: returns the records of the webhook or pair with this id.
        :param recall: returns what earlier runs recorded about a half.
        :param tolerate: called with the error if the pair's records can't be read; they then count as missing.
            Without it the error is raised.
        :raises MemoryUnknown: a record can't be read.
        """
        memory = memory_of(pair_id(ids))
        halves = {webhook_id.lower(): memory_of(webhook_id.lower()) for webhook_id in ids}
        histories = {webhook_id: recall(records) for webhook_id, records in halves.items()}
        try:
            moves = Moves.read(memory)
        except MemoryUnknown as exc:
            if tolerate is None:
                raise
            tolerate(exc)
            moves = Moves()
        return cls(memory, halves, histories, moves, managed_from, clock)

    @property
    def known(self) -> tuple[str, ...]:
        """Fingerprints of all known secrets of both halves."""
        return tuple(dict.fromkeys(known for history in self.histories.values() for known in history.known))

    @property
    def leaked(self) -> frozenset[str]:
        """Fingerprints of the leaked secrets of both halves."""
        return frozenset().union(*(history.leaked for history in self.histories.values()))

    def leaked_by_now(self) -> frozenset[str]:
        """The same, read again.

        :raises MemoryUnknown: a record can't be read.
        """
        return frozenset().union(*(records.leaked() for records in self.halves.values()))

    def orders(self, now: datetime) -> dict[str, SecretOrder]:
        """What is known about the order of each half's secrets, by id in lower case.

        :param now: server time.
        """
        return {webhook_id: history.order(now) for webhook_id, history in self.histories.items()}

    def reader(self, api: ReadsWebhooks, now: datetime, *, patience: float = 30.0) -> PairReader:
        """Reads both halves before there is a plan.

        :param now: server time.
        :param patience: see :class:`~.pair_reading.PairReader`.
        """
        return PairReader(api, self._ids, self.orders(now), patience=patience, clock=self.clock, moves=self.moves)

    def source(
        self,
        api: ReadsWebhooks,
        plan: RotationPlan,
        previous_for: timedelta,
        *,
        now: Callable[[], datetime],
        rotated: RotationOutcome | None = None,
        own_order: SecretOrder | None = None,
        take_back: bool = False,
        may_miss: bool = False,
    ) -> PairSource:
        """What stores must hold by this plan.

        :param now: returns the server's time.
        :param rotated: rotate's result in this Dag run.
        :param own_order: the order of the secrets of the half that the plan is about, if the caller has its own.
        :param take_back: see :class:`~.pair_reading.PairSource`.
        :param may_miss: whether the caller decides what it means if a half is missing that the plan saw.
        :raises PlanUnreadable: the plan is about other webhooks than these records.
        """
        self.check_same(plan)
        tolerant = may_miss or plan.is_emergency or plan.pair is None
        planned = frozenset(() if tolerant else pair_of(plan).webhooks)
        own, orders = plan.webhook_id.lower(), self.orders(now())
        if own in orders:
            orders[own] = own_order or order_of(plan, rotated, self.histories[own], now())
        return PairSource(
            PairReader(api, self._ids, orders, planned, clock=self.clock, moves=self.moves),
            plan,
            self.moves,
            previous_for,
            now,
            leaked=self.leaked,
            take_back=take_back,
        )

    def rule(self, plan: RotationPlan, rotated: RotationOutcome | None = None) -> WriteRule:
        """The rules by which this Dag run may write stores."""
        known = [*self.known, *(rotated.known if rotated is not None else ())]
        return plan.rule(self.managed_from, also_known=known).knowing(leaked=self.leaked)

    def check_same(self, plan: RotationPlan) -> None:
        """Check that the plan is about these webhooks.

        By any other plan, stores would lose the secret of an active webhook that the rotation file no longer names.

        :raises PlanUnreadable: it is about others.
        """
        planned = plan.pair.webhooks.keys() if plan.pair is not None else ()
        if not set(planned) <= self.halves.keys():
            raise PlanUnreadable(
                plan.webhook_id,
                f"the plan of this Dag run is about the webhooks {' and '.join(planned)}, but the rotation file names "
                f"{' and '.join(self.halves)} now; this try changed nothing. Trigger a new run",
            )

    @property
    def _ids(self) -> tuple[str, str]:
        first, second = self.halves
        return first, second


def pair_of(plan: RotationPlan) -> PairBaseline:
    """The pair in a plan.

    :raises PlanUnreadable: the plan is one of a single webhook.
    """
    if plan.pair is None:
        raise PlanUnreadable(
            plan.webhook_id,
            "the plan of this Dag run was made for a single webhook, before the rotation file named a pair; this try "
            "changed nothing. Trigger a new run",
        )
    return plan.pair
