"""What Featurebase's audit log tells of a workspace: who did what to which webhook, and when.

Source: the reference of ``GET /v2/audit-logs``. Entries also carry e-mail and IP addresses and a free-form
``metadata`` with states before and after, which may hold secrets: none of these is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator

from featurebase_provider.featurebase.models import ApiModel, Page, Time

if TYPE_CHECKING:
    from pydantic import ValidatorFunctionWrapHandler

Action = Literal["webhook.secret_rotated", "webhook.created", "webhook.updated", "webhook.deleted"]
"""The actions that matter here; Featurebase knows more, and adds some."""


class ApiKeyActor(ApiModel):
    """The API key that was used."""

    id: str | None = None
    name: str | None = None


class Actor(ApiModel):
    """Who acted: ``admin``, ``system``, ``api_key``, ``integration``, or a kind that is newer than this package."""

    type: str = "unknown"
    api_key: ApiKeyActor | None = None


class Resource(ApiModel):
    """What was acted on."""

    id: str | None = None


class AuditEntry(ApiModel):
    """One entry of the audit log, without what could be personal or secret."""

    id: str
    action: str
    created_at: Time
    actor: Actor = Field(default_factory=Actor)
    resource: Resource = Field(default_factory=Resource)


def _entry_or_none(data: Any, read: ValidatorFunctionWrapHandler) -> AuditEntry | None:
    """An entry that can't be read tells nothing, and must not hide the others."""
    try:
        entry: AuditEntry = read(data)
    except ValidationError:
        return None
    return entry


class AuditLogPage(Page):
    """One page of the audit log, newest first."""

    data: tuple[Annotated[AuditEntry | None, WrapValidator(_entry_or_none)], ...]

    @property
    def entries(self) -> tuple[AuditEntry, ...]:
        """The entries that could be read."""
        return tuple(entry for entry in self.data if entry is not None)
