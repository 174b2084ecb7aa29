"""Secrets in a stand-in for Google Cloud's Secret Manager, reached through the vendor's client.

The account has the permissions that docs/stores/gcp_secret_manager.md tells to grant, and no more.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
import yaml
from google.api_core.exceptions import NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.oauth2 import service_account

from featurebase_provider.stores.gcp_secret_manager import GcpSecretManagerStore
from tests.contract.store_case import HELD, Seen, StoreCase
from tests.servers.secret_manager_api import ADMIN, ROTATION, account_key, fake_secret_manager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARENT = "projects/acme-feedback"
NAME = f"{PARENT}/secrets/featurebase-webhook-secret"
PAGE = Path(__file__).parents[2] / "docs/stores/gcp_secret_manager.md"


def documented_permissions() -> set[str]:
    """The permissions of the custom role in the documentation."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (role,) = (found for found in map(yaml.safe_load, blocks) if "includedPermissions" in found)
    return set(role["includedPermissions"])


class GcpRawCase(StoreCase):
    calls_to_readable = 1
    is_conditional = False
    bare = True
    has_mark = True
    asks_airflow = True

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.stack = ExitStack()
        self.google = self.stack.enter_context(fake_secret_manager())
        self.google.granted[ROTATION] = documented_permissions()
        self.google.hosts.lead(self.patch)
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        admin = service_account.Credentials.from_service_account_info(account_key(ADMIN), scopes=scopes)
        self.admin = SecretManagerServiceClient(credentials=admin, transport="rest")
        self.conn_id = self.connection(ROTATION)

    def connection(self, account: str, **extra: Any) -> str:
        conn_id = f"google_{uuid4().hex}"
        connection = {
            "conn_type": "google_cloud_platform",
            "extra": {"keyfile_dict": json.dumps(account_key(account)), **extra},
        }
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.admin.transport.close()
        self.stack.close()
        self.patch.undo()

    def config(self, **changes: Any) -> GcpSecretManagerStore:
        fields = {
            "conn_id": self.conn_id, "project_id": "acme-feedback", "secret_id": "featurebase-webhook-secret",
            **self.keys(),
        }  # fmt: skip
        return GcpSecretManagerStore(**{**fields, **changes})

    def keys(self) -> dict[str, str]:
        return {}

    def document(self, current: str, previous: str | None) -> bytes:
        return current.encode()

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_data(self.document(current, previous))

    def put_data(self, data: bytes) -> None:
        facts = {"annotations": {"owner": "feedback-team"}, "replication": {"automatic": {}}}
        if NAME not in self.google.secrets:
            self.admin.create_secret(request={"parent": PARENT, "secret_id": NAME.rpartition("/")[2], "secret": facts})
        self.admin.add_secret_version(request={"parent": NAME, "payload": {"data": data}})

    def put_for_a_while(self, current: str) -> str:
        facts = {"replication": {"automatic": {}}, "expire_time": datetime(2100, 1, 1, tzinfo=timezone.utc)}
        self.admin.create_secret(request={"parent": PARENT, "secret_id": NAME.rpartition("/")[2], "secret": facts})
        self.admin.add_secret_version(request={"parent": NAME, "payload": {"data": self.document(current, None)}})
        return "2100-01-01"

    def remove(self) -> None:
        self.admin.delete_secret(name=NAME)

    def latest(self) -> bytes | None:
        try:
            return self.admin.access_secret_version(name=f"{NAME}/versions/latest").payload.data
        except NotFound:
            return None

    def seen(self) -> Seen | None:
        data = self.latest()
        return None if data is None else self.seen_in(data, self.admin.get_secret(name=NAME).annotations.get("owner"))

    def seen_in(self, data: bytes, owner: str | None) -> Seen:
        return Seen(data.decode(), None, owner)

    def evidence(self) -> Any:
        return repr(self.google.secrets)

    def put_wrong_type(self) -> None:
        self.put_data(b"\xff\xfe" + HELD.encode())

    def missing_place(self) -> GcpSecretManagerStore:
        return self.config(project_id="no-such-project", create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[GcpSecretManagerStore]:
        self.google.granted["reader@x"] = {"secretmanager.secrets.get", "secretmanager.versions.access"}
        yield self.config(conn_id=self.connection("reader@x"))

    @contextmanager
    def server_down(self) -> Iterator[GcpSecretManagerStore]:
        self.google.hosts.mode = "closed"
        self.google.hosts.cut()
        yield self.config()

    @contextmanager
    def dead(self) -> Iterator[tuple[GcpSecretManagerStore, Callable[[], None]]]:
        """Nobody answers the request for another account's token."""
        with self.google.hosts.silence() as wait:
            yield self.config(conn_id=self.connection(ROTATION, impersonation_chain="target@x"), timeout=300), wait


class GcpJsonCase(GcpRawCase):
    bare = False
    misspelt: ClassVar = {"key": "Signing"}
    is_conditional = False
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "signing_previous", "previous_key": None}

    def keys(self) -> dict[str, str]:
        return {"key": "signing", "previous_key": "signing_previous"}

    def document(self, current: str, previous: str | None) -> bytes:
        document = {"owner": "feedback-team", "n": 7, "signing": current}
        return json.dumps(document | ({"signing_previous": previous} if previous else {})).encode()

    def seen_in(self, data: bytes, owner: str | None) -> Seen:
        document = json.loads(data)
        current, previous = document.pop("signing", None), document.pop("signing_previous", None)
        return Seen(current, previous, (document, owner))

    def put_nearly_full(self, current: str, room: int) -> None:
        empty = json.dumps({"owner": "", "signing": current})
        self.put_data(json.dumps({"owner": "x" * (65_536 - room - len(empty)), "signing": current}).encode())

    def put_wrong_type(self) -> None:
        self.put_data(json.dumps({"signing": [HELD]}).encode())
