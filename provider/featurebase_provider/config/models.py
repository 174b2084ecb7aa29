"""What the rotation file says, once it is read: one :class:`WebhookConfig` for each webhook.

The models can also be made in Python, for own Dags; they check the same things there. Lengths of time are
``timedelta``; text in their place is read as an ISO 8601 duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    model_validator,
)

from featurebase_provider.audit.findings import KINDS
from featurebase_provider.config.agreement import (
    Problem,
    disagreement,
    naming_problems,
    settings_problems,
    store_problems,
    target_problems,
)
from featurebase_provider.config.fields import (
    Age,
    ConnectionId,
    Delay,
    FindingKindName,
    HostName,
    HttpsUrl,
    LongWaiting,
    Pause,
    Schedule,
    StartDate,
    Steady,
    Tag,
    Waiting,
    WebhookId,
    WebhookName,
    ZoneName,
)
from featurebase_provider.config.store_list import StoreEntry, with_labels

DAG_ID_PREFIX = "featurebase_rotate__"
AUDIT_DAG_ID = "featurebase_audit"
EMERGENCY_DAG_ID = "featurebase_emergency_rotation"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


def _switched(value: Any) -> Any:
    """``true`` switches the probe on as it comes, ``false`` off."""
    if value is True:
        return {}
    if value is None or value is False:
        return None
    if isinstance(value, (Mapping, ProbeConfig)):
        return value
    raise ValueError("must be true, false or a mapping such as {timeout: PT10M}; yes, on and 1 are no booleans here")


class ProbeConfig(_Model):
    """The signed test event that shows whether the receiver accepts the new secret."""

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
        description="How long the receiver must accept every test event, each on a fresh connection; one that it does "
        "not accept starts this anew. Shows replicas that still have the old secret.",
        examples=["PT10S"],
    )
    successes: StrictInt = Field(
        3,
        ge=1,
        le=1000,
        description="How many test events in a row the receiver must accept at least.",
    )
    reject_check: StrictBool = Field(
        True,
        description="Whether to send one event signed with a wrong key too, which the receiver must refuse by an "
        "answer such as 401. Switch it off where that would raise an alarm.",
    )
    body: dict[str, JsonValue] | None = Field(
        None,
        description="Fields that replace the test event's own, such as topic or data, for receivers that accept known "
        "events only.",
    )
    allow_hosts: tuple[HostName, ...] = Field(
        (),
        max_length=20,
        description="Host names or addresses to which the test event may be sent although they are, or "
        "resolve to, link-local or otherwise special addresses.",
        examples=[["receiver.internal"]],
    )

    @property
    def longest(self) -> timedelta:
        """How long events with the right signature are sent at most, if they are answered at once."""
        return self.timeout + self.steady

    @model_validator(mode="after")
    def _agree(self) -> ProbeConfig:
        if self.interval > self.timeout:
            raise disagreement([Problem(("interval", "timeout"), "must not be longer than timeout")])
        return self


class VerifyConfig(_Model):
    """How long real deliveries are watched after the rotation."""

    timeout: LongWaiting = Field(
        timedelta(minutes=15),
        description="How long to wait for real deliveries that show whether the rotation worked.",
        examples=["PT15M"],
    )
    poll_interval: Pause = Field(
        timedelta(seconds=15),
        description="Time from one look at the webhook's health to the next.",
        examples=["PT15S"],
    )

    @model_validator(mode="after")
    def _agree(self) -> VerifyConfig:
        if self.poll_interval > self.timeout:
            raise disagreement([Problem(("poll_interval", "timeout"), "must not be longer than timeout")])
        return self


class WebhookSettings(_Model):
    """What `defaults:` may say for all webhooks, and each webhook for itself."""

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
    timezone: ZoneName = Field(
        "UTC", description="The IANA time zone in which the schedule is meant.", examples=["Europe/Tallinn"]
    )
    start_date: StartDate = Field(
        date(2026, 1, 1),
        description="No scheduled run before this day (YYYY-MM-DD, in the time zone above).",
        examples=["2026-01-01"],
    )
    max_age: Age | None = Field(
        timedelta(days=90),
        description="The age at which the audit calls the secret too old; null for no limit.",
        examples=["P90D"],
    )
    min_age: Age | None = Field(
        timedelta(days=1),
        description="A scheduled run is skipped while the secret is younger; null to rotate at any age.",
        examples=["P1D"],
    )
    late_start: Age | None = Field(
        timedelta(hours=1),
        description="A scheduled run that starts later than this after its time is skipped, so that "
        "unpausing a Dag rotates nothing; null to run however late.",
        examples=["PT1H"],
    )
    refresh_grace: Waiting = Field(
        timedelta(minutes=1),
        description="After a refresh without an answer: how long to look whether it happened. "
        "The shorter, the likelier a second refresh.",
        examples=["PT1M"],
    )
    previous_for: Age = Field(
        timedelta(hours=8),
        description="How long stores with a previous_key keep the previous secret; with such a store at "
        "least PT7H1M, as long as Featurebase retries deliveries.",
        examples=["PT8H"],
    )
    allow_inactive: StrictBool = Field(
        False, description="Whether to rotate although the webhook is paused or suspended."
    )
    reactivate: StrictBool = Field(
        False,
        description="Whether to set the webhook active again if Featurebase paused it for failures during "
        "the rotation. Needs the probe.",
    )
    probe: Annotated[ProbeConfig | None, BeforeValidator(_switched)] = Field(
        None,
        description="Sends the receiver a signed test event before and after the rotation. null or false: "
        "off; true or {}: on with its defaults.",
    )
    verify: VerifyConfig = Field(
        default_factory=VerifyConfig,
        description="Watches real deliveries after the rotation.",
        json_schema_extra={"default": {}},
    )
    owner: str = Field("platform", min_length=1, max_length=100, description="Owner of the Dag.")
    tags: tuple[Tag, ...] = Field((), max_length=50, description="Further tags of the Dag.", examples=[["production"]])
    retries: StrictInt = Field(3, ge=0, le=100, description="Retries of each task but the push tasks.")
    retry_delay: Delay = Field(
        timedelta(seconds=30),
        description="Time before the first retry; it doubles each time.",
        examples=["PT30S"],
    )
    push_retries: StrictInt = Field(
        12, ge=0, le=1000, description="Retries of a push task, which brings one store to the current secret."
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
        description="How long a task that waits for nothing may run. Longer than refresh_grace.",
        examples=["PT15M"],
    )
    dashboard_url: HttpsUrl | None = Field(
        None,
        description="The webhook's page in the Featurebase dashboard, linked from its tasks.",
        examples=["https://acme.featurebase.app/dashboard/settings/webhooks"],
    )


class WebhookConfig(WebhookSettings):
    """One webhook, one Dag: which secret is rotated, when, and where it must go."""

    name: WebhookName = Field(
        description="Names the Dag featurebase_rotate__<name>. Lower-case letters, digits, _ and -.",
        examples=["production"],
    )
    webhook_id: WebhookId | None = Field(
        None,
        description="The webhook's id, 24 hex digits. Either this or webhook_name.",
        examples=["507f1f77bcf86cd799439011"],
    )
    webhook_name: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The webhook's exact name in Featurebase. Either this or webhook_id.",
        examples=["Production Webhook"],
    )
    stores: tuple[StoreEntry, ...] = Field(
        min_length=1, max_length=50, description="The places where the receiver finds the secret."
    )

    @property
    def dag_id(self) -> str:
        """The id of this webhook's Dag."""
        return DAG_ID_PREFIX + self.name

    @model_validator(mode="before")
    @classmethod
    def _label_stores(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("stores"), (list, tuple)):
            return values
        return {**values, "stores": with_labels(values["stores"])}

    @model_validator(mode="after")
    def _agree(self) -> WebhookConfig:
        problems = [
            *naming_problems(has_id=self.webhook_id is not None, has_name=self.webhook_name is not None),
            *settings_problems(self),
            *store_problems(self, dict(enumerate(self.stores))),
            *target_problems(self.stores),
        ]
        if problems:
            raise disagreement(problems)
        return self


