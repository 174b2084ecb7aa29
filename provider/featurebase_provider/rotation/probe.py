"""Prove that the receiver verifies signatures, with harmless events signed as Featurebase would sign them."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock, Moment
from featurebase_provider.rotation.destination import Resolve, addresses_of, shown_host
from featurebase_provider.rotation.errors import ProbeFailed, ProbeUndecided
from featurebase_provider.rotation.signed_event import (
    ASK_FOR_ANOTHER_TRY,
    ID_PREFIX,
    MOST_ADDRESSES,
    TOPIC,
    Answer,
    EventSender,
    probe_event,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from featurebase_provider.featurebase.models import Webhook

__all__ = [
    "ID_PREFIX",
    "MOST_ADDRESSES",
    "STEADY_EVENTS",
    "TOPIC",
    "WARY",
    "WRONG_KEY_TRIES",
    "Answer",
    "Probe",
    "ProbeOutcome",
    "ProbeResult",
    "probe_event",
]

ProbeResult = Literal["accepted", "refused", "topic_refused", "unreachable", "verifies_nothing", "unproven"]

STEADY_EVENTS = 50
"""Events that are sent in the steady time, if the receiver answers fast enough.

A balancer that picks replicas at random leads all of 51 events past one old replica of ten in 1 of 200 cases.
"""

WARY = 3
"""How many times as long as any time without a refusal that a refusal has ended the last one must be.

Each refusal gives chance another go: without this, one old replica of ten gets through in every second probe of ten
minutes, with it in 6 of 100.
"""

WRONG_KEY_TRIES = 5
"""Events with a wrong key that are sent until an answer decides."""


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What a probe showed; holds no secret.

    :param result: ``accepted``, ``refused`` (the right signature too), ``topic_refused`` (right and wrong signature
        get different refusals), ``unreachable`` (no answer, or that the receiver can't serve), ``verifies_nothing`` (a
        wrong key was accepted), or ``unproven`` (the right signature was accepted, and no event with a wrong key got
        an answer that refuses it).
    :param detail: what was seen and what to look at; names the receiver's host.
    :param fingerprint: of the secret that signed.
    :param accepted: how many events with the right signature were accepted.
    :param attempts: how many were sent.
    :param first_accepted: the moment of the first acceptance after the last refusal: until then deliveries could fail.
        None where the right signature was not accepted to the end.
    """

    result: ProbeResult
    detail: str
    fingerprint: str
    accepted: int
    attempts: int
    first_accepted: Moment | None = None

    @property
    def passed(self) -> bool:
        """Whether the receiver accepted the right signature and refused the wrong one."""
        return self.result == "accepted"

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def failure(self, webhook_id: str, problem: str) -> ProbeFailed:
        """The error for a probe that did not pass; Airflow's retry helps where no answer has decided.

        :param problem: what happened, what state things are in, and what to do.
        """
        kind = ProbeUndecided if self.result in ("unreachable", "unproven") else ProbeFailed
        return kind(webhook_id, problem, self.result)


@dataclass
class _Tally:
    """How the events with the right signature fared.

    :param in_a_row: how many were accepted since the last that was not.
    :param since: when the first of these was.
    :param longest_broken: the longest time in seconds without a refusal that a refusal has ended.
    """

    attempts: int = 0
    accepted: int = 0
    in_a_row: int = 0
    since: Moment | None = None
    longest_broken: float = 0.0

    def take(self, answer: Answer, at: Moment) -> None:
        self.attempts += 1
        if answer.accepted:
            self.accepted += 1
            self.in_a_row += 1
            self.since = self.since or at
        else:
            self.longest_broken = max(self.longest_broken, self.steady_for(at.monotonic))
            self.in_a_row, self.since = 0, None

    def steady_for(self, now: float) -> float:
        return now - self.since.monotonic if self.since else 0.0


