"""Types of single fields: the values they accept, and their error messages."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import pendulum
from pydantic import Field

from featurebase_provider.annotations import Checked
from featurebase_provider.late import LateModule
from featurebase_provider.stores.base import DURATION_SCHEMA, parse_duration

if TYPE_CHECKING:
    from featurebase_provider.config import errors
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
"""Airflow's names for schedules (``airflow.sdk`` and ``airflow.utils.dates`` hold the same six)."""

_QUARTERLY = "0 0 1 */3 *"  # the one preset that croniter does not know by itself
_CONNECTION_ID = r"[\w#!()\-.:/\\]{1,200}"  # what Airflow's own check of connection ids lets pass
_NAME = r"[a-z0-9_-]{1,100}"
ALL_WEBHOOKS = "all"
_WEBHOOK_ID = r"[0-9a-fA-F]{24}"
_UNSTABLE_CRON = r"(?:^|\s|,)[HhRr](?:\(|/|\s|,|$)"


def _schedule(value: str) -> str:
    if value.startswith("@") and value not in PRESETS:
        presets = ", ".join(PRESETS)
        raise ValueError(f"{errors.shown_value(value)} is not a schedule; allowed: a cron expression, {presets}, null")
    if not value.startswith("@") and len(value.split()) != 5:
        raise ValueError(
            f"{errors.shown_value(value)} is not a schedule; allowed: a cron expression of 5 fields (minute, hour, day "
            f"of month, month, day of week), {', '.join(PRESETS)}, null for manual runs only"
        )
    if re.search(_UNSTABLE_CRON, value):
        raise ValueError(
            f"{errors.shown_value(value)} is not a fixed schedule: R and H differ each time the file is read"
        )
    _check_cron(value)
    return value


def _check_cron(value: str) -> None:
    # Airflow schedules with croniter; imported late, since a file without a schedule does not need it.
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    try:
        croniter(_QUARTERLY if value == "@quarterly" else value, datetime(2026, 1, 1)).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"{errors.shown_value(value)} matches no date") from None
    except CroniterBadCronError:
        raise ValueError(f"{errors.shown_value(value)} is not a valid cron expression") from None


def _zone(value: str) -> str:
    try:
        return pendulum.timezone(value).name
    except (ValueError, OSError):  # zoneinfo looks names up as files: a folder's name is an OSError
        from difflib import get_close_matches

        close = get_close_matches(value[:60], pendulum.timezones(), n=3, cutoff=0.75)
        by_place = [zone for zone in pendulum.timezones() if zone.rpartition("/")[2].lower() == value.lower()]
        meant = list(dict.fromkeys([*by_place, *close]))[:3]
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        raise ValueError(f"{errors.shown_value(value)} is not an IANA time zone{hint}") from None


def _start_date(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None
        except ValueError:
            value = None
    if not isinstance(value, date) or isinstance(value, datetime) or not 2000 <= value.year < 2100:
        raise ValueError("must be a date from 2000-01-01 to 2099-12-31, written YYYY-MM-DD")
    return value


def _https_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or not value.isprintable() or " " in value:
        raise ValueError("must be an https:// address without user name or password")
    return value


def matching(pattern: str, rule: str, *, echo: bool = True) -> Checked:
    """A check that a text matches a pattern as a whole.

    :param rule: the pattern in words.
    :param echo: whether the message may repeat the text.
    """

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{errors.shown_value(value) if echo else 'the value'} is not allowed; it must be {rule}")
        return value

    return Checked(check, text_schema(pattern))


def text_schema(pattern: str) -> dict[str, str]:
    """The JSON Schema of such a text."""
    return {"type": "string", "pattern": f"^{pattern}$"}


def between(low: str, high: str) -> Checked:
    """Reads a duration, which must be between two others, both included."""

    def read(value: Any) -> timedelta:
        duration = parse_duration(value)
        if not parse_duration(low) <= duration <= parse_duration(high):
            raise ValueError(f"must be from {low} to {high}")
        return duration

    return Checked(read, DURATION_SCHEMA, when="instead")


def _not_all(value: str) -> str:
    if value == ALL_WEBHOOKS:
        raise ValueError("means all webhooks when an emergency is triggered, so it can't be a webhook's name")
    return value


def _different(ids: tuple[str, str]) -> tuple[str, str]:
    if ids[0] == ids[1]:
        raise ValueError("names one webhook twice; a pair has two webhooks")
    return ids


Schedule = Annotated[str, Checked(_schedule)]
ZoneName = Annotated[str, Checked(_zone)]
StartDate = Annotated[date, Checked(_start_date, {"type": "string", "format": "date"}, when="instead")]
HttpsUrl = Annotated[str, Field(max_length=2000), Checked(_https_url, text_schema("https://.+"))]
ConnectionId = Annotated[
    str,
    # A connection URI, which may hold a password, ends up here by mistake: not repeated.
    matching(_CONNECTION_ID, "1 to 200 letters, digits or any of _ # ! ( ) - . : / \\", echo=False),
]
WebhookName = Annotated[
    str,
    matching(_NAME, "1 to 100 of the characters a-z, 0-9, _ and -, such as production"),
    Checked(_not_all),
]
WebhookId = Annotated[
    str,
    matching(_WEBHOOK_ID, "24 hex digits, such as 507f1f77bcf86cd799439011"),
    Checked(str.lower),
]
PairIds = Annotated[tuple[WebhookId, WebhookId], Checked(_different)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]

Waiting = Annotated[timedelta, between("PT0.1S", "P1D")]
"""How long a task may wait: up to a day."""

LongWaiting = Annotated[timedelta, between("PT0.1S", "P7D")]
"""How long a deferred task, which occupies no worker, may wait."""

Pause = Annotated[timedelta, between("PT0.1S", "PT1H")]
"""Time between two reads of the same thing."""

Steady = Annotated[timedelta, between("PT0S", "PT1H")]
"""How long something must stay unchanged."""

Overlap = Annotated[timedelta, between("PT1M", "P1D")]
"""How long both webhooks of a pair may be active."""

Delay = Annotated[timedelta, between("PT0.1S", "P1D")]
"""Time before another try; Airflow itself caps it at a day."""

Age = Annotated[timedelta, between("PT1S", "P3650D")]
"""An age of a secret, or how late a run may start."""