class AuditConfig(_Model):
    """The Dag featurebase_audit, which compares all webhooks and stores with Featurebase and writes nothing."""

    schedule: Schedule | None = Field(
        "@daily",
        description="When to audit: a cron expression of five fields, @hourly, @daily, @weekly, @monthly, "
        "@quarterly or @yearly; null for manual runs only.",
        examples=["0 7 * * *"],
    )
    timezone: ZoneName = Field(
        "UTC", description="The IANA time zone in which the schedule is meant.", examples=["Europe/Tallinn"]
    )
    start_date: StartDate = Field(
        date(2026, 1, 1),
        description="No scheduled run before this day (YYYY-MM-DD, in the time zone above).",
        examples=["2026-01-01"],
    )
    heal: StrictBool = Field(
        False,
        description="Whether to trigger the Dags of webhooks whose stores differ, with mode distribute: it brings the "
        "stores to Featurebase's current secret and refreshes nothing.",
    )
    ignore: tuple[FindingKindName, ...] = Field(
        (),
        max_length=len(KINDS),
        description="Kinds of findings that are shown, and neither fail the run nor are healed.",
        examples=[["webhook_unconfigured"]],
    )
    owner: str = Field("platform", min_length=1, max_length=100, description="Owner of the Dag.")
    tags: tuple[Tag, ...] = Field((), max_length=50, description="Further tags of the Dag.", examples=[["production"]])


class RotationConfig(_Model):
    """A whole rotation file.

    :param path: the file that it was read from.
    :param webhooks: its webhooks, in the file's order, `defaults:` merged into each.
    :param audit: what it says of the audit.
    """

    path: str
    webhooks: tuple[WebhookConfig, ...]
    audit: AuditConfig = Field(default_factory=AuditConfig)
