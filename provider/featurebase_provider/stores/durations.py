"""Lengths of time in the configuration: ISO 8601 durations such as ``PT10S``, ``P1D`` or ``P2W``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

import pendulum
from pydantic import BeforeValidator, Field, WithJsonSchema

_HINT = "write an ISO 8601 duration such as PT10S (10 seconds), PT5M, PT8H, P1D or P2W"


def parse_duration(value: Any) -> timedelta:
    """Read an ISO 8601 duration of a fixed length.

    :param value: the text, or a ``timedelta`` from code.
    :raises ValueError: no duration, a number without a unit, or years and months, whose length varies.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f"a number has no unit; {_HINT}")
    if not isinstance(value, str):
        raise ValueError(_HINT)
    text = value.strip()
    # pendulum wraps around on numbers of more digits, silently.
    if not text.startswith("P") or "/" in text or not re.search(r"\d", text) or re.search(r"\d{9}", text):
        raise ValueError(_HINT)
    try:
        parsed = pendulum.parse(text)
    except (ValueError, OverflowError):
        raise ValueError(_HINT) from None
    if not isinstance(parsed, pendulum.Duration):
        raise ValueError(_HINT)
    if parsed.years or parsed.months:
        raise ValueError("years and months have no fixed length; write days (P90D) or weeks (P2W)")
    return parsed.as_timedelta()


def _seconds(value: Any) -> Any:
    if isinstance(value, (str, timedelta)):
        return parse_duration(value).total_seconds()
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT10M", "P1D"]}),
]
"""A ``timedelta`` that the configuration writes as an ISO 8601 duration."""

Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, strict=True),
    BeforeValidator(_seconds),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "duration"}, {"type": "number", "exclusiveMinimum": 0}]}),
]
"""A positive number of seconds that the configuration may also write as an ISO 8601 duration."""
