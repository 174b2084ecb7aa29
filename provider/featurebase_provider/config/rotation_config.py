"""The model of a whole rotation file."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from pydantic import Field

from featurebase_provider.config.audit import AuditConfig
from featurebase_provider.config.base import FileModel
from featurebase_provider.config.models import WebhookConfig


class RotationConfig(FileModel):
    """A whole rotation file.

    :param path: the file that it was read from.
    :param webhooks: its webhooks, in the file's order, with `defaults:` merged into each.
    :param audit: the audit's settings.
    """

    path: str
    webhooks: tuple[WebhookConfig, ...]
    audit: AuditConfig = Field(default_factory=AuditConfig.model_construct)
