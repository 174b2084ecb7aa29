"""One half of a pair, as Featurebase keeps it: every state with its time, so that reads can show an earlier one."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from featurebase_provider.featurebase.errors import ApiUnavailable, InvalidRequest, WebhookNotFound
from featurebase_provider.featurebase.models import ACTIVE, PAUSED, Health, LastStatus
from tests.world.fakes import START, FakeFeaturebase, a_logged_refresh, api_unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from featurebase_provider.featurebase.audit_log import AuditEntry
    from featurebase_provider.featurebase.models import Webhook
    from tests.world.fakes import Clock

RETRIED_FOR = timedelta(hours=7, minutes=1).total_seconds()
"""Seconds for which Featurebase retries a delivery, at most."""


class Changed(Protocol):
    def __call__(self, half: Half, *, refreshed: bool) -> None: ...


PatchFault = Literal["lost_before", "lost_after"]


class Half(FakeFeaturebase):
    """A webhook of a pair.

    :param changed: called after each change; ``refreshed`` says whether the secret was.
    :param refuses_paused: whether Featurebase refuses to refresh it while it is paused.
    """

    def __init__(
        self, clock: Clock, webhook_id: str, name: str, *, status: str, changed: Changed, **switches: Any
    ) -> None:
        self.refuses_paused = switches.pop("refuses_paused")
        super().__init__(clock, name=name, id=webhook_id, status=status, **switches)
        self.changed = changed
        self.gone = False
        self.delivered = self.is_active
        """Whether it has delivered anything since it was set active."""
        self.late_race = False
        """Whether a person set it active, or it changed after a task had looked and before the task refreshed it."""
        self.times = [0.0, 0.0]
        if self.delivered:
            self.history[-1] = self.current.model_copy(update={"last_status": _result(200, START)})
        self.patch_script: deque[PatchFault | float | Exception] = deque()
        """What becomes of the next changes of its status: a fault, an error, or (seconds) lost, and done later."""

    @property
    def is_active(self) -> bool:
        return not self.gone and self.current.status == ACTIVE

    def change(self, **changes: Any) -> Webhook:
        webhook = super().change(**changes)
        self.times.append(self.clock.now)
        self.changed(self, refreshed="secret" in changes)
        return webhook

    def shown(self) -> Webhook:
        """What a read shows: with a lag, the state of some seconds ago."""
        until = self.clock.now - self.lag
        return next(
            state for state, at in zip(reversed(self.history), reversed(self.times), strict=True) if at <= until
        )

    def get_webhook(self, webhook_id: str) -> Webhook:
        self.reads += 1
        answer = self.read_script.popleft() if self.read_script else None
        if isinstance(answer, Exception):
            raise answer
        if self.gone:
            raise WebhookNotFound("GET", f"/v2/webhooks/{webhook_id}", 404)
        return self.shown()

    def refresh_secret(self, webhook_id: str) -> Webhook:
        if self.gone:
            raise WebhookNotFound("POST", f"/v2/webhooks/{webhook_id}/secret", 404)
        if self.refuses_paused and not self.is_active:
            raise InvalidRequest("POST", f"/v2/webhooks/{webhook_id}/secret", 400)
        return super().refresh_secret(webhook_id)

    def set_status(self, status: str) -> Webhook:
        """Whoever does it; setting it active resets the figures."""
        self.delivered &= status != ACTIVE or self.is_active
        changes: dict[str, Any] = {"status": status, "updated_at": self.clock.server_now()}
        return self.change(**changes, **({"health": Health()} if status == ACTIVE else {}))

    def update_webhook(self, webhook_id: str, status: str, commit: Callable[[], Webhook]) -> Webhook:
        """Change the status by ``commit``, or fail as ``patch_script`` says."""
        path = f"/v2/webhooks/{webhook_id}"
        if self.gone:
            raise WebhookNotFound("PATCH", path, 404)
        self.clock.sleep(0.1)
        fault = self.patch_script.popleft() if self.patch_script else None
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, float):
            self.clock.at(fault, commit)
            raise api_unreachable("PATCH")
        if fault != "lost_before":
            answer = commit()
        if fault is not None:
            raise ApiUnavailable("PATCH", path, 504)
        return answer

    def refreshes(self) -> Iterator[AuditEntry]:
        """Those in its audit log."""
        for before, state, at in zip(self.history[1:], self.history[2:], self.times[2:], strict=False):
            if before.secret != state.secret:
                yield a_logged_refresh(START + timedelta(seconds=at - 1000), state.id)

    def deliver(self, code: int) -> None:
        """An event was delivered, or refused; that leaves ``updatedAt`` as it is."""
        self.delivered = True
        now, health = self.clock.server_now(), self.current.health
        good = code == 200
        failures = 0 if good else (health.consecutive_failures or 0) + 1
        self.change(
            last_status=_result(code, now),
            health=Health(
                last_success_at=now if good else health.last_success_at,
                consecutive_failures=failures,
                errors_since_last_success=failures,
            ),
        )


def _result(code: int, at: datetime) -> LastStatus:
    return LastStatus(code=code, message="", timestamp=at)


def other_status(half: Half) -> str:
    """What a person sets it to: active or paused, whichever it is not."""
    return PAUSED if half.is_active else ACTIVE
