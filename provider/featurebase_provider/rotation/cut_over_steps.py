"""Takes the steps of a cut-over: pauses the old half of a pair, or the new one if it fails. No Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import ACTIVE
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.current import ReadsWebhooks
from featurebase_provider.rotation.cut_over import CONFIRM_SECONDS, CutOverWatch, Step
from featurebase_provider.rotation.errors import MemoryUnknown, RotationError, StoresLeftOver
from featurebase_provider.rotation.health import last_result
from featurebase_provider.rotation.moves import Move, keep_move
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


class CutOverStopped(RotationError):
    """The cut-over ended before only the new half delivered; the message says what delivers now."""

    retry_helps = False


class CutOverUnread(RotationError):
    """It is not known whether a step was taken, or Featurebase could not be read; a retry goes on."""


@dataclass
class CutOverSteps:
    """Reads both halves, and takes the step that is due.

    :param memory: the records of the pair.
    :param source: reads both halves, and says what stores must hold.
    :param rule: the rules for writing the stores.
    :param now: returns the server's time.
    :param say: logs a message.
    """

    api: MovesDeliveries
    plan: RotationPlan
    memory: WebhookMemory
    source: PairSource
    rule: WriteRule
    watch: CutOverWatch
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
            if new is not None and new.status == ACTIVE:
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
        self.say(f"{step.kind.replace('_', ' ')}: {step.why}")
        if step.kind == "done":
            paused = self.source.moves.paused
            if paused is not None and paused.is_of(self.plan) and not paused.done:
                self._record_paused(paused.webhook_id, paused.at)
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
            self._set(self.watch.cut_over.old, "active")
            raise CutOverStopped(
                self.plan.webhook_id,
                f"{step.why}. That one was set active again and delivers. {_BOTH_IN_STORES}. {_FIND_OUT}",
            )
        raise CutOverStopped(self.plan.webhook_id, f"{step.why}. {_FIND_OUT}")

    def result(self, detail: str) -> dict[str, Any]:
        """What the task leaves for the report."""
        watch = self.watch
        paused = self.source.moves.paused
        return {
            "moved": True,
            "detail": detail,
            "old": watch.cut_over.old,
            "new": watch.cut_over.new,
            "activated_at": watch.cut_over.activated_at,
            "paused_at": paused.at if paused is not None and paused.is_of(self.plan) else None,
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

    def _push(self, stores: Sequence[Store]) -> None:
        pushed = push_all_until_agreed(self.source, stores, self.rule)
        if pushed.left:
            names = "; ".join(str(store.problem).rstrip(".") for store in pushed.left)
            raise StoresLeftOver(
                self.plan.webhook_id, f"a webhook of the pair was refreshed, and stores do not hold its secret: {names}"
            )
        pair, cut_over = self._read(), self.watch.cut_over
        holds = {half: webhook.fingerprint for half in (cut_over.old, cut_over.new) if (webhook := pair.get(half))}
        self.watch.cut_over = replace(
            cut_over,
            old_holds=holds.get(cut_over.old) or cut_over.old_holds,
            new_holds=holds.get(cut_over.new) or cut_over.new_holds,
        )

    def _pause_old(self, why: str) -> dict[str, Any]:
        old, new = self.watch.cut_over.old, self.watch.cut_over.new
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

    def _pause_new(self, why: str) -> None:
        old, new = self.watch.cut_over.old, self.watch.cut_over.new
        at = self.now().isoformat()
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
            f"{why}. It was paused again; webhook {old} has delivered all the time and goes on. {_BOTH_IN_STORES}. Fix "
            "the receiver, then trigger a new run",
        )

    def _record_paused(self, webhook_id: str, at: str) -> None:
        try:
            keep_move(self.memory, "paused", Move.of(self.plan, webhook_id, at))
        except MemoryUnknown as exc:
            self.say(f"{exc.summary}. The time at which webhook {webhook_id} was paused is then taken from Featurebase")

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
