"""What every configured store has in common; each store type is a subclass in its own file.

What only an armed store needs is imported on first use: Airflow parses configurations again and again.
"""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import pendulum
from pydantic import BaseModel, ConfigDict, Field

from featurebase_provider.annotations import Checked
from featurebase_provider.late import names_of

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import ArmedStore
    from featurebase_provider.stores.shared.connecting import ConnectingStore, secret_or_none

__all__ = ["ConnectingStore", "Duration", "Seconds", "StoreConfig", "parse_duration", "secret_or_none"]

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


DURATION_SCHEMA = {"type": "string", "format": "duration", "examples": ["PT10M", "P1D"]}

Duration = Annotated[
    timedelta,
    Checked(parse_duration, DURATION_SCHEMA, when="instead"),
]
"""A ``timedelta`` that the configuration writes as an ISO 8601 duration."""

Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, strict=True),
    Checked(
        _seconds,
        {"anyOf": [{"type": "string", "format": "duration"}, {"type": "number", "exclusiveMinimum": 0}]},
        when="before",
    ),
]
"""A positive number of seconds that the configuration may also write as an ISO 8601 duration."""


class StoreConfig(BaseModel, ABC):
    """One entry under ``stores:`` in the rotation file; implements the ``rotation.store.Store`` port.

    A subclass narrows ``type`` to a ``Literal``, adds its own fields, and imports its client inside
    :meth:`arm` only: configurations are read whenever Airflow parses Dag files.

    :param type: the store type's name, ``[a-z0-9_]``.
    :param label: names the store within its webhook and its push task; the type by default.
    :param adopt: whether a value that this provider did not write may be replaced.
    :param timeout: seconds that logging in with the first read, or a write with its read-back, may take; also as
        ``PT10S``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    type: str
    label: str = Field(
        default_factory=lambda fields: fields["type"], pattern=r"^[a-z0-9_]{1,40}$", validate_default=True
    )
    adopt: bool = False
    timeout: Seconds = 10.0

    @property
    @abstractmethod
    def target(self) -> str:
        """What is written, as a URL-like text without credentials: equal targets are the same place."""

    @property
    def previous_target(self) -> str | None:
        """Where the previous secret is kept, as a text like :attr:`target`; None where none is."""
        return None

    @property
    def keeps_previous(self) -> bool:
        """Whether the store keeps the previous secret beside the current one."""
        return self.previous_target is not None

    @property
    def how_to_keep_previous(self) -> str:
        """The fields to set so that the store keeps the previous secret; empty if its type can't."""
        return " or ".join(name for name in type(self).model_fields if name.startswith("previous_"))

    @property
    def edited_format(self) -> str | None:
        """The format of the text that the store edits; None where it replaces its place as a whole."""
        return None

    @property
    def readable(self) -> bool:
        """Whether what the store holds can be read back and compared."""
        return True

    @property
    def full_name(self) -> str:
        """Label and target, for messages."""
        return f"{self.label} ({self.target})"

    @abstractmethod
    def arm(self) -> "ArmedStore":
        """Fetch connections, and import the client; on the task's main thread.

        What takes longer and needs no Airflow, such as a login, belongs into the armed store's ``connect()``.

        :raises StoreError: the store cannot be used; nothing was changed.
        """


if not TYPE_CHECKING:  # or type checkers would accept any name
    _CONNECTING = f"{__package__}.shared.connecting"
    __getattr__ = names_of(__name__, {"ConnectingStore": _CONNECTING, "secret_or_none": _CONNECTING})
