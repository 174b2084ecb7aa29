"""Refreshes the secret by compare and swap: the POST is sent only while Featurebase's secret is still the plan's.

Featurebase documents neither an idempotency key nor a precondition for ``POST /v2/webhooks/{id}/secret``, and
the old secret becomes invalid at once. So this module compares before it sends, never repeats the POST within one
try, and after an ambiguous failure (timeout, reset, 5xx, unreadable body) reads the webhook to learn what happened.

If reads keep showing the old secret, Featurebase's audit log is a second witness, where it can be read. A refresh in
it since the plan was made, whoever sent it, means that the plan's secret is no longer current and that the reads are
stale: then no refresh is sent. The log has no fingerprints and may lag, so a log without such a refresh proves nothing.
An emergency does not ask it: a second refresh does a leaked secret no harm, and waiting does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import PAUSED
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.current import RefreshesSecrets, SecretOrder, is_older, read_current, secret_of
from featurebase_provider.rotation.errors import RefreshOutcomeUnknown, RefreshRefused, SecretMissing
from featurebase_provider.rotation.refresh_log import RefreshesSincePlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.plan import RotationPlan

How = Literal["answered", "found_after_lost_answer", "already_done", "not_asked"]
FIRST_POLL_SECONDS = 0.2
LAST_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Featurebase's current secret, and how it was obtained.

    :param webhook: the webhook with the secret to write to the stores.
    :param how: ``answered`` (the response to this try's POST), ``found_after_lost_answer`` (the POST failed
        ambiguously, and a read shows a new secret), ``already_done`` (the secret is no longer the plan's: an earlier
        try or somebody else refreshed it), ``not_asked`` (the run only distributes).
    :param posted_at: monotonic seconds just before the POST was sent; None if this process sent none.
    :param notes: sentences for the log and the report.
    """

    webhook: Webhook
    how: How
    posted_at: float | None = None
    notes: tuple[str, ...] = ()


