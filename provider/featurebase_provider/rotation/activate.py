"""Sets the refreshed half of a pair active, after a last look at the stores and the receiver. No Airflow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.errors import (
    ActivationUnknown,
    HalfNotActivated,
    MemoryUnknown,
    StoresDisagree,
    StoresUnread,
)
from featurebase_provider.rotation.history import CLOCK_STEPS
from featurebase_provider.rotation.moves import Move, keep_move
from featurebase_provider.rotation.pair import differences
from featurebase_provider.rotation.pair_records import pair_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.cut_over_steps import MovesDeliveries
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.pair_reading import PairSource
    from featurebase_provider.rotation.pair_records import PairRecords
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.store import Store


@dataclass
class Activation:
    """Sets a half active, once everything was checked again.

    :param rotated: rotate's result in this Dag run.
    :param records: the records of the pair.
    :param source: reads both halves, and says what stores must hold.
    :param plan_key: the key under which the pair's newest plan is kept.
    :param proven: fingerprint of the half's secret with which the receiver was probed.
    :param probe: sends one event signed with a half's secret; raises ProbeFailed if the receiver refuses it.
    :param now: returns the server's time.
    :param say: logs a message.
    """

    api: MovesDeliveries
    rotated: RotationOutcome
    records: PairRecords
    source: PairSource
    stores: Sequence[Store]
    plan_key: str
    proven: str | None
    probe: Callable[[Webhook], None]
    now: Callable[[], datetime]
    say: Callable[[str], None]

    def run(self) -> str:
        """Check everything once more, record the moment, and set the half active. It is safe to run again.

        :returns: the moment from which deliveries may be signed with the new secret (server time, ISO 8601).
        :raises HalfNotActivated: the plan is not the newest, the secret has leaked or was changed since the probe, or
            the halves no longer deliver the same.
        :raises StoresDisagree: a store does not hold both secrets.
        :raises StoresUnread: a store can't be read.
        :raises ProbeFailed: the receiver refuses one of them.
        :raises ActivationUnknown: it is unknown whether the half is active.
        :raises MemoryUnknown: the moment could not be recorded; the half was not set active.
        """
        self._check_newest()
        self._wait()
        webhook = self._ready_half()
        if webhook.status == ACTIVE:
            self.say(f"Webhook {webhook.id} is active already")
        step = self._recorded(webhook)
        if webhook.status != ACTIVE:
            self._activate(webhook)
        if not step.done:
            self._record_done(step)
        return step.at

    def _check_newest(self) -> None:
        if not self.rotated.plan.is_same_as(self.records.memory.plan(self.plan_key)):
            raise HalfNotActivated(
                self.rotated.plan.webhook_id,
                "the plan of this Dag run is gone from Airflow's Variables, or another run's plan has replaced it, so "
                "this run must not move the deliveries; it was not set active. Trigger a new run",
            )

    def _wait(self) -> None:
        """Wait while a refresh that failed ambiguously may still take effect."""
        if self.rotated.waits_until is None:
            return
        self.source.reader.read()  # the server's time is not known before its first response
        left = (datetime.fromisoformat(self.rotated.waits_until) - self.now()).total_seconds()
        if left > 0:
            self.say(
                "A refresh of this run failed ambiguously and may still take effect, so the webhook is not set active "
                f"for another {left:.0f} s"
            )
            self.records.clock.sleep(left)

    def _ready_half(self) -> Webhook:
        """The half that is to be set active, once all checks have passed."""
        webhook_id = self.rotated.plan.webhook_id
        with arming(self.stores) as ready:  # read before Featurebase
            pair = self.source.reader.read()
            _, wanted = self.source.wanted(pair)
            unread = "; ".join(str(problem) for problem in ready.problems.values())
            lacking = [ready.armed[label].name for label, held in ready.held.items() if not wanted.held_by(held)]
        webhook = pair.get(webhook_id)
        if webhook is None or webhook.status not in (ACTIVE, PAUSED):
            state = "no longer exists" if webhook is None else f"is {webhook.status!r}"
            raise HalfNotActivated(webhook_id, f"it {state}, so it was not set active. Deliveries go on as before")
        self._check_old(pair, webhook)
        self._check_active(pair, webhook)
        self._check_equal(pair, webhook)
        if lacking:
            raise StoresDisagree(
                webhook.id,
                f"not every store holds the secrets of both webhooks: {', '.join(lacking)}. The webhook was not set "
                "active; deliveries go on as before. Clear the push tasks and all tasks after them",
            )
        if unread:
            raise StoresUnread(
                webhook.id,
                f"not every store can be read: {unread}. The webhook was not set active; a retry reads again",
            )
        self._check_proven(webhook)
        for half in pair.webhooks:
            # A half that was drained, long after this run has moved the deliveries, is accepted by nobody.
            if half is webhook or half.id in {one.webhook_id for one in wanted.needed}:
                self.probe(half)
        return webhook

    def _check_old(self, pair: Pair, webhook: Webhook) -> None:
        """Deliveries that a person has stopped since the plan must not go on through the other half."""
        was_live = pair_of(self.rotated.plan).was_live
        old = pair.get(was_live)
        if webhook.status != ACTIVE and (old is None or old.status != ACTIVE):
            state = "no longer exists" if old is None else f"is {old.status!r}"
            raise HalfNotActivated(
                webhook.id,
                f"webhook {was_live}, which delivered when this run was planned, {state}: a person or Featurebase did "
                f"that, so {webhook.id} was not set active, and nothing is delivered. Find out why. Then set one of "
                "them active in Featurebase: the stores hold both secrets",
            )

    def _check_active(self, pair: Pair, webhook: Webhook) -> None:
        """An active half must sign with the secret that was proven: the receiver refuses what no store holds.

        :raises HalfNotActivated: it does not; it was paused again if the other half delivers.
        """
        if webhook.status != ACTIVE or webhook.fingerprint == self.proven:
            return
        old = pair.get(pair_of(self.rotated.plan).was_live)
        why = f"{self._changed(webhook)} while it was set active, or since"
        if old is None or old.id == webhook.id or old.status != ACTIVE:
            raise HalfNotActivated(
                webhook.id,
                f"{why}. No other webhook of the pair is active, so it was left so. Trigger the Dag with "
                "mode=distribute at once: it writes the new secret to the stores",
            )
        self.source.reader.take(self.api.update_webhook(webhook.id, status="paused"))
        raise HalfNotActivated(
            webhook.id,
            f"{why}. It was paused again; webhook {old.id} has delivered all the time, and the stores hold its secret. "
            "Trigger a new run",
        )

    def _check_equal(self, pair: Pair, webhook: Webhook) -> None:
        """The halves were equal when the run was planned; an approval may have taken days since."""
        different = differences(pair)
        if different and webhook.status != ACTIVE and pair_of(self.rotated.plan).refreshes is not None:
            raise HalfNotActivated(
                webhook.id,
                f"it differs from the webhook that delivers in {', '.join(different)}: somebody has changed one of "
                "them since this run was planned, so moving the deliveries would change them. It was not set active; "
                "deliveries go on as before. Make both equal in Featurebase, then trigger a new run",
            )

    def _changed(self, webhook: Webhook) -> str:
        return (
            f"its secret is {webhook.fingerprint}, but the receiver was probed with {self.proven}: it was refreshed "
            "again"
        )

    def _check_proven(self, webhook: Webhook) -> None:
        if webhook.fingerprint != self.proven:
            raise HalfNotActivated(
                webhook.id,
                f"{self._changed(webhook)}. It was not set active. Clear the push tasks and all tasks after them",
            )
        if webhook.fingerprint in self.records.leaked_by_now():
            raise HalfNotActivated(
                webhook.id, "its secret is recorded as leaked, so it was not set active. Trigger a new run"
            )

    def _recorded(self, webhook: Webhook) -> Move:
        """The step as it is recorded; its moment is that from which deliveries may be signed with the new secret.

        :raises HalfNotActivated: an earlier try had set the half active, and somebody else has paused it since.
        """
        plan, moves = self.rotated.plan, self.records.moves
        earlier = moves.activated_by(plan)
        if earlier is not None:
            if webhook.status == ACTIVE:
                return earlier
            if moves.paused_by(plan, webhook.id) is None:
                changed = webhook.updated_at
                if changed is not None and changed > earlier.moment + CLOCK_STEPS:
                    raise HalfNotActivated(
                        webhook.id,
                        f"this run began to set it active at {earlier.at}, and it was changed after that, at "
                        f"{changed.isoformat()}. It is paused: a person or Featurebase may have paused it, so it stays "
                        "so. Deliveries go on as before. Trigger a new run",
                    )
                return earlier
        # About to: a half that never became active must not be taken for a stale read of one that did.
        step = Move.of(plan, plan.webhook_id, self.now().isoformat(), done=webhook.status == ACTIVE)
        keep_move(self.records.memory, "activated", step)
        return step

    def _record_done(self, step: Move) -> None:
        """Record that the half is active."""
        try:
            keep_move(self.records.memory, "activated", replace(step, done=True))
        except MemoryUnknown as exc:
            self.say(f"{exc.summary}. It stays recorded that webhook {step.webhook_id} was about to be set active")

    def _activate(self, webhook: Webhook) -> None:
        problem = ""
        try:
            self.source.reader.take(self.api.update_webhook(webhook.id, status="active"))
        except ApiError as exc:
            if exc.outcome_known:
                raise
            problem = f"{exc.summary}. "
        pair = self.source.reader.read()
        shown = pair.get(webhook.id)
        if shown is None or shown.status != ACTIVE:
            raise ActivationUnknown(
                webhook.id,
                f"{problem}Featurebase does not show it active after it was set so. The stores hold "
                "both secrets, so nothing is refused either way. A retry looks again",
            )
        self._check_active(pair, shown)
        self.say(f"Webhook {webhook.id} is active: from now on each event is delivered twice")
