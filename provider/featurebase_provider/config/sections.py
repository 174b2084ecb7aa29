"""The sections of the rotation file: the probe, the check of deliveries, the overlap of a pair, the audit, Dags."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictInt, model_validator

from featurebase_provider.audit.kinds import KINDS
from featurebase_provider.config.errors import Problem, disagreement
from featurebase_provider.config.fields import (
    FindingKindName,
    HostName,
    LongWaiting,
    Overlap,
    Pause,
    Schedule,
    StartDate,
    Steady,
    Tag,
    Waiting,
    ZoneName,
)


class FileModel(BaseModel):
    """Base class of the models of the rotation file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


def switched(value: Any) -> Any:
    """``true`` switches the probe on with default settings, ``false`` switches it off."""
    if value is True:
        return {}
    if value is None or value is False:
        return None
    if isinstance(value, (Mapping, ProbeConfig)):
        return value
    raise ValueError("must be true, false or a mapping such as {timeout: PT10M}; yes, on and 1 are not booleans here")


PAIR_STEADY = timedelta(minutes=2)
"""``probe.steady`` of a pair, unless the file sets it: a replica that still has one secret only must be noticed."""

PAIR_EVENTS = 30
"""The smallest ``probe.successes`` of a pair."""


def for_pair(probe: Any) -> Any:
    """The fields of a pair's probe, as written or as a model, with a pair's defaults; other values stay as they are."""
    if probe is True:
        fields: Mapping[str, Any] = {}
    elif isinstance(probe, ProbeConfig):
        fields = {name: getattr(probe, name) for name in probe.model_fields_set}
    elif isinstance(probe, Mapping):
        fields = probe
    else:
        return probe
    return {"steady": PAIR_STEADY, "successes": PAIR_EVENTS, **fields}


class ProbeConfig(FileModel):
    """The signed test events that show whether the receiver accepts the secret."""

    timeout: Waiting = Field(
        timedelta(minutes=10),
        description="How long the receiver may take to accept the new secret.",
        examples=["PT10M"],
    )
    interval: Pause = Field(
        timedelta(seconds=2),
        description="Time from one test event to the next while the receiver does not accept them.",
        examples=["PT2S"],
    )
    steady: Steady = Field(
        timedelta(seconds=10),
        description="How long the receiver must accept every test event, each on a new connection; an event that it "
        "does not accept restarts this time. Detects replicas that still have the old secret. PT2M by default with "
        "strategy: overlap.",
        examples=["PT10S"],
    )
    successes: StrictInt = Field(
        3,
        ge=1,
        le=1000,
        description="The smallest number of test events in a row that the receiver must accept; at least 30, and 30 by "
        "default, with strategy: overlap.",
    )
    reject_check: StrictBool = Field(
        True,
        description="Whether to also send an event signed with a wrong key, which the receiver must refuse with a "
        "status such as 401. Switch this off if it would raise an alarm.",
    )
    body: dict[str, JsonValue] | None = Field(
        None,
        description="Fields that replace the test event's own, such as topic or data, for receivers that accept only "
        "known events.",
    )
    allow_hosts: tuple[HostName, ...] = Field(
        (),
        max_length=20,
        description="Host names or addresses to which test events may be sent even if they are, or resolve to, "
        "link-local or other special addresses.",
        examples=[["receiver.internal"]],
    )

    @property
    def longest(self) -> timedelta:
        """The longest time in which events with the right signature are sent, if they are answered at once."""
        return self.timeout + self.steady

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of a probe; durations in seconds."""
        return {
            "timeout": self.timeout.total_seconds(),
            "interval": self.interval.total_seconds(),
            "steady": self.steady.total_seconds(),
            "successes": self.successes,
            "reject_check": self.reject_check,
            "body": self.body,
            "allow_hosts": tuple(self.allow_hosts),
        }

    @model_validator(mode="after")
    def _agree(self) -> ProbeConfig:
        if self.interval > self.timeout:
            raise disagreement([Problem(("interval", "timeout"), "must not be longer than timeout")])
        return self


class VerifyConfig(FileModel):
    """How long real deliveries are watched after the rotation, and how often."""

    timeout: LongWaiting = Field(
        timedelta(minutes=15),
        description="How long to wait for real deliveries that show whether the rotation worked.",
        examples=["PT15M"],
    )
    poll_interval: Pause = Field(
        timedelta(seconds=15),
        description="Time between two reads of the webhook's health; the first ones follow sooner.",
        examples=["PT15S"],
    )

    @model_validator(mode="after")
    def _agree(self) -> VerifyConfig:
        if self.poll_interval > self.timeout:
            raise disagreement([Problem(("poll_interval", "timeout"), "must not be longer than timeout")])
        return self


class OverlapConfig(FileModel):
    """How long both webhooks of a pair may be active at most."""

    first_delivery: Overlap = Field(
        timedelta(minutes=5),
        description="How long to wait for the first delivery that the receiver accepts from the webhook that takes "
        "over, before the other one is paused.",
        examples=["PT5M"],
    )
    pending: Overlap = Field(
        timedelta(hours=1),
        description="How long the webhook to be paused may stay active while deliveries of it have failed and may be "
        "retried. Not shorter than first_delivery.",
        examples=["PT1H"],
    )

    @model_validator(mode="after")
    def _agree(self) -> OverlapConfig:
        if self.pending < self.first_delivery:
            raise disagreement([Problem(("pending", "first_delivery"), "must not be shorter than first_delivery")])
        return self


class DagSettings(FileModel):
    """Settings that rotation Dags and the audit Dag share."""

    timezone: ZoneName = Field("UTC", description="The IANA time zone of the schedule.", examples=["Europe/Tallinn"])
    start_date: StartDate = Field(
        date(2026, 1, 1),
        description="There are no scheduled runs before this day (YYYY-MM-DD, in the time zone above).",
        examples=["2026-01-01"],
    )
    owner: str = Field("platform", min_length=1, max_length=100, description="Owner of the Dag.")
    tags: tuple[Tag, ...] = Field((), max_length=50, description="More tags for the Dag.", examples=[["production"]])


class AuditConfig(DagSettings):
    """The Dag featurebase_audit, which compares all webhooks and stores with Featurebase and changes nothing."""

    schedule: Schedule | None = Field(
        "@daily",
        description="When to audit: a cron expression of five fields, @hourly, @daily, @weekly, @monthly, "
        "@quarterly or @yearly; null for manual runs only.",
        examples=["0 7 * * *"],
    )
    heal: StrictBool = Field(
        False,
        description="Whether to trigger the Dag of each webhook whose stores differ, with mode distribute: it updates "
        "the stores to Featurebase's current secret without refreshing.",
    )
    ignore: tuple[FindingKindName, ...] = Field(
        (),
        max_length=len(KINDS),
        description="Kinds of findings that are only shown: they do not fail the run and are not fixed by heal.",
        examples=[["webhook_unconfigured"]],
    )
