"""Settings that ``defaults:`` can set for all webhooks, and each webhook for itself."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, model_validator

from featurebase_provider.annotations import LateModel
from featurebase_provider.config.base import DagSettings, FileModel, OverlapConfig, VerifyConfig
from featurebase_provider.config.fields import Age, ConnectionId, Delay, HttpsUrl, Schedule, Waiting

if TYPE_CHECKING:
    from featurebase_provider.config.notify import ApprovalConfig, NotifyConfig
    from featurebase_provider.config.probe import ProbeConfig


def _probe_switched(value: Any) -> Any:
    """``true`` switches the probe on with default settings, ``false`` switches it off."""
    if value is True:
        return {}
    if value is None or value is False:
        return None
    if isinstance(value, (Mapping, FileModel)):
        return value
    raise ValueError("must be true, false or a mapping such as {timeout: PT10M}; yes, on and 1 are not booleans here")


def _approval_switched(value: Any) -> Any:
    """``always`` and ``true`` switch the approval on with its defaults, ``false`` switches it off."""
    if value is True or value == "always":
        return {}
    if value is None or value is False:
        return None
    if isinstance(value, (Mapping, FileModel)):
        return value
    raise ValueError("must be always, false or a mapping such as {timeout: P3D, approvers: [alice]}")


if TYPE_CHECKING:
    Probe = ProbeConfig | None
    Approval = ApprovalConfig | None
    Notify = NotifyConfig
else:  # most files have none of them
    Probe = Annotated[Any, LateModel(f"{__package__}.probe", "ProbeConfig", _probe_switched)]
    Approval = Annotated[Any, LateModel(f"{__package__}.notify", "ApprovalConfig", _approval_switched)]
    Notify = Annotated[Any, LateModel(f"{__package__}.notify", "NotifyConfig")]


class WebhookSettings(DagSettings):
    """Settings that `defaults:` can set for all webhooks, and each webhook for itself."""

    strategy: Literal["refresh", "overlap"] = Field(
        "refresh",
        description="refresh: one webhook, whose secret is replaced at once. overlap: a pair of webhooks "
        "(webhook_ids), so that no delivery is refused.",
    )
    overlap: OverlapConfig = Field(
        default_factory=functools.cache(OverlapConfig.model_construct),  # defaults are valid, and frozen
        description="How long both webhooks of a pair may be active. Only with strategy: overlap.",
        json_schema_extra={"default": {}},
    )

    featurebase_conn_id: ConnectionId = Field(
        "featurebase_default",
        description="The Airflow connection that holds the API key.",
        examples=["featurebase_default"],
    )
    schedule: Schedule | None = Field(
        None,
        description="When to rotate: a cron expression of five fields, @hourly, @daily, @weekly, @monthly, "
        "@quarterly or @yearly; null for manual runs only.",
        examples=["0 6 1 * *"],
    )
    max_age: Age | None = Field(
        timedelta(days=90),
        description="The age from which the audit reports the secret as too old; null for no limit.",
        examples=["P90D"],
    )
    min_age: Age | None = Field(
        timedelta(days=1),
        description="A scheduled run is skipped while the secret is younger than this; null to rotate at any age.",
        examples=["P1D"],
    )
    late_start: Age | None = Field(
        timedelta(hours=1),
        description="A scheduled run that starts later than this after its scheduled time is skipped, so that "
        "unpausing a Dag rotates nothing; null to run however late.",
        examples=["PT1H"],
    )
    refresh_grace: Waiting = Field(
        timedelta(minutes=1),
        description="How long to look for a new secret after a refresh call that failed ambiguously (timeout, reset, "
        "5xx, unreadable body). The shorter, the likelier a second refresh.",
        examples=["PT1M"],
    )
    previous_for: Age = Field(
        timedelta(hours=8),
        description="How long stores with a previous_key keep the previous secret; if there is such a store, at least "
        "PT7H1M, since Featurebase retries deliveries that long.",
        examples=["PT8H"],
    )
    allow_inactive: StrictBool = Field(
        False, description="Whether to rotate even if the webhook is paused or suspended."
    )
    reactivate: StrictBool = Field(
        False,
        description="Whether to set the webhook active again if Featurebase paused it because deliveries failed during "
        "the rotation. Requires the probe.",
    )
    probe: Probe = Field(
        None,
        description="Sends signed test events to the receiver before and after the refresh. null or false: off; true "
        "or {}: on with default settings.",
    )
    verify: VerifyConfig = Field(
        default_factory=functools.cache(VerifyConfig.model_construct),
        description="Watches real deliveries after the rotation.",
        json_schema_extra={"default": {}},
    )
    approval: Approval = Field(
        None,
        description="Whether somebody must approve a rotation in Airflow's UI before the secret is refreshed. null or "
        "false: no; always or {}: yes, with default settings.",
    )
    notify: tuple[Notify, ...] = Field(
        (),
        max_length=20,
        description="Who is told of failures, successes, findings and secrets that are due, by which of Airflow's "
        "notifiers.",
        json_schema_extra={"default": []},
    )
    retries: StrictInt = Field(3, ge=0, le=100, description="Retries of each task except the push tasks.")
    retry_delay: Delay = Field(
        timedelta(seconds=30),
        description="Time before the first retry; it doubles each time.",
        examples=["PT30S"],
    )
    push_retries: StrictInt = Field(
        12, ge=0, le=1000, description="Retries of a push task, which writes the current secret to one store."
    )
    push_retry_delay: Delay = Field(
        timedelta(seconds=10),
        description="Time before a push task's first retry; it doubles each time.",
        examples=["PT10S"],
    )
    max_retry_delay: Delay = Field(
        timedelta(minutes=5), description="The longest time between two tries of a task.", examples=["PT5M"]
    )
    execution_timeout: Delay = Field(
        timedelta(minutes=15),
        description="Time limit of each task that does not wait for deliveries or the receiver. Must be longer than "
        "refresh_grace.",
        examples=["PT15M"],
    )
    dashboard_url: HttpsUrl | None = Field(
        None,
        description="Address of the webhook's page in the Featurebase dashboard; its tasks link to it.",
        examples=["https://acme.featurebase.app/dashboard/settings/webhooks"],
    )

    @model_validator(mode="before")
    @classmethod
    def _steadier_for_pairs(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("strategy") == "overlap" and "probe" in values:
            from featurebase_provider.config.probe import for_pair  # most files have no pair

            return {**values, "probe": for_pair(values["probe"])}
        return values
