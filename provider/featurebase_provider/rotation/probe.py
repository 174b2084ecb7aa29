"""Tests that the receiver verifies signatures, with harmless events signed as Featurebase signs deliveries."""

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
"""Number of events sent during ``steady``, if the receiver answers fast enough.

If a load balancer picks replicas at random and one of ten is outdated, all 51 events miss it in 1 of 200 cases.
"""

WARY = 3
"""How many times longer the last period without a refusal must be than any earlier one that a refusal ended.

Each refusal gives chance another try. Without this factor an outdated replica of ten goes unnoticed in every second
probe of ten minutes; with it, in 6 of 100.
"""

WRONG_KEY_TRIES = 5
"""Most events with a wrong key that are sent until a response decides."""


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """The result of a probe; holds no secret.

    :param result: ``accepted``; ``refused`` (the right signature was refused); ``topic_refused`` (right and wrong
        signatures are refused differently, so the receiver verifies the signature but refuses the event);
        ``unreachable`` (no response, or the receiver is unable to serve); ``verifies_nothing`` (a wrong key was
        accepted); or ``unproven`` (the right signature was accepted, but no event with a wrong key was refused).
    :param detail: what was seen and what to check; names the receiver's host.
    :param fingerprint: fingerprint of the secret that signed the events.
    :param accepted: how many events with the right signature were accepted.
    :param attempts: how many events with the right signature were sent.
    :param first_accepted: when the first event after the last refusal was accepted; until then deliveries could fail.
        None if the right signature was not accepted in the end.
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

    @property
    def retry_helps(self) -> bool:
        """Whether another probe may pass without anybody's doing: no response has decided."""
        return self.result in ("unreachable", "unproven")

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def failure(self, webhook_id: str, problem: str) -> ProbeFailed:
        """The error for a probe that did not pass. Airflow retries it only if no response has decided.

        :param problem: what happened, what state things are in, and what to do.
        """
        kind = ProbeUndecided if self.retry_helps else ProbeFailed
        return kind(webhook_id, problem, self.result)


@dataclass
class _Tally:
    """Counts the results of the events with the right signature.

    :param in_a_row: how many were accepted since the last one that was not.
    :param since: when the first of these was accepted.
    :param longest_broken: the longest period in seconds without a refusal that a refusal ended.
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
    :param timeout: seconds to keep trying while the receiver refuses or can't be reached (it may be reloading).
    :param interval: seconds between two events.
    :param steady: seconds, counted from an accepted event, in which no event may be refused; a refusal restarts them.
        Events are sent faster in that time: :data:`STEADY_EVENTS` of them.
    :param successes: the smallest number of accepted events in a row.
    :param reject_check: whether to send an event with a wrong key, which the receiver must refuse with a response.
    :param body: fields that replace the event's own.
    :param allow_hosts: hosts that may resolve to addresses that are otherwise not allowed.
    :param clock: the wall clock that dates the events; receivers refuse events that are minutes off.
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
        """Send events signed with ``secret`` until they are accepted steadily, or until the timeout.

        :raises ProbeFailed: the destination is not allowed; nothing was sent.
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
        """Send events with a wrong key until a response accepts or refuses one, at most :data:`WRONG_KEY_TRIES`."""
        for left in reversed(range(WRONG_KEY_TRIES)):
            answer = self._events.send(_wrong_key())
            if answer.refused:
                return "accepted", f"one signed with a wrong key was refused ({answer})"
            if answer.taken:
                return "verifies_nothing", (
                    f"one signed with a wrong key was accepted too ({answer}): the receiver verifies no signature, so "
                    "anybody can send it events. Make it verify X-Webhook-Signature"
                )
            if left:
                self.clock.sleep(self.interval)
        return "unproven", (
            f"{WRONG_KEY_TRIES} signed with a wrong key were not refused (in the end {answer}), so it is not proven "
            "that the receiver verifies signatures. Make it answer a wrong signature with 401, or set "
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
                f"the receiver {self._host} can't be reached: {answer} ({sent}). Check the webhook's url, and DNS, "
                "certificate and firewalls between the worker and the receiver"
            )
        kind: ProbeResult = "unreachable" if answer.may_pass else "refused"
        if tally.accepted:
            return kind, (
                f"the receiver {self._host} accepts some events and not others: in the end {answer} ({sent}). Some "
                "of its replicas have not loaded this secret, or are not serving"
            )
        wrong = self._refusal_of_a_wrong_key()
        if wrong not in (None, answer.status) and answer.status not in ASK_FOR_ANOTHER_TRY:
            return "topic_refused", (
                f"the receiver {self._host} verifies the signature, but refuses the event: {answer}, while a wrong key "
                f"gets {wrong} ({sent}). Make it accept topic {TOPIC!r}, or set probe.body to an event that it accepts"
            )
        if answer.may_pass:
            return kind, (
                f"the receiver {self._host} fails: {answer} ({sent}). It is unable to serve, or fails where it should "
                "refuse a signature; read the receiver's own log"
            )
        return kind, (
            f"the receiver {self._host} refuses the signature: {answer} ({sent}). It has not loaded this secret, or "
            "verifies signatures in another way"
        )

    def _refusal_of_a_wrong_key(self) -> int | None:
        """The HTTP status with which the receiver refuses a wrong key; None if it does not, or if it is not tested."""
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
