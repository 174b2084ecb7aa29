"""Airflow's stats, whatever its version calls them."""

from __future__ import annotations

import functools
import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


def count(name: str, tags: Mapping[str, str], *, by: int = 1) -> None:
    """Increment a counter in Airflow's stats. A failure is logged and never fails the task."""
    _report("incr", name, by, tags=tags)


def gauge(name: str, value: float, tags: Mapping[str, str]) -> None:
    """Report a value that goes up and down to Airflow's stats. A failure is logged and never fails the task."""
    _report("gauge", name, value, tags=tags)


def time_milliseconds(name: str, milliseconds: float, tags: Mapping[str, str]) -> None:
    """Report a duration to Airflow's stats. A failure is logged and never fails the task."""
    _report("timing", name, milliseconds, tags=tags)


def _report(call: str, name: str, *figures: float, tags: Mapping[str, str]) -> None:
    try:
        getattr(_stats(), call)(name, *figures, tags=_stat_tags(tags))
    except Exception as error:  # noqa: BLE001  a failing stats client of any kind must not fail a task that succeeded
        _warn_of_stats(type(error).__name__)


def _stats() -> Any:
    try:
        from airflow.sdk.observability import stats
    except ImportError:  # before 3.2
        from airflow.stats import Stats

        return Stats
    return stats if hasattr(stats, "incr") else stats.Stats  # 3.2 has only the class


@functools.cache
def _warn_of_stats(error: str) -> None:
    """Log once per process that stats are missing, without the client's own text, which may hold its credentials."""
    log.warning("Airflow's stats client failed (%s): stats of this task are missing. Nothing else is affected", error)


def _stat_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without characters that end a line or a field in StatsD's format; a name may come from the trigger form."""
    # A Dag author may give an operator a name that is not text.
    return {name: re.sub(r"[^A-Za-z0-9_.-]", "_", str(value))[:100] for name, value in tags.items()}
