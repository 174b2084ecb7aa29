"""Who is told what, by which of Airflow's notifiers: the field ``notify`` of the rotation file."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from featurebase_provider.annotations import Checked
from featurebase_provider.config.base import FileModel
from featurebase_provider.config.fields import Age, between, matching
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from featurebase_provider.config import errors
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

NotifyEvent = Literal["failure", "success", "finding", "due", "approval_needed"]

_CLASS_PATH = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
_SECRET_ADDRESS = re.compile(
    r"hooks\.slack\.com/|discord(app)?\.com/api/webhooks/|webhook\.office\.com/|chat\.googleapis\.com/v1/spaces/",
    re.IGNORECASE,
)
"""Addresses that are a credential as a whole: whoever knows one can post."""


def _some(events: tuple[NotifyEvent, ...]) -> tuple[NotifyEvent, ...]:
    if not events:
        raise ValueError("must name at least one event, such as [failure]")
    return events


def _without_credentials(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name, value in _parts(arguments):
        if errors.names_credential(name):
            raise ValueError(f"one of them names a credential. {errors.ADVICE}")
        if isinstance(value, str) and (errors.is_credential(value) or _SECRET_ADDRESS.search(value)):
            raise ValueError(f"one of them looks like a credential. {errors.ADVICE}")
    return arguments


def _parts(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every value within, each with the name of its field."""
    if isinstance(value, Mapping):
        return [part for key, below in value.items() for part in _parts(below, str(key))]
    if isinstance(value, list):
        return [part for below in value for part in _parts(below, name)]
    return [(name, value)]


class ApprovalConfig(FileModel):
    """The approval that a rotation waits for before it refreshes."""

    timeout: Annotated[timedelta, between("PT1M", "P30D")] = Field(
        timedelta(days=3),
        description="How long to wait for an answer; then the run ends unchanged.",
        examples=["P3D"],
    )
    approvers: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        (),
        max_length=50,
        description="Ids of the Airflow users who may answer; empty: everybody who may edit the Dag's tasks.",
        examples=[["alice", "bob"]],
    )


class NotifyConfig(FileModel):
    """One of Airflow's notifiers, and the events that it is told of."""

    events: Annotated[tuple[NotifyEvent, ...], Checked(_some)] = Field(
        description="failure: a run left something to do. success: a run is done. finding: the audit found something. "
        "due: the secret reaches max_age soon. approval_needed: a run waits for somebody's approval.",
        examples=[["failure", "finding"]],
        json_schema_extra={"minItems": 1},
    )
    notifier: Annotated[
        str,
        matching(_CLASS_PATH, "the dotted path of a class, such as airflow.providers.smtp.notifications.smtp"),
    ] = Field(
        max_length=300,
        description="The class of the notifier, with its module.",
        examples=["airflow.providers.smtp.notifications.smtp.SmtpNotifier"],
    )
    arguments: Annotated[dict[str, JsonValue], Checked(_without_credentials)] = Field(
        default_factory=dict,
        description="The notifier's own arguments. Its templates can use notice.headline, notice.text and report. No "
        "credentials: a notifier takes them from its Airflow connection.",
        json_schema_extra={"default": {}},
    )
    before: Age = Field(
        timedelta(days=7),
        description="Only for due: how long before max_age the audit begins to tell.",
        examples=["P7D"],
    )
    timeout: Annotated[timedelta, between("PT1S", "PT5M")] = Field(
        timedelta(seconds=30), description="How long the notifier may take.", examples=["PT30S"]
    )

    @model_validator(mode="after")
    def _agree(self) -> "NotifyConfig":
        if "before" in self.model_fields_set and "due" not in self.events:
            raise errors.disagreement([errors.Problem(("before", "events"), "has no effect without the event due")])
        return self
