"""Secrets in a stand-in for Azure Key Vault, reached through the vendor's client, its login included.

The account has the permissions that docs/stores/azure_key_vault.md tells to grant, and no more.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from featurebase_provider.stores.azure_key_vault import AzureKeyVaultStore
from tests.contract.store_case import HELD, Seen, StoreCase
from tests.servers.key_vault_api import ADMIN, CLIENT_SECRET, ROTATION, TENANT, fake_key_vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "featurebase-webhook-secret"


class AzureRawCase(StoreCase):
    calls_to_readable = 1
    is_conditional = False
    bare = True
    has_mark = True
    asks_airflow = True
    proves_writability = False

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.stack = ExitStack()
        self.azure = self.stack.enter_context(fake_key_vault())
        self.azure.granted[ROTATION] = frozenset({"get", "set"})
        self.azure.hosts.lead(self.patch)
        self.host = f"acme-{uuid4().hex[:12]}.vault.azure.net"
        self.vault_url = f"https://{self.host}"
        credential = self.stack.enter_context(ClientSecretCredential(TENANT, ADMIN, CLIENT_SECRET))
        self.admin = self.stack.enter_context(SecretClient(self.vault_url, credential))
        self.conn_id = self.connection(ROTATION)

    def connection(self, client: str) -> str:
        conn_id = f"azure_{uuid4().hex}"
        connection = {"conn_type": "azure", "login": client, "password": CLIENT_SECRET, "extra": {"tenantId": TENANT}}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.stack.close()
        self.patch.undo()

    def config(self, **changes: Any) -> AzureKeyVaultStore:
        fields = {"conn_id": self.conn_id, "vault_url": self.vault_url, "name": NAME, **self.keys()}
        return AzureKeyVaultStore(**{**fields, **changes})

    def keys(self) -> dict[str, str]:
        return {}

    def document(self, current: str, previous: str | None) -> str:
        return current

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_text(self.document(current, previous))

    def put_text(self, text: str) -> None:
        self.admin.set_secret(NAME, text, tags={"owner": "feedback-team"}, content_type="text/plain")

    def put_for_a_while(self, current: str) -> str:
        end = datetime(2100, 1, 1, tzinfo=timezone.utc)
        self.admin.set_secret(NAME, self.document(current, None), expires_on=end)
        return "2100-01-01"

    def remove(self) -> None:
        self.admin.begin_delete_secret(NAME)

    def seen(self) -> Seen | None:
        try:
            found = self.admin.get_secret(NAME)
        except ResourceNotFoundError:
            return None
        facts = (found.properties.tags or {}).get("owner"), found.properties.content_type
        return self.seen_in(found.value or "", facts)

    def seen_in(self, text: str, facts: Any) -> Seen:
        return Seen(text, None, facts)

    def evidence(self) -> Any:
        return repr((self.azure.secrets, self.azure.deleted))

    def put_wrong_type(self) -> None:
        """A secret of this name that Key Vault keeps for a certificate."""
        self.put(HELD)
        self.azure.secrets[self.host, NAME][-1]["kid"] = f"{self.vault_url}/keys/{NAME}/1"

    def missing_place(self) -> AzureKeyVaultStore:
        """A name that cannot be used: a missing vault has no address, so it counts as unreachable."""
        self.admin.set_secret("deleted-one", HELD)
        self.admin.begin_delete_secret("deleted-one")
        return self.config(name="deleted-one", create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[AzureKeyVaultStore]:
        self.azure.granted["reader"] = frozenset({"get"})
        yield self.config(conn_id=self.connection("reader"))

    @contextmanager
    def server_down(self) -> Iterator[AzureKeyVaultStore]:
        self.azure.hosts.mode = "closed"
        self.azure.hosts.cut()
        yield self.config()

    @contextmanager
    def dead(self) -> Iterator[tuple[AzureKeyVaultStore, Callable[[], None]]]:
        with self.azure.hosts.silence() as wait:
            yield self.config(timeout=300), wait


class AzureJsonCase(AzureRawCase):
    bare = False
    misspelt: ClassVar = {"key": "Signing"}
    is_conditional = False
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "signing_previous", "previous_key": None}

    def keys(self) -> dict[str, str]:
        return {"key": "signing", "previous_key": "signing_previous"}

    def document(self, current: str, previous: str | None) -> str:
        document = {"owner": "feedback-team", "n": 7, "signing": current}
        return json.dumps(document | ({"signing_previous": previous} if previous else {}))

    def seen_in(self, text: str, facts: Any) -> Seen:
        document = json.loads(text)
        current, previous = document.pop("signing", None), document.pop("signing_previous", None)
        return Seen(current, previous, (document, facts))

    def put_nearly_full(self, current: str, room: int) -> None:
        empty = json.dumps({"owner": "", "signing": current})
        self.put_text(json.dumps({"owner": "x" * (25_600 - room - len(empty)), "signing": current}))

    def put_wrong_type(self) -> None:
        self.put_text(json.dumps({"signing": [HELD]}))
