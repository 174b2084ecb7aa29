"""Cancels background tasks reliably."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

_PATIENCE_SECONDS = 0.05


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have ended.

    Up to Python 3.11 ``asyncio.wait_for`` loses a cancellation that comes in the same turn of the event loop as
    the end of what it waits for, so once is not enough.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_PATIENCE_SECONDS)
