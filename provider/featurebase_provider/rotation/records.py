"""Reads records of Dag runs from Airflow's database. Other versions and other programs may have written them."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_YEARS = range(1970, 9000)
"""Outside of these years, arithmetic with times may exceed what Python's dates can hold."""

Text = Annotated[str, StringConstraints(min_length=1)]
_reader: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _as_moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise ValueError("no moment")
    return text


Instant = Annotated[str, AfterValidator(_as_moment)]
"""An ISO 8601 text with its offset from UTC."""


def read_record(kind: type[T], raw: object) -> T | None:
    """Read a dataclass from its JSON; None if it does not fit. Unknown fields are ignored."""
    try:
        record: T = _reader(kind).validate_python(raw)
    except ValidationError:  # it quotes the values
        return None
    return record


def moment_of(text: object) -> datetime | None:
    """Parse an ISO 8601 text with its UTC offset; None for anything else."""
    instant = instant_of(text)
    return datetime.fromisoformat(instant) if instant is not None else None


def instant_of(text: object) -> str | None:
    """The text itself if :func:`moment_of` can parse it; None for anything else."""
    return read_record(Instant, text)


def items_of(value: object) -> list[Any]:
    """The items of a list; an empty list for anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def texts_of(value: object) -> list[str]:
    """The non-empty texts in a list; an empty list for anything else."""
    return [item for item in items_of(value) if isinstance(item, str) and item]
