"""The secret that a report calls current: not one that the same Dag run has seen replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.operators.end_state import STALE_SECONDS, current_webhook
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.errors import StaleRead
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, a_plan, a_webhook

OLD, NEW, NEWER = a_webhook("whsec_old"), a_webhook("whsec_new"), a_webhook("whsec_newer")
PLAN = a_plan(OLD)
ROTATED = RotationOutcome(PLAN, "answered", str(NEW.fingerprint))


class Shows:
    """A client that shows these webhooks, the last one for ever."""

    def __init__(self, *webhooks: Webhook) -> None:
        self._webhooks = list(webhooks)
        self.clock = SimpleNamespace(now=lambda: START)

    def get_webhook(self, webhook_id: str) -> Webhook:
        return self._webhooks.pop(0) if len(self._webhooks) > 1 else self._webhooks[0]


@pytest.mark.parametrize(
    ("shown", "current"),
    [((NEW,), NEW), ((OLD, NEW), NEW), ((NEWER,), NEWER)],
    ids=["current", "stale at first", "refreshed by somebody else since"],
)
def test_a_stale_read_is_read_again(shown: tuple[Webhook, ...], current: Webhook) -> None:
    """Taken as it is, it would call a finished rotation incomplete, and tell of a refresh that nobody sent."""
    client: Any = Shows(*shown)
    assert current_webhook(client, PLAN, ROTATED) == current


def test_a_read_that_stays_stale_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds: the report's task is the run's last."""
    waited: list[float] = []
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: waited.append(seconds))
    monkeypatch.setattr(Clock, "monotonic", lambda clock: sum(waited))
    client: Any = Shows(OLD)
    with pytest.raises(StaleRead, match=f"for {sum(waited) + STALE_SECONDS:.0f} s Featurebase has returned"):
        current_webhook(client, PLAN, ROTATED)


def test_without_a_refresh_the_plans_secret_is_current() -> None:
    client: Any = Shows(OLD)
    assert current_webhook(client, PLAN, None) == OLD
