"""Models of the rotation file: one :class:`WebhookConfig` for each webhook.

The models can also be built in Python, for your own Dags, with the same checks. Durations are ``timedelta``; a text is
read as an ISO 8601 duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from featurebase_provider.config.errors import Problem, disagreement
from featurebase_provider.config.fields import (
    Age,
    ConnectionId,
    Delay,
    HttpsUrl,
    Schedule,
    Waiting,
    WebhookId,
    WebhookName,
)
from featurebase_provider.config.sections import (
    AuditConfig,
    DagSettings,
    FileModel,
    ProbeConfig,
    VerifyConfig,
    switched,
)
from featurebase_provider.config.shared_places import clashes
from featurebase_provider.config.stores import StoreEntry, with_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.stores.base import StoreConfig

FEATUREBASE_RETRIES = timedelta(hours=7, minutes=1)
"""Time from a delivery's first failed attempt to its last retry (Featurebase guide "Delivery behaviors")."""

DAG_ID_PREFIX = "featurebase_rotate__"
AUDIT_DAG_ID = "featurebase_audit"
EMERGENCY_DAG_ID = "featurebase_emergency_rotation"


def naming_problems(*, has_id: bool, has_name: bool) -> Iterator[Problem]:
    """A webhook is identified exactly once, by id or by name."""
    if has_id and has_name:
        yield Problem(
            ("webhook_name", "webhook_id"), "identifies the webhook a second time; keep either this or webhook_id"
        )
    elif not has_id and not has_name:
        yield Problem(("webhook_id", "webhook_name"), "is required, or webhook_name instead")


def settings_problems(s: WebhookSettings) -> Iterator[Problem]:
    """Contradictions between fields that ``defaults:`` may contain."""
    if s.min_age is not None and s.max_age is not None and s.min_age >= s.max_age:
        yield Problem(("min_age", "max_age"), "must be shorter than max_age")
    if s.reactivate and s.probe is None:
        message = "requires the probe, which shows that the receiver accepts the new secret; add probe: true"
        yield Problem(("reactivate", "probe"), message)
    if s.refresh_grace >= s.execution_timeout:
        message = "must be shorter than execution_timeout, or the task is stopped while it waits for the refresh"
        yield Problem(("refresh_grace", "execution_timeout"), message)
    for delay in ("retry_delay", "push_retry_delay"):
        if getattr(s, delay) > s.max_retry_delay:
            yield Problem((delay, "max_retry_delay"), "must not be longer than max_retry_delay")


def store_problems(settings: WebhookSettings, stores: Mapping[int, StoreConfig]) -> Iterator[Problem]:
    """Contradictions among the stores and with the webhook's settings; ``stores`` by their number in the list."""
    labels: dict[str, int] = {}
    for index, store in stores.items():
        first = labels.setdefault(store.label, index)
        if first != index:
            message = f"is also the label of stores[{first}]; labels name push tasks and must be unique in a webhook"
            yield Problem(("stores",), message, ("stores", index, "label"))
    if settings.previous_for < FEATUREBASE_RETRIES and any(store.keeps_previous for store in stores.values()):
        message = (
            "must be at least PT7H1M if a store keeps the previous secret: Featurebase retries deliveries "
            "that long, and does not document which secret signs a retry"
        )
        yield Problem(("previous_for", "stores"), message)


def target_problems(stores: tuple[StoreConfig, ...]) -> Iterator[Problem]:
    """Two stores of one webhook must not write to the same place; :func:`.loading.repeated` checks the whole file."""
    for index, first, what in clashes(dict(enumerate(stores))):
        yield Problem(("stores",), f"{what} stores[{first}]", ("stores", index))


class WebhookSettings(DagSettings):
    """Settings that `defaults:` can set for all webhooks, and each webhook for itself."""

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
    probe: Annotated[ProbeConfig | None, BeforeValidator(switched)] = Field(
        None,
        description="Sends signed test events to the receiver before and after the refresh. null or false: off; true "
        "or {}: on with default settings.",
    )
    verify: VerifyConfig = Field(
        default_factory=VerifyConfig,
        description="Watches real deliveries after the rotation.",
        json_schema_extra={"default": {}},
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


class WebhookConfig(WebhookSettings):
    """One webhook, one Dag: which secret is rotated, when, and where it is written."""

    name: WebhookName = Field(
        description="The name in the Dag's id, featurebase_rotate__<name>. Lower-case letters, digits, _ and -.",
        examples=["production"],
    )
    webhook_id: WebhookId | None = Field(
        None,
        description="The webhook's id, 24 hex digits. Give either this or webhook_name.",
        examples=["507f1f77bcf86cd799439011"],
    )
    webhook_name: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The webhook's exact name in Featurebase. Give either this or webhook_id.",
        examples=["Production Webhook"],
    )
    stores: tuple[StoreEntry, ...] = Field(
        min_length=1, max_length=50, description="The places where receivers read the secret; a rotation writes them."
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


class RotationConfig(FileModel):
    """A whole rotation file.

    :param path: the file that it was read from.
    :param webhooks: its webhooks, in the file's order, with `defaults:` merged into each.
    :param audit: the audit's settings.
    """

    path: str
    webhooks: tuple[WebhookConfig, ...]
    audit: AuditConfig = Field(default_factory=AuditConfig)
