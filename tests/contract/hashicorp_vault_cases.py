"""KV secrets in a real OpenBao server, with tokens that may do what docs/stores/hashicorp_vault.md grants."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from hvac.exceptions import InvalidPath

from featurebase_provider.stores.hashicorp_vault import HashicorpVaultStore
from tests.contract.store_case import HELD, Seen, StoreCase
from tests.servers.dead_servers import silent_server
from tests.servers.local_server import free_port
from tests.servers.openbao import admin, openbao, token_for
from tests.world.recipes import block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY, PREVIOUS_KEY = "SIGNING", "SIGNING_PREVIOUS"
OTHERS = {"owner": "feedback-team", "n": 7, "list": [1, {"a": None}]}


class VaultCase(StoreCase):
    calls_to_readable = 1
    keeps_previous = True
    asks_airflow = True
    bare = True
    misspelt: ClassVar = {"key": "FEATUREBASE_WEBHOOK_SECERT", "previous_key": None}
    previous_as_current: ClassVar = {"key": PREVIOUS_KEY, "previous_key": None}
    version: Literal[1, 2]
    mount: str
    api_path: str

    def __init__(self) -> None:
        self.server = openbao()
        self.patch = pytest.MonkeyPatch()
        self.admin = admin()
        self.path = f"apps/{uuid4().hex}/feedback"
        self.conn_id = self.connection(token_for(self.policy()))

    def policy(self, *, writes: bool = True, creates: bool = False) -> str:
        """The least-privilege policy of the documentation, for this path."""
        documented = block("hashicorp_vault.md", f"Policy for KV version {self.version}", "hcl")
        if creates:
            documented = documented.replace('["read", "patch"]', '["read", "patch", "create", "update"]', 1)
        if not writes:
            documented = f'path "{self.api_path}" {{ capabilities = ["read"] }}'
        return documented.replace("apps/feedback", self.path)

    def connection(self, token: str, port: int | None = None, **fields: Any) -> str:
        conn_id = f"vault_{uuid4().hex}"
        host, own_port = urlsplit(self.server).hostname, urlsplit(self.server).port
        connection = {"conn_type": "vault", "host": host, "port": port or own_port, "password": token, **fields}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.patch.undo()

    def config(self, **changes: Any) -> HashicorpVaultStore:
        fields = {
            "conn_id": self.conn_id, "mount": self.mount, "path": self.path, "key": KEY,
            "previous_key": PREVIOUS_KEY, "kv_version": self.version,
        }  # fmt: skip
        if changes.get("create") and "conn_id" not in changes:
            fields["conn_id"] = self.connection(token_for(self.policy(creates=True)))
        return HashicorpVaultStore(**{**fields, **changes})

    def secret(self, current: Any, previous: str | None = None) -> dict[str, Any]:
        return {**OTHERS, KEY: current} | ({PREVIOUS_KEY: previous} if previous else {})

    def seen_in(self, secret: dict[str, Any], *others: Any) -> Seen:
        rest = {key: secret[key] for key in secret.keys() - {KEY, PREVIOUS_KEY}}
        return Seen(secret.get(KEY), secret.get(PREVIOUS_KEY), (rest, *others))

    def missing_place(self) -> HashicorpVaultStore:
        return self.config(mount=f"missing-{uuid4().hex}", create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[HashicorpVaultStore]:
        yield self.config(conn_id=self.connection(token_for(self.policy(writes=False))))

    @contextmanager
    def server_down(self) -> Iterator[HashicorpVaultStore]:
        yield self.config(conn_id=self.connection("any", free_port()))

    @contextmanager
    def dead(self) -> Iterator[tuple[HashicorpVaultStore, Callable[[], None]]]:
        with silent_server() as server:
            conn_id = self.connection("any", server.port, login="a-role", extra={"auth_type": "approle"})
            yield self.config(conn_id=conn_id, timeout=300), server.wait


class VaultKv2Case(VaultCase):
    has_mark = True
    version, mount = 2, "secret"

    api_path = "secret/data/apps/feedback"

    @property
    def kv(self) -> Any:
        return self.admin.secrets.kv.v2

    def put(self, current: str, previous: str | None = None) -> None:
        self._put(self.secret(current, previous))

    def _put(self, secret: dict[str, Any]) -> None:
        self.kv.create_or_update_secret(self.path, secret, mount_point=self.mount)
        self.kv.update_metadata(self.path, mount_point=self.mount, custom_metadata={"owner": "feedback-team"})

    def put_wrong_type(self) -> None:
        self._put({KEY: {"nested": HELD}})

    def put_for_a_while(self, current: str) -> str:
        self.kv.update_metadata(self.path, mount_point=self.mount, delete_version_after="720h")
        self.kv.create_or_update_secret(self.path, self.secret(current), mount_point=self.mount)
        end: str = self.evidence()[0]["versions"]["1"]["deletion_time"]
        return end[:10]

    def remove(self) -> None:
        self.kv.delete_latest_version_of_secret(self.path, mount_point=self.mount)

    def _get(self) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self.kv.read_secret_version(
                self.path, mount_point=self.mount, raise_on_deleted_version=True
            )
        except InvalidPath:
            return None
        return answer["data"]

    def seen(self) -> Seen | None:
        found = self._get()
        if found is None:
            return None
        return self.seen_in(found["data"], (found["metadata"]["custom_metadata"] or {}).get("owner"))

    def evidence(self) -> Any:
        try:
            metadata = self.kv.read_secret_metadata(self.path, mount_point=self.mount)["data"]
        except InvalidPath:
            return None
        return metadata, self._get()


class VaultKv1Case(VaultCase):
    is_conditional = False
    version, mount = 1, "kv1"

    api_path = "kv1/apps/feedback"

    @property
    def kv(self) -> Any:
        return self.admin.secrets.kv.v1

    def put(self, current: str, previous: str | None = None) -> None:
        self.kv.create_or_update_secret(self.path, self.secret(current, previous), mount_point=self.mount)

    def put_wrong_type(self) -> None:
        self.kv.create_or_update_secret(self.path, {KEY: [HELD]}, mount_point=self.mount)

    def remove(self) -> None:
        self.kv.delete_secret(self.path, mount_point=self.mount)

    def seen(self) -> Seen | None:
        secret = self.evidence()
        return None if secret is None else self.seen_in(secret)

    def evidence(self) -> Any:
        try:
            return self.kv.read_secret(self.path, mount_point=self.mount)["data"]
        except InvalidPath:
            return None


class VaultNestedCase(VaultCase):
    """The secret in data that is nested in Vault, as documents are imported into it."""

    bare = False
    misspelt: ClassVar = {"entry": "webhook.secert", "previous_entry": None}
    previous_as_current: ClassVar = {"entry": "webhook.previous", "previous_entry": None}

    def config(self, **changes: Any) -> HashicorpVaultStore:
        entries = {"format": "json", "entry": "webhook.secret", "previous_entry": "webhook.previous"}
        return super().config(**{"key": "feedback", "previous_key": None, **entries, **changes})

    def secret(self, current: Any, previous: str | None = None) -> dict[str, Any]:
        webhook = {"secret": current, "limit": 7} | ({"previous": previous} if previous else {})
        return {**OTHERS, "feedback": {"webhook": webhook, "on": None}}

    def seen_in(self, secret: dict[str, Any], *others: Any) -> Seen:
        feedback = secret.pop("feedback")
        if isinstance(feedback, str):  # a new secret holds a text, which readers take for the same
            feedback = json.loads(feedback)
        webhook = feedback.pop("webhook")
        secret = secret | {"others": (feedback, webhook)}
        return Seen(webhook.pop("secret", None), webhook.pop("previous", None), (secret, *others))


class VaultKv2NestedCase(VaultNestedCase, VaultKv2Case):
    def put_wrong_type(self) -> None:
        self._put({"feedback": {"webhook": HELD}})


class VaultKv1NestedCase(VaultNestedCase, VaultKv1Case):
    def put_wrong_type(self) -> None:
        self.kv.create_or_update_secret(self.path, {"feedback": {"webhook": [HELD]}}, mount_point=self.mount)


class VaultKv2JsonTextCase(VaultKv2NestedCase):
    """The same as one text."""

    def secret(self, current: Any, previous: str | None = None) -> dict[str, Any]:
        return {**OTHERS, "feedback": json.dumps(super().secret(current, previous)["feedback"], indent=2)}