@dataclass
class CompareAndSwap:
    """Refreshes one webhook's secret at most once.

    :param api: the Featurebase client.
    :param plan: the baseline of the Dag run.
    :param order: what this process knows about the webhook's secrets; updated by the refresh.
    :param grace: seconds to look for the effect of a refresh that failed ambiguously.
    :param later_attempt: whether an earlier try of the same Dag run may have sent a refresh that takes effect later;
        then the secret is watched for ``grace`` before the POST.
    :param allow_inactive: whether a webhook that is not active may be refreshed.
    :param newer: fingerprints of secrets known to be newer than the plan; none of them has leaked.
    :param doubtful: secrets that the plan lists as older but that may be current after all; see
        ``RotationPlan.doubtful``.
    :param log: reads the refreshes since the plan from Featurebase's audit log; never called in an emergency.
    :param say: logs a message.
    """

    api: RefreshesSecrets
    plan: RotationPlan
    order: SecretOrder = field(default_factory=SecretOrder)
    grace: float = 60.0
    later_attempt: bool = False
    allow_inactive: bool = False
    newer: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    log: Callable[[], RefreshesSincePlan] = RefreshesSincePlan
    say: Callable[[str], None] = lambda text: None
    clock: Clock = SYSTEM_CLOCK

    def run(self, may_post: Callable[[], None] = lambda: None) -> Refreshed:
        """Refresh if the secret is still the plan's, and return the current one.

        :param may_post: called just before the POST; raises RefreshRefused to prevent it.
        :raises RefreshRefused: the refresh must not be sent; the secret is unchanged.
        :raises RefreshOutcomeUnknown: the POST failed ambiguously, and no change was seen within the grace; or, in a
            later try, Featurebase's audit log shows a refresh that reads don't.
        :raises StaleRead: Featurebase keeps showing a secret that is older than the plan's; nothing was refreshed.
        :raises ApiError: Featurebase refused, or could not be read; the message says which.
        """
        for fingerprint in self.plan.older:
            self.order.replace(fingerprint)
        webhook = self._read_baseline()
        if self.later_attempt and self.plan.refreshes and not self._moved_on(webhook):
            self.say(
                f"the secret is still {self.plan.before}. An earlier try may have sent a refresh that takes effect "
                f"late, so the secret is watched for {self.grace:.0f} s before another one is sent"
            )
            webhook = self._watch() or self._read_after_watch()
        if self._moved_on(webhook) and not self._may_have_leaked(webhook):
            return self._already_done(webhook)
        if not self.plan.refreshes:
            self.order.advance(webhook)
            return Refreshed(webhook, "not_asked")
        self._check_active(webhook)
        may_post()
        return self._post(secret_of(webhook).fingerprint)

    def _read_after_watch(self) -> Webhook:
        """Ask the log, and read once more: the compared secret must be at most seconds old when the POST is sent."""
        stale = self._stale_by_log()
        if stale is not None:
            raise RefreshOutcomeUnknown(self.plan.webhook_id, f"This try sent no refresh: {stale}")
        return self._read_baseline()

    def _stale_by_log(self) -> str | None:
        """A message if Featurebase's audit log shows a refresh since the plan, and reads still show the old secret."""
        refreshes = self.log().refreshes if not self.plan.is_emergency else ()
        if not refreshes:
            return None
        harm = "deliveries may fail" if self.plan.pair is None else "the webhook must stay paused"
        return (
            f"Featurebase's audit log shows that the secret was refreshed at {refreshes[0].at.isoformat()} by "
            f"{refreshes[0].by}, but for {self.grace:.0f} s reads have shown the old secret ({self.plan.before}). They "
            f"are probably stale. Until a retry of this task reads the new secret and distributes it, {harm}. While "
            "the log shows that refresh, no retry sends another one; if retries keep failing, trigger a new run, which "
            "makes a new plan"
        )

    def _read_baseline(self) -> Webhook:
        if self.plan.is_emergency:
            # In an emergency it does not matter which secret Featurebase shows: none may stay, and nothing may wait.
            return self.api.get_webhook(self.plan.webhook_id)
        since = SecretOrder(replaced=self.plan.older, updated_at=_moment(self.plan.updated_at), doubtful=self.doubtful)
        webhook = read_current(
            self.api,
            self.plan.webhook_id,
            since,
            patience=self.grace,
            clock=self.clock,
        )
        # If a secret that the plan lists as older stays, the plan's baseline was a stale read, and this one is newer.
        self._over -= self.doubtful & {secret_of(webhook).fingerprint}
        return webhook

    def _moved_on(self, webhook: Webhook) -> bool:
        """Whether the secret is newer than the plan's: neither the plan's own nor one that the plan lists as older."""
        return secret_of(webhook).fingerprint not in self._over

    @cached_property
    def _over(self) -> set[str]:
        """Fingerprints that can't be the result of a refresh by this plan."""
        leaked = self.plan.leaked if self.plan.is_emergency else ()
        return {self.plan.before, *self.plan.older, *leaked}

    def _may_have_leaked(self, webhook: Webhook) -> bool:
        """Whether, in an emergency, an unknown secret may be older than the plan, if the plan used a stale read."""
        own_or_newer = self.later_attempt or secret_of(webhook).fingerprint in self.newer
        return self.plan.is_emergency and not own_or_newer

    def _already_done(self, webhook: Webhook) -> Refreshed:
        self._know_before()
        self.order.advance(webhook)
        note = (
            f"the secret is {secret_of(webhook).fingerprint}, no longer the plan's {self.plan.before}: an earlier try "
            "of this run, or somebody else, has refreshed it. This try refreshes nothing and writes the current secret"
        )
        self.say(note)
        return Refreshed(webhook, "already_done", notes=(note,))

    def _know_before(self) -> None:
        for fingerprint in self._over:
            self.order.replace(fingerprint)

    def _check_active(self, webhook: Webhook) -> None:
        if self.plan.pair is not None and not self.plan.is_emergency:
            self._check_standby(webhook)
            return
        allowed = self.allow_inactive or self.plan.is_emergency
        if webhook.status != "active" and self.plan.status == "active" and not allowed:
            raise RefreshRefused(
                self.plan.webhook_id,
                f"it was active when planned and is {webhook.status!r} now; its secret was not refreshed. "
                "Set it active in Featurebase and clear this task, or set allow_inactive: true in the rotation file",
            )

    def _check_standby(self, webhook: Webhook) -> None:
        """A half of a pair may be refreshed only while nobody depends on it."""
        if webhook.status != PAUSED:
            raise RefreshRefused(
                self.plan.webhook_id,
                f"it was paused when planned and is {webhook.status!r} now, so receivers may depend on its secret; it "
                "was not refreshed. Set it paused in Featurebase, then trigger a new run",
            )

    def _post(self, shown: str) -> Refreshed:
        self._over.add(shown)
        posted_at = self.clock.monotonic()
        try:
            answer = self.api.refresh_secret(self.plan.webhook_id)
        except ApiError as exc:
            if exc.outcome_known:
                raise
            problem = exc.summary
        else:
            if answer.secret is not None and self._moved_on(answer):
                self._know_before()
                self.order.advance(answer)
                return Refreshed(answer, "answered", posted_at)
            held = "the old secret unchanged" if answer.secret is not None else "no secret"
            problem = f"Featurebase answered the refresh with {held}"
        self.say(f"{problem}. The refresh may have happened: reading the webhook for {self.grace:.0f} s to find out")
        return self._settle_by_reading(posted_at, problem)

    def _settle_by_reading(self, posted_at: float, problem: str) -> Refreshed:
        found = self._watch(problem)
        if found is None:
            unseen = self._stale_by_log() or (
                f"For {self.grace:.0f} s Featurebase kept showing the old secret ({self.plan.before}), "
                "so most likely nothing was refreshed. A retry compares again before it refreshes"
            )
            raise RefreshOutcomeUnknown(self.plan.webhook_id, f"{problem}. {unseen}")
        self._know_before()
        self.order.advance(found)
        note = (
            f"the refresh call failed ambiguously ({problem}); a read shows the new secret "
            f"{secret_of(found).fingerprint}"
        )
        self.say(note)
        return Refreshed(found, "found_after_lost_answer", posted_at, (note,))

    def _watch(self, problem: str = "") -> Webhook | None:
        """Read until the secret is no longer the plan's (that webhook) or the grace is over (None)."""
        deadline = self.clock.monotonic() + self.grace
        pause = FIRST_POLL_SECONDS
        unread: ApiError | SecretMissing | None = None
        while True:
            try:
                webhook = self.api.get_webhook(self.plan.webhook_id)
                unread = None
                if self._moved_on(webhook) and not is_older(webhook.updated_at, _moment(self.plan.updated_at)):
                    return webhook
            except SecretMissing as exc:
                unread = exc
            except ApiError as exc:
                if not exc.retry_helps:
                    raise self._unreadable(problem, exc) from None
                unread = exc
            left = deadline - self.clock.monotonic()
            if left <= 0:
                break
            self.clock.sleep(min(pause, left))
            pause = min(pause * 2, LAST_POLL_SECONDS)
        if unread is not None:
            raise self._unreadable(problem, unread) from None
        return None

    def _unreadable(self, problem: str, exc: FeaturebaseError) -> RefreshOutcomeUnknown:
        before = f"{problem}. " if problem else ""
        why, to_do = (exc.summary, f" {exc.to_do}") if isinstance(exc, ApiError) else (str(exc), "")
        return RefreshOutcomeUnknown(
            self.plan.webhook_id,
            f"{before}It is unknown whether the secret was refreshed, since the webhook can't be read: {why}. If it "
            "was, deliveries fail until a retry of this task distributes the new secret; a retry compares before it "
            f"refreshes.{to_do}",
        )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
