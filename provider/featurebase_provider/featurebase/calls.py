"""The endpoints of the Featurebase API: the sync and the async client send the same calls."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from featurebase_provider.featurebase.audit_log import Action, AuditLogPage
from featurebase_provider.featurebase.errors import InvalidRequest, UnexpectedAnswer
from featurebase_provider.featurebase.models import (
    WEBHOOK_ID_PATTERN,
    ApiModel,
    DeletedWebhook,
    Page,
    Webhook,
    WebhookPage,
)
from featurebase_provider.featurebase.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from typing_extensions import Unpack

T = TypeVar("T", bound=ApiModel)
P = TypeVar("P", bound=Page)

Method = Literal["GET", "POST", "PATCH", "DELETE"]
StatusFilter = Literal["active", "paused", "suspended"]

WEBHOOKS_PATH = "/v2/webhooks"
AUDIT_LOGS_PATH = "/v2/audit-logs"
LARGEST_PAGE = 100
MOST_PAGES = 100
"""Most pages of a list that are read; a workspace has 10 webhooks unless Featurebase raised its limit."""
LONGEST_CURSOR = 512
"""Most characters of a cursor (Featurebase's API reference, "List webhooks")."""


class WebhookOptions(TypedDict, total=False):
    """Optional fields of a webhook, beside its name, url and topics. ``timeout_ms``: 1000 to 30000."""

    description: str | None
    timeout_ms: int
    headers: Mapping[str, str]


class WebhookChanges(WebhookOptions, total=False):
    """Fields of a webhook that can be changed. Fields left out keep their value; a description of None is cleared."""

    name: str
    url: str
    topics: Sequence[str]
    status: Literal["active", "paused"]


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[T]):
    """One call to the API, before it is sent; ``repr`` shows neither parameters nor body.

    :param answer: the model of a successful response.
    :param webhook_id: the webhook that the response must be about, where the caller named one.
    :param confidential: values in the request body that must not be shown if the API quotes them.
    :param once: whether it is sent once though it is a read: nobody waits for the answer.
    """

    method: Method
    path: str
    answer: type[T]
    webhook_id: str | None = None
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    confidential: tuple[str, ...] = field(default=(), repr=False)
    once: bool = False

    @property
    def retry_safe(self) -> bool:
        """Whether the call may be sent again: only reads, since the API has no idempotency key for writes."""
        return self.method == "GET" and not self.once


def list_webhooks_call(
    limit: int = LARGEST_PAGE, cursor: str | None = None, status: StatusFilter | None = None
) -> ApiCall[WebhookPage]:
    """Describe reading one page of at most ``limit`` (1 to 100) webhooks."""
    params = {"limit": str(limit), "cursor": cursor, "status": status}
    given = {name: value for name, value in params.items() if value is not None}
    return ApiCall("GET", WEBHOOKS_PATH, WebhookPage, params=given)


def list_audit_logs_call(
    action: Action | None = None, since: datetime | None = None, limit: int = LARGEST_PAGE, cursor: str | None = None
) -> ApiCall[AuditLogPage]:
    """Describe reading one page of the workspace's audit log, newest first. Nothing waits for it: it is sent once.

    :param since: the earliest moment of interest, aware; entries of that very moment are included.
    """
    start = since.isoformat() if since is not None else None
    params = {"limit": str(limit), "cursor": cursor, "action": action, "startDate": start}
    given = {name: value for name, value in params.items() if value is not None}
    return ApiCall("GET", AUDIT_LOGS_PATH, AuditLogPage, params=given, once=True)


def get_webhook_call(webhook_id: str) -> ApiCall[Webhook]:
    """Describe reading one webhook, its current secret included.

    :raises InvalidRequest: the id is malformed; every call that takes an id raises this.
    """
    return ApiCall("GET", _webhook_path("GET", webhook_id), Webhook, webhook_id)


