"""The model of an entry of the rotation file: one :class:`WebhookConfig` for each webhook, or pair of webhooks.

The models can also be built in Python, for your own Dags, with the same checks. Durations are ``timedelta``; a text is
read as an ISO 8601 duration.
"""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from featurebase_provider.config.agreement import (
    IDENTIFIERS,
    naming_problems,
    settings_problems,
    store_problems,
    target_problems,
)
from featurebase_provider.config.fields import PairIds, WebhookId, WebhookName
from featurebase_provider.config.settings import WebhookSettings
from featurebase_provider.config.stores import StoreEntry, with_labels

DAG_ID_PREFIX = "featurebase_rotate__"
AUDIT_DAG_ID = "featurebase_audit"
EMERGENCY_DAG_ID = "featurebase_emergency_rotation"


class WebhookConfig(WebhookSettings):
    """One webhook or pair, one Dag: which secret is rotated, when, and where it is written."""

    name: WebhookName = Field(
        description="The name in the Dag's id, featurebase_rotate__<name>. Lower-case letters, digits, _ and -.",
        examples=["production"],
    )
    webhook_id: WebhookId | None = Field(
        None,
        description="The webhook's id, 24 hex digits. Give either this or webhook_name, or webhook_ids for a pair.",
        examples=["507f1f77bcf86cd799439011"],
    )
    webhook_name: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The webhook's exact name in Featurebase. Give either this or webhook_id.",
        examples=["Production Webhook"],
    )
    webhook_ids: PairIds | None = Field(
        None,
        description="The ids of the two webhooks of a pair, of which one is active and one paused; requires strategy: "
        "overlap. Instead of webhook_id and webhook_name.",
        examples=[["507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012"]],
    )
    stores: tuple[StoreEntry, ...] = Field(
        min_length=1, max_length=50, description="The places where receivers read the secret; a rotation writes them."
    )

    @classmethod
    def of(cls, webhook: "WebhookConfig | Mapping[str, Any]") -> "WebhookConfig":
        """An entry from its fields; one that was made, and thereby checked, before is taken as it is.

        :raises pydantic.ValidationError: a field is wrong, or fields contradict each other.
        """
        return webhook if isinstance(webhook, cls) else cls.model_validate(webhook)

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
    def _agree(self) -> "WebhookConfig":
        problems = [
            *naming_problems({name for name in IDENTIFIERS if getattr(self, name) is not None}, self.strategy),
            *settings_problems(self),
            *store_problems(self, dict(enumerate(self.stores))),
            *target_problems(self.stores),
        ]
        if problems:
            from featurebase_provider.config.errors import disagreement  # a file without errors does not need it

            raise disagreement(problems)
        return self
