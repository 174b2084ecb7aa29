"""The refresh, as a compare and swap: it is sent only while Featurebase's secret is still the plan's.

Featurebase documents neither an idempotency key nor a precondition for ``POST /v2/webhooks/{id}/secret``, and
the old secret is invalid at once. So the comparison is ours, the POST is never repeated within an attempt, and
an answer that is no answer is settled by reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.current import RefreshesSecrets, SecretOrder, is_older, read_current, secret_of
from featurebase_provider.rotation.errors import RefreshOutcomeUnknown, RefreshRefused, SecretMissing

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
    """Featurebase's current secret, and how it came to be.

    :param webhook: the webhook with the secret that is to be distributed.
    :param how: ``answered`` (our POST's own answer), ``found_after_lost_answer`` (our POST got no usable answer,
        a read shows a new secret), ``already_done`` (the secret is no longer the plan's: an earlier try, or
        somebody else), ``not_asked`` (the run distributes only).
    :param posted_at: monotonic seconds just before the POST was sent; None where this process sent none.
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
    :param order: what this process knows of the webhook's secrets; kept up to date.
    :param grace: seconds to look for the effect of a refresh that got no answer.
    :param later_attempt: whether an earlier try of the same Dag run may have sent a refresh that still commits;
        then the secret is watched for ``grace`` before the POST.
    :param allow_inactive: whether a webhook that is not active may be refreshed.
    :param newer: fingerprints that are known to have been refreshed to after the plan was made, so none has leaked.
    :param doubtful: what the plan calls older too long ago for a lag; see ``RotationPlan.doubtful``.
    :param say: takes sentences for the log.
    """

    api: RefreshesSecrets
    plan: RotationPlan
    order: SecretOrder = field(default_factory=SecretOrder)
    grace: float = 60.0
    later_attempt: bool = False
    allow_inactive: bool = False
    newer: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    say: Callable[[str], None] = lambda text: None
    clock: Clock = SYSTEM_CLOCK

    def run(self, may_post: Callable[[], None] = lambda: None) -> Refreshed:
        """Refresh if the secret still is the plan's, and return the current one.

        :param may_post: called just before the POST; raises RefreshRefused to hold it back.
        :raises RefreshRefused: the refresh may not be sent; the secret is unchanged.
        :raises RefreshOutcomeUnknown: no usable answer, and no change within the grace.
        :raises StaleRead: Featurebase goes on showing a secret that the plan knows to be older; nothing was refreshed.
        :raises ApiError: Featurebase refused, or could not be read; the message says which.
        """
        for fingerprint in self.plan.older:
            self.order.replace(fingerprint)
        webhook = self._read_baseline()
        if self.later_attempt and self.plan.refreshes and not self._moved_on(webhook):
            self.say(
                f"the secret still is {self.plan.before}; an earlier try may have sent a refresh that commits late, "
                f"so it is watched for {self.grace:.0f} s before one is sent"
            )
            # Read once more after the watch: what is checked must be seconds old when the POST is sent.
            webhook = self._watch() or self._read_baseline()
        if self._moved_on(webhook) and not self._may_have_leaked(webhook):
            return self._already_done(webhook)
        if not self.plan.refreshes:
            self.order.advance(webhook)
            return Refreshed(webhook, "not_asked")
        self._check_active(webhook)
        may_post()
        return self._post(secret_of(webhook).fingerprint)

    def _read_baseline(self) -> Webhook:
        if self.plan.is_emergency:
            # Whichever of its secrets Featurebase shows: none of them is to stay, and nothing may hold this up.
            return self.api.get_webhook(self.plan.webhook_id)
        since = SecretOrder(replaced=self.plan.older, updated_at=_moment(self.plan.updated_at), doubtful=self.doubtful)
        webhook = read_current(
            self.api,
            self.plan.webhook_id,
            since,
            patience=self.grace,
            clock=self.clock,
        )
        # One that the plan calls older, and that stays, is newer than the plan's baseline, which was a stale read.
        self._over -= self.doubtful & {secret_of(webhook).fingerprint}
        return webhook

    def _moved_on(self, webhook: Webhook) -> bool:
        """Whether the secret is newer than the plan's: neither that one nor one that the plan knows as older."""
        return secret_of(webhook).fingerprint not in self._over

    @cached_property
    def _over(self) -> set[str]:
        """Fingerprints that are not what a refresh by this plan has led to."""
        leaked = self.plan.leaked if self.plan.is_emergency else ()
        return {self.plan.before, *self.plan.older, *leaked}

    def _may_have_leaked(self, webhook: Webhook) -> bool:
        """Whether, in an emergency, an unknown secret may be older than the plan, which may rest on a stale read."""
        own_or_newer = self.later_attempt or secret_of(webhook).fingerprint in self.newer
        return self.plan.is_emergency and not own_or_newer

    def _already_done(self, webhook: Webhook) -> Refreshed:
        self._know_before()
        self.order.advance(webhook)
        note = (
            f"the secret is {secret_of(webhook).fingerprint}, no longer the plan's {self.plan.before}: an earlier try "
            "of this run has refreshed it, or somebody else has. Nothing was refreshed; what is current is distributed"
        )
        self.say(note)
        return Refreshed(webhook, "already_done", notes=(note,))

    def _know_before(self) -> None:
        for fingerprint in self._over:
            self.order.replace(fingerprint)

    def _check_active(self, webhook: Webhook) -> None:
        allowed = self.allow_inactive or self.plan.is_emergency
        if webhook.status != "active" and self.plan.status == "active" and not allowed:
            raise RefreshRefused(
                self.plan.webhook_id,
                f"it was active when planned and is {webhook.status!r} now; its secret was not refreshed. "
                "Set it active in Featurebase and clear this task, or say allow_inactive: true in the rotation file",
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
            raise RefreshOutcomeUnknown(
                self.plan.webhook_id,
                f"{problem}. For {self.grace:.0f} s Featurebase went on showing the old secret ({self.plan.before}), "
                "so most likely nothing was refreshed. A retry compares again before it "
                "refreshes",
            )
        self._know_before()
        self.order.advance(found)
        note = (
            f"the refresh got no usable answer ({problem}); a read shows the new secret {secret_of(found).fingerprint}"
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
            f"{before}Whether the secret was refreshed can't be read: {why}. If it was, deliveries fail until a retry "
            f"of this task distributes the new secret; a retry compares before it refreshes.{to_do}",
        )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
