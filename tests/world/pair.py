"""A sandbox Featurebase with a pair of webhooks, and a receiver that accepts two secrets."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.world.featurebase import KEY, TOPIC, FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREVIOUS_KEY = f"{KEY}_PREVIOUS"
PAIR_PUSHES = ["push.object_storage"]


class PairWorld(FeaturebaseWorld):
    """A context manager. The first half (``webhook_id``) is live, the second (``standby_id``) paused."""

    def __init__(self, folder: Path, *, moves_on: bool = False) -> None:
        super().__init__(folder, previous_key=PREVIOUS_KEY, moves_on=moves_on)
        self.standby_id = ""
        self.timeout_ms = 20_000  # on a busy machine a slow answer must not look like a refusal

    def __enter__(self) -> PairWorld:
        super().__enter__()
        second = self.create_webhook("Production", f"{self.receiver.url}/webhook")
        self.standby_id = second["id"]
        self.set_status(self.standby_id, "paused")
        return self

    @property
    def ids(self) -> list[str]:
        """The ids of both halves."""
        return [self.webhook_id, self.standby_id]

    def set_status(self, webhook_id: str, status: str) -> None:
        """Set a half active or paused, as a person does."""
        self.api("PATCH", f"/v2/webhooks/{webhook_id}", json={"status": status})

    def refresh(self, webhook_id: str) -> None:
        """Refresh a half's secret, as a person does."""
        self.api("POST", f"/v2/webhooks/{webhook_id}/secret")

    def secret_of(self, webhook_id: str) -> str:
        """A half's secret."""
        webhook = self.sandbox.state.webhooks.find(webhook_id)
        assert webhook is not None
        return webhook.secret

    @property
    def statuses(self) -> list[str]:
        """The status of both halves."""
        found = [self.sandbox.state.webhooks.find(webhook_id) for webhook_id in self.ids]
        return [webhook.status if webhook is not None else "gone" for webhook in found]

    @property
    def held(self) -> tuple[str | None, str | None]:
        """What the receiver's file holds: the current and the previous secret."""
        lines = dict(line.split("=", 1) for line in self.secret_file.read_text().splitlines() if "=" in line)
        return lines.get(KEY) or None, lines.get(PREVIOUS_KEY) or None

    @contextmanager
    def events(self, per_second: float = 10) -> Iterator[None]:
        """Let events happen meanwhile; at the end each of them has been delivered, or was refused."""
        self.control("POST", "/events", topic=TOPIC, count=10_000, per_second=per_second)
        try:
            yield
        finally:
            self.control("DELETE", "/events")

    @property
    def refused(self) -> list[str]:
        """Deliveries that the receiver did not accept, probes not counted."""
        return [
            f"{attempt.webhook_id}: {attempt.status_code or attempt.error}"
            for attempt in self.sandbox.state.journal.attempts
            if attempt.status_code != 200 and (attempt.status_code is not None or attempt.error is not None)
        ]

    def pair_entry(self, **changes: Any) -> dict[str, Any]:
        """The pair's entry in a rotation file, made for short waits; ``changes`` replace fields of it."""
        entry = self.entry(
            strategy="overlap",
            webhook_ids=self.ids,
            stores=[self.pair_store()],
            probe={"timeout": "PT1S", "interval": "PT0.1S", "steady": "PT0S"},
            overlap={"first_delivery": "PT1M", "pending": "PT1M"},
            verify={"timeout": "PT0.1S", "poll_interval": "PT0.1S"},
        )
        del entry["webhook_id"]
        return {**entry, **changes}

    def pair_store(self, **changes: Any) -> dict[str, Any]:
        """The receiver's file as a store that keeps two secrets."""
        return self.file_store(**{"previous_key": PREVIOUS_KEY, **changes})
