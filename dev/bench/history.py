"""What a run pays for the runs before it: reading, extending and writing a webhook's history after years of rotations.

Airflow's own part (about 20 ms for a record of 32 KiB) is left out: what grows with the number of rotations is ours.
"""

from __future__ import annotations

import statistics
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import WebhookMemory, recall

ROTATIONS = (10, 100, 1094, 10_000)
WEBHOOK_ID = "5" * 24
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Kept:
    """Records in a dictionary."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        """A record."""
        return self.records.get(name)

    def write(self, name: str, text: str) -> None:
        """Put a record."""
        self.records[name] = text


def measure(runs: int) -> list[dict[str, Any]]:
    """A row for each number of daily rotations: the record's size, and what one more run takes beside the first row."""
    rows: list[dict[str, Any]] = []
    for rotations in ROTATIONS:
        kept = Kept()
        memory = WebhookMemory(kept, "https://do.featurebase.app", WEBHOOK_ID)
        history = History(WEBHOOK_ID)
        for day in range(rotations):
            history = run_after(history, day)
        memory.write("history", history.as_json())
        took = statistics.median(_one_more(memory, rotations + run) for run in range(runs))
        size = max(len(text.encode()) for text in kept.records.values())
        base = rows[0]["ms"] if rows else took
        rows.append({"rotations": rotations, "bytes": size, "ms": round(took, 2), "ratio": round(took / base, 2)})
    return rows


def _one_more(memory: WebhookMemory, day: int) -> float:
    began = time.perf_counter()
    memory.write("history", run_after(recall(memory), day).as_json())
    return (time.perf_counter() - began) * 1000


def run_after(history: History, day: int) -> History:
    """The history after one more daily rotation."""
    at = (BEGIN + timedelta(days=day)).isoformat()
    now, before = fingerprint_of(f"whsec_{day}"), fingerprint_of(f"whsec_{day - 1}")
    return history.seeing(now, at, refreshed_at=at, replaced=[before], known=[before], run=f"0123456789ab {at}")