def create_webhook_call(
    name: str, url: str, topics: Sequence[str], **options: Unpack[WebhookOptions]
) -> ApiCall[Webhook]:
    """Describe creating a webhook."""
    body = {"name": name, "url": url, "topics": list(topics), **_body(options, WebhookOptions)}
    return ApiCall("POST", WEBHOOKS_PATH, Webhook, json=body, confidential=_header_values(options))


def update_webhook_call(webhook_id: str, **changes: Unpack[WebhookChanges]) -> ApiCall[Webhook]:
    """Describe changing the given fields of a webhook. Setting it active resets its health figures.

    :raises InvalidRequest: nothing to change was given, or the id is malformed.
    """
    path = _webhook_path("PATCH", webhook_id)
    body = _body(changes, WebhookChanges)
    if not body:
        raise InvalidRequest("PATCH", path, None, detail="no field to change was given")
    return ApiCall("PATCH", path, Webhook, webhook_id, json=body, confidential=_header_values(changes))


def delete_webhook_call(webhook_id: str) -> ApiCall[DeletedWebhook]:
    """Describe deleting a webhook, which cannot be undone."""
    return ApiCall("DELETE", _webhook_path("DELETE", webhook_id), DeletedWebhook, webhook_id)


def refresh_secret_call(webhook_id: str) -> ApiCall[Webhook]:
    """Describe replacing a webhook's signing secret; the old one becomes invalid at once."""
    return ApiCall("POST", _webhook_path("POST", webhook_id, "/secret"), Webhook, webhook_id)


class Pages(Generic[P]):
    """Walks the pages of a list: send ``next_call``, pass the page to :meth:`take`, until it is None.

    :param call: describes reading the page that a cursor leads to; the first one for None.
    """

    def __init__(self, call: Callable[[str | None], ApiCall[P]]) -> None:
        self._call = call
        self._seen: set[str] = set()
        self.next_call: ApiCall[P] | None = call(None)

    def take(self, page: P) -> P:
        """Set ``next_call`` to what comes after this page.

        :raises UnexpectedAnswer: the page's cursor was seen before, is too long, or there are too many pages.
        """
        cursor = page.next_cursor
        path = self.next_call.path if self.next_call else ""
        if not cursor:
            self.next_call = None
        elif cursor in self._seen:
            raise UnexpectedAnswer("GET", path, 200, detail="nextCursor repeats: the list has no end")
        elif len(cursor) > LONGEST_CURSOR or len(self._seen) + 1 >= MOST_PAGES:
            detail = f"the list has more than {MOST_PAGES} pages, or a cursor of more than {LONGEST_CURSOR} characters"
            raise UnexpectedAnswer("GET", path, 200, detail=detail)
        else:
            self._seen.add(cursor)
            self.next_call = self._call(cursor)
        return page


def _body(given: Mapping[str, Any], fields: type[WebhookOptions]) -> dict[str, Any]:
    if unknown := given.keys() - fields.__annotations__.keys():
        raise TypeError(f"a webhook has no field {', '.join(sorted(unknown))}")
    config = {
        name: value
        for name, value in (("timeoutMs", given.get("timeout_ms")), ("headers", given.get("headers")))
        if value is not None
    }
    body = {name: value for name, value in given.items() if name not in ("timeout_ms", "headers")}
    return {**body, "requestConfig": config} if config else body


def _header_values(given: WebhookOptions) -> tuple[str, ...]:
    return tuple(given.get("headers", {}).values())


def _webhook_path(method: Method, webhook_id: str, rest: str = "") -> str:
    if isinstance(webhook_id, str) and re.fullmatch(WEBHOOK_ID_PATTERN, webhook_id):
        return f"{WEBHOOKS_PATH}/{webhook_id}{rest}"
    shown = clean_text(str(webhook_id), limit=40)
    detail = f"the webhook id {shown!r} is invalid; it must be 24 hexadecimal digits"
    raise InvalidRequest(method, f"{WEBHOOKS_PATH}/{{id}}{rest}", None, detail=detail)
