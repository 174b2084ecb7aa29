"""Takes the steps of a cut-over: pauses the old half of a pair, or the new one if it fails. No Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import ACTIVE
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.current import ReadsWebhooks
from featurebase_provider.rotation.cut_over import CONFIRM_SECONDS, CutOverWatch, Step
from featurebase_provider.rotation.errors import CutOverStopped, CutOverUnread, MemoryUnknown, StoresLeftOver
from featurebase_provider.rotation.health import failed, last_result
from featurebase_provider.rotation.moves import Move, Moves, keep_move
from featurebase_provider.rotation.push import push_all_until_agreed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.pair_reading import PairSource
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store

_BOTH_IN_STORES = "The stores hold both secrets, so no delivery is refused"

_FIND_OUT = (
    "Find out who intervened. Then set the webhook that is to deliver active, and pause the other one, or trigger the "
    "Dag with mode=revert or mode=distribute"
)


class MovesDeliveries(ReadsWebhooks, Protocol):
    """The part of the Featurebase client that moves deliveries from one webhook to another."""

    def update_webhook(self, webhook_id: str, *, status: Literal["active", "paused"]) -> Webhook:
        """Set a webhook active or paused."""


@dataclass
class CutOverSteps:
    """Reads both halves, and takes the step that is due.

    :param memory: the records of the pair.
    :param source: reads both halves, and says what stores must hold.
    :param rule: the rules for writing the stores.
    :param leaked: returns the fingerprints recorded as leaked by now, or raises MemoryUnknown.
    :param now: returns the server's time.
    :param say: logs a message.
    """

    api: MovesDeliveries
    plan: RotationPlan
    memory: WebhookMemory
    source: PairSource
    rule: WriteRule
    watch: CutOverWatch
    leaked: Callable[[], frozenset[str]]
    now: Callable[[], datetime]
    say: Callable[[str], None]
    clock: Clock = field(default=SYSTEM_CLOCK)

    def look(self, seen: str | None = None) -> Step:
        """Read both halves, twice if a step is due, and return the step.

        :param seen: the step that the trigger saw. It watched for longer, so it knows that the new half fails.
        """
        step = self.watch.observe(self._read(), now=self.now())
        if step.kind == "wait" and self.watch.is_unsure:
            self.clock.sleep(CONFIRM_SECONDS)
            step = self.watch.observe(self._read(), now=self.now())
        if step.kind == "wait" and seen == "pause_new":
            new = self._read().get(self.watch.cut_over.new)
            if new is not None and new.status == ACTIVE and new.last_status is not None and failed(new.last_status):
                return Step("pause_new", f"deliveries of webhook {new.id} fail{last_result(new)}")
        return step

    def take(self, step: Step, stores: Sequence[Store]) -> dict[str, Any] | None:
        """Take a step.

        :returns: the result once only the new half delivers; None to look again.
        :raises CutOverStopped: the cut-over is over, and the new half does not deliver alone.
        :raises CutOverUnread: it is not known whether the step was taken.
        :raises StoresLeftOver: a store could not be updated before the old half is paused.
        :raises MemoryUnknown: the step could not be recorded before it was taken; nothing was changed.
        """
        if step.kind != "stopped":  # the records may show another reason
            self.say(f"{step.kind.replace('_', ' ')}: {step.why}")
        if step.kind == "done":
            paused = self.source.moves.paused_by(self.plan, self.watch.cut_over.old)
            if paused is not None and not paused.done:
                self._record_paused(paused.webhook_id, paused.at)
            elif paused is None and (begun := self.source.moves.open) is not None:
                self._record_ended(begun)
            return self.result(step.why)
        if step.kind == "push":
            self._push(stores)
            return None
        if step.kind == "pause_old":
            return self._pause_old(step.why)
        if step.kind == "pause_new":
            self._pause_new(step.why)
            return None
        if step.kind == "restore_old":
            self._check_kept(step.why)
            self._set(self.watch.cut_over.old, "active")
            raise CutOverStopped(
                self.plan.webhook_id,
                f"{step.why}. That one was set active again and delivers. {_BOTH_IN_STORES}. {_FIND_OUT}",
            )
        self._stop(step.why)
        return None

    def result(self, detail: str) -> dict[str, Any]:
        """What the task leaves for the report."""
        watch = self.watch
        paused = self.source.moves.paused_by(self.plan, watch.cut_over.old)
        return {
            "moved": True,
            "detail": detail,
            "old": watch.cut_over.old,
            "new": watch.cut_over.new,
            "activated_at": watch.cut_over.activated_at,
            "paused_at": paused.at if paused is not None else None,
            "polls": watch.polls,
            "refused": watch.refused,
        }

    def _delivers(self, webhook_id: str) -> bool:
        """Whether a half is active; one read that says no is not believed."""
        for last in (False, True):
            shown = self._read().get(webhook_id)
            if shown is not None and shown.status == ACTIVE:
                return True
            if not last:
                self.clock.sleep(CONFIRM_SECONDS)
        return False

    def _read(self) -> Pair:
        return self.source.reader.read()

    def _stop(self, why: str) -> None:
        """End the cut-over, unless the records, read again, show that this run itself paused a half.

        :raises CutOverStopped: they don't.
        :raises MemoryUnknown: they can't be read; a retry looks again.
        """
        moves, watch = Moves.read(self.memory), self.watch
        if not watch.paused_by_us and moves.paused_by(self.plan, watch.cut_over.old) is not None:
            watch.paused_by_us = True
            return
        if moves.paused_by(self.plan, watch.cut_over.new) is not None:
            raise CutOverStopped(
                self.plan.webhook_id,
                f"webhook {watch.cut_over.new} does not deliver: this run paused it, or was about to, since its "
                f"deliveries failed or its secret was changed. The stores hold the secret of webhook "
                f"{watch.cut_over.old}. Remove the cause, then trigger a new run",
            )
        raise CutOverStopped(self.plan.webhook_id, f"{why}. {_FIND_OUT}")

    def _check_kept(self, why: str) -> None:
        """Long after the cut-over, stores hold the old half's secret no longer: then it must not deliver again.

        :raises CutOverStopped: they need not hold it; no half is set active.
        """
        paused = self.source.moves.paused_by(self.plan, self.watch.cut_over.old)
        if paused is not None and self.now() - paused.moment >= self.source.previous_for:
            raise CutOverStopped(
                self.plan.webhook_id,
                f"{why} so long ago that the stores may hold its secret no longer: no webhook is set active, and "
                f"nothing is delivered. {_FIND_OUT}",
            )

    def _push(self, stores: Sequence[Store]) -> None:
        pushed = push_all_until_agreed(self.source, stores, self.rule)
        if pushed.left:
            names = "; ".join(str(store.problem).rstrip(".") for store in pushed.left)
            raise StoresLeftOver(
                self.plan.webhook_id, f"a webhook of the pair was refreshed, and stores do not hold its secret: {names}"
            )
        pair, cut_over = self._read(), self.watch.cut_over
        old, new = pair.get(cut_over.old), pair.get(cut_over.new)
        if old is not None:
            cut_over = replace(cut_over, old_holds=str(old.fingerprint))
        if new is not None and (old is None or old.status != ACTIVE):
            # Beside the old half, a new one whose secret was not probed is paused.
            cut_over = replace(cut_over, new_holds=str(new.fingerprint))
        self.watch.cut_over = cut_over

    def _pause_old(self, why: str) -> dict[str, Any]:
        old, new = self.watch.cut_over.old, self.watch.cut_over.new
        if self.watch.cut_over.new_holds in self.leaked():
            self._leave_leaked()
        at = self.now().isoformat()
        # Recorded first: a later try must know that this run, and no person, paused it.
        keep_move(self.memory, "paused", Move.of(self.plan, old, at, done=False))
        self.watch.paused_by_us = True
        self._set(old, "paused")
        if not self._delivers(new):
            self._set(old, "active")
            raise CutOverStopped(
                self.plan.webhook_id,
                f"webhook {new} stopped delivering in the moment in which webhook {old} was paused, so {old} was set "
                f"active again and delivers. {_BOTH_IN_STORES}. {_FIND_OUT}",
            )
        self._record_paused(old, at)
        return {**self.result(why), "paused_at": at}

    def _leave_leaked(self) -> None:
        """Deliveries must not move to a half whose secret has leaked, while this run was under way.

        :raises CutOverStopped: always; the new half is paused, unless the old one's secret has leaked, too.
        """
        cut_over = self.watch.cut_over
        why = f"the secret of webhook {cut_over.new} is recorded as leaked"
        if cut_over.old_holds not in self.leaked():
            self._pause_new(why)
        raise CutOverStopped(
            self.plan.webhook_id,
            f"{why}, and so is that of webhook {cut_over.old}; neither was paused, and both deliver. Trigger "
            "featurebase_emergency_rotation, or clear its failed tasks, then trigger this Dag with mode=distribute",
        )

    def _pause_new(self, why: str) -> None:
        old, new = self.watch.cut_over.old, self.watch.cut_over.new
        at = self.now().isoformat()
        self._record_paused(new, at, done=False)
        self._set(new, "paused")
        if not self._delivers(old):
            self._set(new, "active")
            raise CutOverUnread(
                self.plan.webhook_id,
                f"{why}; but webhook {old} does not deliver any more, so {new} was set active again. A retry goes on",
            )
        self._record_paused(new, at)
        raise CutOverStopped(
            self.plan.webhook_id,
            f"{why}. It was paused again; webhook {old} has delivered all the time and goes on, and the stores hold "
            "its secret. Remove the cause, then trigger a new run",
        )

    def _record_paused(self, webhook_id: str, at: str, *, done: bool = True) -> None:
        try:
            keep_move(self.memory, "paused", Move.of(self.plan, webhook_id, at, done=done))
        except MemoryUnknown as exc:
            self.say(f"{exc.summary}. The time at which webhook {webhook_id} was paused is then taken from Featurebase")

    def _record_ended(self, begun: Move) -> None:
        """Record that a cut-over is over that somebody else has finished, so that no later run goes on with it.

        The step is no run's, as no run may set that half active again.
        """
        if begun.webhook_id.lower() != self.watch.cut_over.new:
            return
        try:
            keep_move(self.memory, "paused", Move(self.watch.cut_over.old, self.now().isoformat()))
        except MemoryUnknown as exc:
            self.say(f"{exc.summary}. If both webhooks become active again, a later run may go on with this cut-over")

    def _set(self, webhook_id: str, status: Literal["active", "paused"]) -> None:
        """Set a half's status, and make sure that Featurebase shows it.

        :raises CutOverUnread: Featurebase shows another one.
        """
        problem = ""
        try:
            self.source.reader.take(self.api.update_webhook(webhook_id, status=status))
        except ApiError as exc:
            if exc.outcome_known:
                raise
            problem = f"{exc.summary}. "
        shown = self._read().get(webhook_id)
        if shown is None or shown.status != status:
            state = "gone" if shown is None else repr(shown.status)
            raise CutOverUnread(
                self.plan.webhook_id,
                f"{problem}Featurebase shows webhook {webhook_id} as {state} after it was set {status}. "
                f"{_BOTH_IN_STORES}. A retry looks again",
            )
