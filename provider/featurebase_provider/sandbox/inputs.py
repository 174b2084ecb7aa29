"""The inputs of the webhook API: bodies, ids and paging parameters. Invalid ones are refused with a 400."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from featurebase_provider.sandbox.errors import CallRefused

MAX_CURSOR_CHARS = 512
DEFAULT_LIMIT, MAX_LIMIT = 10, 100
_OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")

Name = Annotated[str, Field(min_length=1, max_length=100)]
Description = Annotated[str, Field(max_length=500)]
_BY_SUBJECT = {
    "post": ("created", "updated", "deleted", "voted"),
    "ticket": ("created", "updated", "deleted"),
    "changelog": ("published",),
    "comment": ("created", "updated", "deleted"),
    "conversation": (
        "user.created",
        "user.replied",
        "admin.replied",
        "admin.closed",
        "handover_requested",
        "admin.assigned",
        "admin.noted",
        "admin.snoozed",
        "admin.unsnoozed",
        "admin.opened",
        "priority.updated",
        "deleted",
        "contact.attached",
        "contact.detached",
        "read",
    ),
    "conversation_part": ("redacted",),
    "audit_log": ("created",),
}
KNOWN_TOPICS = frozenset(f"{subject}.{event}" for subject, events in _BY_SUBJECT.items() for event in events)


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address certainly means this machine."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _receiver_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("must be an absolute https URL")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must use https (this sandbox takes http for loopback hosts only)")
    return url


def _known_topic(topic: str) -> str:
    if topic not in KNOWN_TOPICS:
        raise ValueError("is not a known topic")
    return topic


def _sendable_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError("holds a name or a value that HTTP does not allow")
    return headers


ReceiverUrl = Annotated[str, AfterValidator(_receiver_url)]
Topics = Annotated[list[Annotated[str, AfterValidator(_known_topic)]], Field(min_length=1)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class RequestConfigInput(_Input):
    """How deliveries are sent. A field that is left out keeps its value."""

    timeoutMs: Annotated[int, Field(ge=1000, le=30000)] = 5000
    headers: Annotated[dict[str, str], Field(max_length=10), AfterValidator(_sendable_headers)] = {}


class CreateInput(_Input):
    """Body of ``POST /v2/webhooks``."""

    name: Name
    url: ReceiverUrl
    topics: Topics
    description: Description | None = None
    requestConfig: RequestConfigInput = RequestConfigInput()


class UpdateInput(_Input):
    """Body of ``PATCH /v2/webhooks/{id}``: only the fields in it are changed.

    The defaults are never used; they allow a field to be missing without allowing null.
    """

    name: Name = ""
    url: ReceiverUrl = ""
    topics: Topics = []
    description: Description | None = None
    status: Literal["active", "paused"] = "active"
    requestConfig: RequestConfigInput = RequestConfigInput()


_InputT = TypeVar("_InputT", bound=_Input)


def read_body(model: type[_InputT], body: bytes) -> _InputT:
    """Read a JSON body.

    :raises CallRefused: 400; it names the first invalid field and never quotes its value.
    """
    try:
        document = json.loads(body)
    except ValueError:
        raise CallRefused(400, "invalid_json", "The request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise CallRefused(400, "invalid_json", "The request body must be a JSON object")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        fields = [str(part) for part in first["loc"]]
        # After requestConfig.headers comes a header's name as the client wrote it; by mistake it may be a credential.
        param = ".".join(fields[:2] if fields[0] == "requestConfig" else fields)
        problem = first["msg"].removeprefix("Value error, ")
        raise CallRefused(400, "invalid_parameter", f"{param}: {problem}", param) from None


def read_webhook_id(text: str) -> str:
    """Check and normalise a webhook id.

    :raises CallRefused: 400, it is not 24 hex digits.
    """
    if not _OBJECT_ID.fullmatch(text):
        raise CallRefused(400, "invalid_id", "The webhook id must be 24 hexadecimal digits", "id")
    return text.lower()


def read_limit(text: str | None) -> int:
    """The page size, 1 to 100; default 10."""
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise CallRefused(400, "invalid_parameter", f"limit must be a number from 1 to {MAX_LIMIT}", "limit")
    return int(text)


def read_status_filter(text: str | None) -> str | None:
    """The status to list, or None for all."""
    if text not in (None, "active", "paused", "suspended"):
        raise CallRefused(400, "invalid_parameter", "status must be one of active, paused, suspended", "status")
    return text


def cursor_after(webhook_id: str) -> str:
    """An opaque cursor for the page after this webhook, even if that is deleted meanwhile."""
    document: dict[str, Any] = {"id": webhook_id}
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()


def read_cursor(cursor: str | None) -> str | None:
    """The id after which the requested page begins, or None for the first page.

    :raises CallRefused: 400, it is not a cursor that this API returned.
    """
    if cursor is None:
        return None
    try:
        if len(cursor) > MAX_CURSOR_CHARS:
            raise ValueError("too long")
        document = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        webhook_id = document["id"]
        if not _OBJECT_ID.fullmatch(webhook_id):
            raise ValueError("no id")
    except (ValueError, TypeError, KeyError, binascii.Error):
        raise CallRefused(400, "invalid_cursor", "cursor is not one that this API returned", "cursor") from None
    return str(webhook_id)
