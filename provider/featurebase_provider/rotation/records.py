"""Reads back what a Dag run recorded in Airflow's database, which other versions and other programs write too."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_YEARS = range(1970, 9000)
"""Beyond them arithmetic with other clocks' moments leaves what Python's dates can hold."""

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
    """Read a dataclass back from its JSON; None where it does not fit. Unknown fields are left out."""
    try:
        record: T = _reader(kind).validate_python(raw)
    except ValidationError:  # it quotes the values
        return None
    return record


def moment_of(text: object) -> datetime | None:
    """An ISO 8601 text with its offset as a moment; None for anything else."""
    instant = instant_of(text)
    return datetime.fromisoformat(instant) if instant is not None else None


def instant_of(text: object) -> str | None:
    """A text if it is such a moment; None for anything else."""
    return read_record(Instant, text)


def items_of(value: object) -> list[Any]:
    """What a list holds; nothing for anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def texts_of(value: object) -> list[str]:
    """The texts that a list holds, but for empty ones; nothing for anything else."""
    return [one for one in items_of(value) if isinstance(one, str) and one]
