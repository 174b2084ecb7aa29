"""The secret that a run sets out from: not one that an earlier run has seen replaced."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.operators import preflight
from featurebase_provider.operators.preflight import find_current
from featurebase_provider.rotation.errors import StaleRead
from tests.unit.rotation.fakes import WEBHOOK_ID, a_webhook

OLD, NEW = a_webhook("whsec_old"), a_webhook("whsec_new")
ROTATED = {"webhook_id": WEBHOOK_ID, "how": "answered", "before": OLD.fingerprint, "after": NEW.fingerprint}


class Shows:
    """A client that shows these webhooks, the last one for ever."""

    def __init__(self, *webhooks: Webhook) -> None:
        self._webhooks = list(webhooks)

    def get_webhook(self, webhook_id: str) -> Webhook:
        return self._webhooks.pop(0) if len(self._webhooks) > 1 else self._webhooks[0]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "STALE_SECONDS", 0.0)


@pytest.mark.parametrize("shown", [(NEW,), (OLD, NEW)], ids=["current", "stale at first"])
def test_current_secret_is_found(shown: tuple[Webhook, ...]) -> None:
    client: Any = Shows(*shown)
    assert find_current(client, WEBHOOK_ID, None, [ROTATED]).fingerprint == NEW.fingerprint


def test_secret_that_was_replaced_is_no_baseline() -> None:
    """From it rotate would refresh nothing and say that it was done already; in an emergency that would be grave."""
    client: Any = Shows(OLD)
    with pytest.raises(StaleRead, match="known to have been replaced"):
        find_current(client, WEBHOOK_ID, None, [ROTATED])


def test_without_reports_every_secret_is_taken() -> None:
    client: Any = Shows(OLD)
    assert find_current(client, WEBHOOK_ID, None, []).fingerprint == OLD.fingerprint
