"""Faults: which of the next API calls go wrong, and how.

=============  ==========================================================================================
kind           what the call does
=============  ==========================================================================================
status         answers ``status`` (500) in Featurebase's error form, with ``headers`` if given
latency        answers ``seconds`` later
hang           answers nothing for ``seconds`` (until the client leaves), then closes the connection
reset          breaks the connection with a TCP reset
drop_response  takes effect, then closes the connection without an answer
late_commit    answers ``status`` in error form, or nothing where no status is given; takes effect
               ``seconds`` later
stale_read     (GET) answers as before the last change of each webhook
malformed      answers a body that is not a webhook: ``body`` is truncated, not_json, wrong_type or html
=============  ==========================================================================================

``status``, ``latency``, ``hang`` and ``reset`` come before the call takes effect (``latency`` delays it, the
others prevent it); with ``commit: true`` the call takes effect first. ``malformed`` takes effect unless
``commit: false``.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FaultKind = Literal["status", "latency", "hang", "reset", "drop_response", "late_commit", "stale_read", "malformed"]
MAX_SECONDS = 86_400


class FaultInput(BaseModel):
    """Body of ``POST /_sandbox/faults``.

    :param method: HTTP method of the affected calls, ``*`` for any.
    :param path: their path, exact or as a shell pattern (``/v2/webhooks/*/secret``).
    :param count: how many matching calls go wrong.
    :param skip: how many matching calls succeed before that.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: FaultKind
    method: str = "*"
    path: str = "/v2/*"
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    seconds: Annotated[float, Field(ge=0, le=MAX_SECONDS)] | None = None
    count: Annotated[int, Field(ge=1)] = 1
    skip: Annotated[int, Field(ge=0)] = 0
    commit: bool | None = None
    headers: dict[str, str] = {}
    body: Literal["truncated", "not_json", "wrong_type", "html"] = "truncated"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> FaultInput:
        if self.kind in ("latency", "late_commit") and self.seconds is None:
            raise ValueError(f"a {self.kind} fault needs seconds")
        if self.kind in ("drop_response", "late_commit") and self.commit is False:
            raise ValueError(f"a {self.kind} fault always commits; commit: false contradicts it")
        if self.kind == "stale_read" and self.method.upper() not in ("*", "GET"):
            raise ValueError("a stale_read fault applies to GET only")
        return self


@dataclass(slots=True)
class Fault:
    """A fault that waits for matching calls."""

    id: int
    wanted: FaultInput
    remaining: int
    to_skip: int = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether the fault affects this call."""
        wanted = "GET" if self.wanted.kind == "stale_read" else self.wanted.method.upper()
        return wanted in ("*", method) and (path == self.wanted.path or fnmatchcase(path, self.wanted.path))

    def as_json(self) -> dict[str, Any]:
        """The fault as requested, its id, and how many calls it will still affect."""
        return {"id": self.id, **self.wanted.model_dump(exclude_unset=True), "remaining": self.remaining}


class FaultBook:
    """The waiting faults, oldest first, and the calls that they hold."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._released = asyncio.Event()

    @property
    def released(self) -> asyncio.Event:
        """Set when the calls that are held now must be released."""
        return self._released

    def add(self, wanted: FaultInput) -> Fault:
        """Let the next matching calls go wrong."""
        fault = Fault(next(self._ids), wanted, wanted.count, wanted.skip)
        self._faults.append(fault)
        return fault

    def waiting(self) -> list[Fault]:
        """The faults that will still affect a call."""
        return list(self._faults)

    def take(self, method: str, path: str) -> FaultInput | None:
        """Use the oldest fault that matches this call, if any; a call gets at most one fault.

        A fault that still skips calls lets this one pass to the next matching fault.
        """
        for fault in self._faults:
            if not fault.matches(method, path):
                continue
            if fault.to_skip:
                fault.to_skip -= 1
            else:
                fault.remaining -= 1
                if not fault.remaining:
                    self._faults.remove(fault)
                return fault.wanted
        return None

    def remove(self, fault_id: int) -> bool:
        """Drop one fault; returns whether it still waited for calls."""
        left = [fault for fault in self._faults if fault.id != fault_id]
        was_waiting = len(left) < len(self._faults)
        self._faults = left
        return was_waiting

    def clear(self) -> None:
        """Drop all faults and release the calls that they hold."""
        self._faults.clear()
        self.release()

    def release(self) -> None:
        """Release the calls that are held now."""
        released, self._released = self._released, asyncio.Event()
        released.set()
