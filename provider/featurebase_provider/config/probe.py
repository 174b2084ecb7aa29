"""The section ``probe`` of the rotation file."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, JsonValue, StrictBool, StrictInt, model_validator

from featurebase_provider.annotations import Checked
from featurebase_provider.config.base import FileModel
from featurebase_provider.config.fields import Pause, Steady, Waiting
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from featurebase_provider.config import errors
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")

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


def _host(value: str) -> str:
    host = value.strip().lower()
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"{errors.shown_value(value)} is not a host name or address; omit scheme, port, path and wildcard"
        )
    return host


HostName = Annotated[str, Checked(_host)]


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
    def _agree(self) -> "ProbeConfig":
        if self.interval > self.timeout:
            raise errors.disagreement([errors.Problem(("interval", "timeout"), "must not be longer than timeout")])
        return self
