"""The sandbox as Featurebase's own client sees it: the official Node SDK, from npm.

What the sandbox gets wrong, every other test of this project would get wrong with it; this client was written by
those who wrote the API.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from featurebase_provider.sandbox.inputs import KNOWN_TOPICS
from featurebase_provider.sandbox.server import SandboxServer
from tests.world.npm import installed

SCRIPT_FOLDER = Path(__file__).parent / "vendor_sdk"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def sdk() -> Path:
    """A folder with the script and the installed SDK."""
    return installed(SCRIPT_FOLDER)


@pytest.fixture(scope="module")
def declarations(sdk: Path) -> str:
    return (sdk / "node_modules/featurebase-node/resources/webhooks.d.ts").read_text()


@pytest.fixture(scope="module")
def seen(sdk: Path) -> Json:
    """What the SDK got from each of its webhook calls."""
    with SandboxServer() as sandbox:
        environment = {
            **os.environ,
            "FEATUREBASE_BASE_URL": sandbox.url,
            "FEATUREBASE_API_KEY": sandbox.api_key,
        }
        done = subprocess.run(
            ["node", "exercise.mjs"], cwd=sdk, env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    document: Json = json.loads(done.stdout)
    return document


def declared_fields(declarations: str, interface: str) -> set[str]:
    """Names of an interface's own fields that are not optional."""
    block = re.search(rf"^( *)(?:export )?interface {interface} {{\n(.*?)^\1}}", declarations, re.M | re.S)
    assert block, f"the SDK declares no {interface}"
    return set(re.findall(rf"^{block[1]}    (\w+):", block[2], re.M))


def test_webhook_has_every_declared_field(seen: Json, declarations: str) -> None:
    created = seen["created"]
    assert set(created) == declared_fields(declarations, "Webhook")
    assert set(created["health"]) == declared_fields(declarations, "Health")
    assert declared_fields(declarations, "RequestConfig") <= set(created["requestConfig"])
    assert set(seen["deleted"]) == declared_fields(declarations, "WebhookDeleteResponse")


def test_topics_are_those_that_the_sdk_declares(declarations: str) -> None:
    (topics, *_) = re.findall(r"topics: Array<(.*?)>;", declarations)
    assert set(re.findall(r"'([^']+)'", topics)) == KNOWN_TOPICS


def test_calls_do_what_the_sdk_expects(seen: Json) -> None:
    created = seen["created"]
    assert created["requestConfig"] == {"timeoutMs": 5000, "headers": {"X-Custom-Header": "value"}}
    assert seen["retrieved"] == created
    assert seen["updated"] == {
        **created,
        "description": None,
        "status": "paused",
        "updatedAt": seen["updated"]["updatedAt"],
    }
    assert seen["paused"] == [created["id"]]
    assert seen["refreshed"]["secret"] not in ("", created["secret"])
    assert seen["refreshed"]["id"] == created["id"]
    assert seen["deleted"] == {"id": created["id"], "object": "webhook", "deleted": True}


def test_the_sdk_pages_by_our_cursors(seen: Json) -> None:
    assert [webhook["name"] for webhook in seen["listed"]] == ["first", "second", "third"]
    assert seen["page"] == {"size": 1, "hasNext": True}


def test_the_sdk_reads_the_audit_log(seen: Json, sdk: Path) -> None:
    """All pages of it, by action and by date; each entry has every field that the SDK declares."""
    declared = (sdk / "node_modules/featurebase-node/resources/audit-logs.d.ts").read_text()
    assert [entry["action"] for entry in seen["log"]] == [
        *("webhook.deleted", "webhook.secret_rotated", "webhook.updated"),
        *("webhook.created",) * 3,
    ]
    for entry in seen["log"]:
        assert set(entry) == declared_fields(declared, "AuditLogListResponse")
        for name, interface in (("actor", "Actor"), ("request", "Request"), ("resource", "Resource")):
            assert set(entry[name]) == declared_fields(declared, interface)
        assert set(entry["actor"]["apiKey"]) == declared_fields(declared, "APIKey")
        assert f"'{entry['action']}'" in declared
    assert [entry["resource"]["id"] for entry in seen["rotated"]] == [seen["created"]["id"]]
    assert seen["later"] == []


@pytest.mark.parametrize(
    ("call", "error_class", "status", "type"),
    [
        ("missing", "NotFoundError", 404, "invalid_request_error"),
        ("malformed", "BadRequestError", 400, "invalid_request_error"),
        ("invalid", "BadRequestError", 400, "invalid_request_error"),
        ("unversioned", "NotFoundError", 404, "invalid_request_error"),
        ("wrongKey", "AuthenticationError", 401, "authentication_error"),
    ],
)
def test_errors_are_the_ones_that_the_sdk_knows(
    seen: Json, call: str, error_class: str, status: int, type: str
) -> None:
    error = seen[call]
    assert (error["class"], error["status"]) == (error_class, status)
    assert error["error"]["error"]["type"] == type