@dataclass
class Probe:
    """Sends signed events to one webhook's receiver; see :class:`~.signed_event.EventSender` for how.

    :param webhook: whose receiver, headers and timeout are used.
    :param timeout: seconds to go on while the receiver refuses or can't be reached (it may still be reloading).
    :param interval: seconds between two events.
    :param steady: seconds for which no event may be refused, from an accepted one on; a refusal starts them anew.
        Events come faster meanwhile: :data:`STEADY_EVENTS` in that time.
    :param successes: acceptances in a row needed at least.
    :param reject_check: whether an event with a wrong key is sent, which must be refused by an answer.
    :param body: fields that replace the event's own.
    :param allow_hosts: hosts that may resolve to addresses refused otherwise.
    :param clock: its wall clock is the one that receivers go by; they refuse events that are minutes off.
    """

    webhook: Webhook
    timeout: float = 600.0
    interval: float = 2.0
    steady: float = 10.0
    successes: int = 3
    reject_check: bool = True
    body: Mapping[str, Any] | None = None
    allow_hosts: tuple[str, ...] = ()
    transport: httpx.BaseTransport | None = None
    resolve: Resolve = addresses_of
    clock: Clock = SYSTEM_CLOCK
    say: Callable[[str], None] = field(default=lambda text: None)

    def run(self, secret: SigningSecret) -> ProbeOutcome:
        """Send events signed with ``secret`` until they are accepted steadily, or refused when the time is over.

        :raises ProbeFailed: the destination is refused; nothing was sent there.
        """
        began = self.clock.monotonic()
        tally = _Tally()
        while True:
            sent_at = self.clock.monotonic()
            answer = self._events.send(secret)
            now = self.clock.monotonic()
            tally.take(answer, self.clock.moment_at(now))
            if not answer.accepted:
                if tally.attempts == 1:
                    self.say(f"the receiver does not accept the secret {secret.fingerprint} yet: {answer}")
                if now + self.interval >= began + self.timeout:
                    return self._not_accepted(secret, answer, tally, now - began)
                self.clock.sleep(self.interval)
            elif self._is_settled(tally, now, is_last_look=now >= began + self.timeout):
                return self._accepted(secret, tally, now)
            else:
                self.clock.sleep(max(0.0, sent_at + min(self.interval, self.steady / STEADY_EVENTS) - now))

    def _is_settled(self, tally: _Tally, now: float, *, is_last_look: bool) -> bool:
        lasted = tally.steady_for(now)
        if tally.in_a_row < self.successes or lasted < self.steady:
            return False
        return is_last_look or lasted >= WARY * tally.longest_broken

    def _accepted(self, secret: SigningSecret, tally: _Tally, now: float) -> ProbeOutcome:
        detail = f"{tally.accepted} of {tally.attempts} events signed with {secret.fingerprint} were accepted by "
        detail += f"{self._host}, and none refused for the last {tally.steady_for(now):.0f} s"
        result: ProbeResult = "accepted"
        if self.reject_check:
            result, shown = self._try_wrong_key()
            detail = f"{detail}; {shown}"
        return ProbeOutcome(result, detail, secret.fingerprint, tally.accepted, tally.attempts, tally.since)

    def _try_wrong_key(self) -> tuple[ProbeResult, str]:
        """Send events with a wrong key until an answer takes or refuses one, or there were enough tries."""
        for left in reversed(range(WRONG_KEY_TRIES)):
            answer = self._events.send(_wrong_key())
            if answer.refused:
                return "accepted", f"one signed with a wrong key was refused ({answer})"
            if answer.taken:
                return "verifies_nothing", (
                    f"one signed with a wrong key was taken too ({answer}): the receiver verifies no signature, so "
                    "anybody can send it events. Have it verify X-Webhook-Signature"
                )
            if left:
                self.clock.sleep(self.interval)
        return "unproven", (
            f"{WRONG_KEY_TRIES} signed with a wrong key got no refusal (at last {answer}), so whether the receiver "
            "verifies signatures is not shown. Have it answer a wrong signature with 401, or say "
            "probe.reject_check: false"
        )

    def _not_accepted(self, secret: SigningSecret, answer: Answer, tally: _Tally, seconds: float) -> ProbeOutcome:
        sent = (
            f"{tally.attempts} events signed with {secret.fingerprint} were sent in {seconds:.0f} s, "
            f"{tally.accepted} accepted"
        )
        result, detail = self._why_not(answer, tally, sent)
        return ProbeOutcome(result, detail, secret.fingerprint, tally.accepted, tally.attempts)

    def _why_not(self, answer: Answer, tally: _Tally, sent: str) -> tuple[ProbeResult, str]:
        if answer.status is None:
            return "unreachable", (
                f"the receiver {self._host} can't be reached: {answer} ({sent}). Check the webhook's url, and name, "
                "certificate and firewall on the way from the worker"
            )
        kind: ProbeResult = "unreachable" if answer.may_pass else "refused"
        if tally.accepted:
            return kind, (
                f"the receiver {self._host} accepts some events and not others: at last {answer} ({sent}). Not every "
                "replica of it has loaded this secret, or serves"
            )
        wrong = self._refusal_of_a_wrong_key()
        if wrong not in (None, answer.status) and answer.status not in ASK_FOR_ANOTHER_TRY:
            return "topic_refused", (
                f"the receiver {self._host} verifies the signature, but refuses the event: {answer} where a wrong key "
                f"gets {wrong} ({sent}). Have it accept topic {TOPIC!r}, or set probe.body to one that it takes"
            )
        if answer.may_pass:
            return kind, (
                f"the receiver {self._host} fails: {answer} ({sent}). It can't serve, or fails where it should refuse "
                "a signature; its own log tells"
            )
        return kind, (
            f"the receiver {self._host} refuses the signature: {answer} ({sent}). It has not loaded this secret, or "
            "verifies another way"
        )

    def _refusal_of_a_wrong_key(self) -> int | None:
        """The status with which the receiver refuses a wrong key; None where it does not, or must not be sent one."""
        wrong = self._events.send(_wrong_key()) if self.reject_check else None
        return wrong.status if wrong is not None and wrong.refused else None

    @cached_property
    def _events(self) -> EventSender:
        return EventSender(self.webhook, self.body, self.allow_hosts, self.transport, self.resolve, self.clock)

    @cached_property
    def _host(self) -> str:
        return shown_host(self.webhook)


def _wrong_key() -> SigningSecret:
    return SigningSecret(f"whsec_{secrets.token_urlsafe(24)}")
