"""The section ``audit`` of the rotation file."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StrictBool

from featurebase_provider.annotations import Checked
from featurebase_provider.audit.kinds import KINDS
from featurebase_provider.config.base import DagSettings
from featurebase_provider.config.fields import Schedule
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from featurebase_provider.config import errors
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")


def _finding_kind(value: str) -> str:
    if value not in KINDS:
        from difflib import get_close_matches

        close = get_close_matches(value[:60], KINDS, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"{errors.shown_value(value)} is not a kind of finding{meant} (allowed: {', '.join(KINDS)})")
    return value


FindingKindName = Annotated[str, Checked(_finding_kind, {"type": "string", "enum": list(KINDS)})]


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
