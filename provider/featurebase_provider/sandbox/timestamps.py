"""Times as Featurebase writes them."""

from __future__ import annotations

from datetime import datetime, timezone


def iso_ms(unix_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC with three decimals: ``2026-01-15T10:30:00.000Z``."""
    moment = datetime.fromtimestamp(unix_ms // 1000, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"
