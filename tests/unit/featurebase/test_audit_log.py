"""The audit log as both clients read it: what is odd hides nothing else, what is secret or personal is not kept."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from featurebase_provider.featurebase.audit_log import AuditLogPage
from featurebase_provider.featurebase.errors import ApiError, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Callable

    Drive = Callable[..., Any]

ENTRY: dict[str, Any] = {
    "object": "audit_log",
    "id": "0193a6e6-fb6b-78ef-b71f-15008d9f9cde",
    "correlationId": None,
    "action": "webhook.secret_rotated",
    "domain": "integrations",
    "description": "Rotated the secret",
    "createdAt": "2026-01-15T10:30:00.000Z",
    "actor": {
        "id": None,
        "type": "api_key",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "apiKey": {"id": "k1", "name": "airflow"},
    },
    "resource": {"type": "webhook", "id": "507f1f77bcf86cd799439011", "name": "Production Webhook"},
    "request": {"ipAddress": "192.0.2.7", "userAgent": "curl/8"},
    "metadata": {"before": {"secret": "whsec_in_metadata_before"}, "after": {"secret": "whsec_in_metadata_after"}},
}


def page(*entries: Any, cursor: str | None = None) -> dict[str, Any]:
    return {"object": "list", "data": list(entries), "nextCursor": cursor}


def test_all_pages_newest_first_with_the_filter(drive: Drive) -> None:
    """Each page is asked for with the same action and date."""
    asked: list[dict[str, str]] = []
    pages = [page({**ENTRY, "id": "b"}, cursor="more"), page({**ENTRY, "id": "a"})]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        assert request.url.path == "/v2/audit-logs"
        return httpx.Response(200, json=pages[len(asked) - 1])

    since = datetime(2026, 1, 1, tzinfo=timezone.utc)
    found = drive(answer)("audit_log", "webhook.secret_rotated", since=since)
    assert [entry.id for entry in found] == ["b", "a"]
    first = {"limit": "100", "action": "webhook.secret_rotated", "startDate": "2026-01-01T00:00:00+00:00"}
    assert asked == [first, {**first, "cursor": "more"}]


def test_what_an_entry_tells(drive: Drive) -> None:
    (entry,) = drive(lambda request: httpx.Response(200, json=page(ENTRY)))("audit_log")
    assert (entry.action, entry.resource.id) == ("webhook.secret_rotated", "507f1f77bcf86cd799439011")
    assert (entry.actor.type, entry.actor.api_key.name) == ("api_key", "airflow")
    assert entry.created_at == datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)


def test_what_is_secret_or_personal_is_not_kept() -> None:
    """Neither the states before and after, nor who it was by name, mail or address."""
    kept = pickle.dumps(AuditLogPage.model_validate(page(ENTRY)))
    for text in ("whsec_in_metadata", "ada@example.com", "Lovelace", "192.0.2.7", "curl"):
        assert text.encode() not in kept


@pytest.mark.parametrize(
    "odd",
    [
        {"createdAt": None},
        {"createdAt": "yesterday"},
        {"createdAt": "9999-01-01T00:00:00Z"},
        {"id": None},
        {"action": ["x"]},
        {"actor": 7},
    ],
)
def test_an_odd_entry_hides_no_other(odd: dict[str, Any]) -> None:
    kept = AuditLogPage.model_validate(page({**ENTRY, **odd}, None, "text", {**ENTRY, "id": "good"}))
    assert [entry.id for entry in kept.entries] == ["good"]


@pytest.mark.parametrize(
    "new",
    [
        {"action": "webhook.signing_key_rolled"},
        {"actor": {"type": "robot", "serial": 7}},
        {"actor": None, "resource": None},
        {"actor": {"type": "admin", "apiKey": None}},
        {"more": {"nested": True}},
    ],
)
def test_what_is_new_is_accepted(new: dict[str, Any]) -> None:
    (entry,) = AuditLogPage.model_validate(page({**ENTRY, **new})).entries
    assert entry.id == ENTRY["id"]


@pytest.mark.parametrize(("status", "kind"), [(403, PermissionDenied), (404, ApiError)])
def test_where_it_may_not_be_read(drive: Drive, status: int, kind: type[ApiError]) -> None:
    with pytest.raises(kind):
        drive(lambda request: httpx.Response(status, json={"error": {"type": "x"}}))("audit_log")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_log_that_does_not_answer_holds_nobody_up(drive: Drive, status: int) -> None:
    """Nothing depends on it, so it is asked once: with the waits of a read, a preflight would stand for minutes."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(status, headers={"Retry-After": "60"})

    with pytest.raises(ApiError):
        drive(answer)("audit_log", "webhook.secret_rotated")
    assert asked == ["/v2/audit-logs"]
