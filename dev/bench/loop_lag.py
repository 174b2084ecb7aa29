"""A trigger that measures the event loop in which it runs, and its process."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAUSE = 0.02
SAMPLES_PER_LINE = 50


class LoopLagTrigger(BaseTrigger):
    """Sleep again and again, and write down by how much each sleep was too long. It ends when it is cancelled.

    :param path: a file that gets a line of JSON about every second: time, lags in milliseconds, the process's memory in
        bytes and its processor time in seconds.
    """

    def __init__(self, *, path: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments, for the metadata database."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Measure; there is no event."""
        process = psutil.Process()
        with await asyncio.to_thread(Path(self.path).open, "a") as out:
            while True:
                lags = [await _lag() for _ in range(SAMPLES_PER_LINE)]
                used = process.cpu_times()
                line = {
                    "at": time.time(),
                    "lags_ms": [round(lag * 1000, 2) for lag in lags],
                    "rss": process.memory_info().rss,
                    "cpu": used.user + used.system,
                }
                out.write(json.dumps(line) + "\n")
                out.flush()
        yield TriggerEvent(None)  # never: it makes this a generator


async def _lag() -> float:
    due = time.monotonic() + PAUSE
    await asyncio.sleep(PAUSE)
    return time.monotonic() - due
