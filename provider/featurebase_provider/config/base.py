"""What every entry of the rotation file has: settings of its Dag, the check of deliveries, the overlap of a pair."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

from featurebase_provider.config.fields import LongWaiting, Overlap, Pause, StartDate, Tag, ZoneName
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from featurebase_provider.config import errors
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")


class FileModel(BaseModel):
    """Base class of the models of the rotation file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


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
    def _agree(self) -> "VerifyConfig":
        if self.poll_interval > self.timeout:
            raise errors.disagreement([errors.Problem(("poll_interval", "timeout"), "must not be longer than timeout")])
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
    def _agree(self) -> "OverlapConfig":
        if self.pending < self.first_delivery:
            raise errors.disagreement(
                [errors.Problem(("pending", "first_delivery"), "must not be shorter than first_delivery")]
            )
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
