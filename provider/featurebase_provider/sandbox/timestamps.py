"""Times as Featurebase writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

TimeText = Callable[[int], str]
"""Writes milliseconds since 1970."""


def iso_ms(unix_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC with three decimals: ``2026-01-15T10:30:00.000Z``."""
    return f"{iso_seconds(unix_ms)[:-1]}.{unix_ms % 1000:03d}Z"


def iso_seconds(unix_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC, cut to whole seconds: ``2026-01-15T10:30:00Z``."""
    moment = datetime.fromtimestamp(unix_ms // 1000, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
