"""Switches for behaviour that Featurebase does not document, so that a test can try each possibility."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from featurebase_provider.sandbox.clock import TimeText, iso_ms, iso_seconds

Age = Literal["fresh", "stale"]
Verdict = Literal["accepted", "refused"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
DEFAULT_PAUSE_AFTER = 50


class Behaviour(BaseModel):
    """The switches. Each is an option of ``featurebase-sandbox serve`` and a field of ``POST /_sandbox/behaviour``.

    A stale read shows each webhook as it was before its last change.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    retry_signing: Literal["first", "current"] = Field(
        "current", description="which secret signs retries: that of the first attempt, or the current one"
    )
    pause_after: Annotated[int, Field(ge=0)] = Field(
        DEFAULT_PAUSE_AFTER, description="number of consecutive delivery failures that pause a webhook; 0: never"
    )
    updated_at: Literal["moves", "stays"] = Field("moves", description="what a refresh does to updatedAt")
    timestamps: Literal["ms", "seconds", "get_seconds"] = Field(
        "ms", description="precision of a webhook's times: milliseconds, whole seconds, or whole seconds in GET only"
    )
    reads: Annotated[tuple[Age, ...], Field(min_length=1)] = Field(
        ("fresh",), description="what successive reads of webhooks show, repeated; for example fresh,stale,fresh"
    )
    stale_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="fraction of further reads that are stale at random, from 0 to 1"
    )
    seed: int = Field(0, description="seed for random behaviour")
    reads_by: Literal["read", "connection", "user_agent"] = Field(
        "read", description="what takes turns: each read, or all reads of each connection or User-Agent"
    )

    audit_log: Literal["available", "forbidden", "missing"] = Field(
        "available", description="whether the key may read the audit log: yes, 403, or 404 as on a smaller plan"
    )
    audit_log_lag: Seconds = Field(0.0, description="seconds until what was done can be read in the audit log")

    event_ids: Literal["each", "shared"] = Field(
        "each", description="ids of an event that goes to several webhooks: each webhook has its own, or all share one"
    )
    delivery_lag: Seconds = Field(0.0, description="seconds from an event's emission to its first delivery attempt")
    matched: Literal["emission", "delivery"] = Field(
        "emission", description="when a webhook's status and topics decide whether it gets an event"
    )
    config_cache: Seconds = Field(
        0.0, description="seconds for which deliveries use a webhook's configuration once they have loaded it"
    )
    pausing: Literal["drops", "keeps"] = Field(
        "drops", description="what pausing a webhook does to its events that wait for their first attempt or a retry"
    )
    same_url: Verdict = Field("accepted", description="whether a webhook may have the url of another one, or 400")
    refresh_paused: Verdict = Field("accepted", description="whether a paused webhook can be refreshed, or 400")

    @field_validator("reads", mode="before")
    @classmethod
    def _from_text(cls, reads: object) -> object:
        return reads.split(",") if isinstance(reads, str) else reads

    def time_text(self, method: str) -> TimeText:
        """The format of a webhook's times in responses to this HTTP method."""
        cut = self.timestamps == "seconds" or (self.timestamps == "get_seconds" and method == "GET")
        return iso_seconds if cut else iso_ms


class Reads:
    """Decides for each read of webhooks whether it is stale."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._turns = 0
        self._turn_of: dict[object, int] = {}

    def next_is_stale(self, *, connection: object, user_agent: str) -> bool:
        """Whether the next read is stale.

        :param connection: identifies the connection over which it came.
        """
        behaviour = self._behaviour
        if behaviour.reads_by == "read":
            turn, self._turns = self._turns, self._turns + 1
        else:
            reader = connection if behaviour.reads_by == "connection" else user_agent
            turn = self._turn_of.setdefault(reader, len(self._turn_of))
        if behaviour.reads[turn % len(behaviour.reads)] == "stale":
            return True
        drawn = random.Random(f"{behaviour.seed}:{turn}").random()  # noqa: S311 - a test's dice
        return drawn < behaviour.stale_share
