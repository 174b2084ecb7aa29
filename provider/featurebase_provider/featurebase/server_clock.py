"""Estimates the time of Featurebase's clock, so that its timestamps can be compared with local ones."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUSTED_FOR = 300.0
"""Seconds for which a good observation is kept over worse ones; clocks drift less than the observation's error."""

CREDIBLE_TIME = range(946684800, 4102444800)
"""Unix seconds of the years 2000 to 2099. Times outside are ignored: Python may not be able to represent them."""


def read_http_date(text: str | None) -> float | None:
    """Unix time in seconds of an HTTP date (RFC 9110, 5.6.7), or None if ``text`` is none."""
    if not text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000" says UTC without saying where
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):  # what odd texts make the parser raise
        return None


SKEW_WORTH_SAYING = 60.0
"""Seconds by which two clocks may differ before a warning is logged. If the offset changes by more, one clock was
set."""


@dataclass(frozen=True, slots=True)
class _Observation:
    offset: float
    round_trip: float
    at: float


class ServerClock:
    """Estimates the server's clock from the ``Date`` headers of its responses. Before the first, it is the local one.

    The header has whole seconds. The estimate is off by at most half a second plus half the round trip. Safe to share
    between threads.

    :param local: gives the local Unix time in seconds.
    """

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        self.local = local
        self._best: _Observation | None = None

    @property
    def known(self) -> bool:
        """Whether a response gave the server's time."""
        return self._best is not None

    @property
    def offset_seconds(self) -> float:
        """Seconds by which the server's clock is ahead of the local one; 0 while unknown."""
        return self._best.offset if self._best else 0.0

    def now(self) -> datetime:
        """The server's time, aware, in UTC."""
        return datetime.fromtimestamp(self.local() + self.offset_seconds, tz=timezone.utc)

    @property
    def skew(self) -> str | None:
        """A log message if the local clock and the server's differ by more than a minute, else None."""
        apart = timedelta(seconds=round(abs(self.offset_seconds)))
        if apart.total_seconds() <= SKEW_WORTH_SAYING:
            return None
        side = "behind" if self.offset_seconds > 0 else "ahead of"
        return (
            f"this machine's clock is {apart} (h:mm:ss) {side} Featurebase's. The rotation corrects for this where it "
            "compares times with Featurebase; Airflow's own times stay wrong. Synchronise this machine's clock (NTP)"
        )

    def observe(self, date: str | None, *, sent_at: float, received_at: float) -> None:
        """Learn from one response. It is ignored if a recent one was more precise and no clock was set since.

        :param date: the response's ``Date`` header.
        :param sent_at: local Unix time in seconds at which the request was sent.
        :param received_at: local Unix time in seconds at which the response's headers arrived.
        """
        server_time, round_trip = read_http_date(date), received_at - sent_at
        if server_time is None or int(server_time) not in CREDIBLE_TIME:
            return
        if round_trip < 0:  # the local clock was set back in between
            return
        # + 0.5: the header leaves the fraction of the second out.
        seen = _Observation(server_time + 0.5 - (sent_at + received_at) / 2, round_trip, received_at)
        best = self._best
        if (
            best is None
            or round_trip <= best.round_trip
            or received_at - best.at > _TRUSTED_FOR
            or abs(seen.offset - best.offset) > SKEW_WORTH_SAYING
        ):
            self._best = seen
