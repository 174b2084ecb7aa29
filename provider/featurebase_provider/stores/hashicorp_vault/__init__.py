"""The store type ``hashicorp_vault``: one key of a secret in a KV engine of HashiCorp Vault or OpenBao."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from featurebase_provider.rotation.errors import StoreUnusable
from featurebase_provider.stores.shared.connection import check_encrypted, hook_errors
from featurebase_provider.stores.shared.entry import KeyedEntryStore
from featurebase_provider.stores.shared.refresh import FollowedStore

if TYPE_CHECKING:
    from airflow.providers.hashicorp.hooks.vault import VaultHook
    from hvac.adapters import JSONAdapter

    from featurebase_provider.rotation.store import ArmedStore
    from featurebase_provider.stores.hashicorp_vault.armed import VaultSecret

_EXTRA = "hashicorp_vault"
_TLS_ADVICE = "Set the connection's extra use_tls to true; if the network itself is safe, say allow_unencrypted: true"


class HashicorpVaultStore(KeyedEntryStore, FollowedStore):
    """The signing secret under one key of a KV secret; its other keys stay as they are.

    KV version 2 is patched on the condition that nobody else wrote since it was read. Version 1 has no such
    condition: the secret is compared just before it is written, and a writer in that instant is overwritten.

    :param conn_id: Airflow connection of type ``vault`` (HashiCorp provider).
    :param mount: where the KV engine is mounted.
    :param path: the secret's path below the mount, without ``data/``.
    :param key: the key that holds the signing secret.
    :param previous_key: the key that holds the previous one; null keeps none.
    :param kv_version: the KV engine's version, 1 or 2.
    :param format: ``raw`` (nothing but the secret), or the format of what the key holds. ``json`` is a text, or data
        nested in Vault.
    :param entry: where the secret lies in that text or data.
    :param previous_entry: where the previous secret lies in it.
    :param create: whether a missing secret is created, and a missing key or entry added; a mount never is made.
    :param allow_unencrypted: whether the connection may lead to another host by plain http.
    """

    type: Literal["hashicorp_vault"] = "hashicorp_vault"
    conn_id: Annotated[str, Field(min_length=1, max_length=200)] = "vault_default"
    mount: Annotated[str, Field(min_length=1, max_length=500)] = "secret"
    path: Annotated[str, Field(min_length=1, max_length=1000)]
    key: Annotated[str, Field(min_length=1, max_length=200)] = "FEATUREBASE_WEBHOOK_SECRET"
    previous_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    kv_version: Literal[1, 2] = 2
    create: bool = False
    allow_unencrypted: bool = False

    @field_validator("mount", "path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if {"", ".", ".."} & set(path.split("/")):
            raise ValueError("write it as team/feedback: no slash at the start or the end, no '//', no '..'")
        if re.search(r"[\x00-\x1f\x7f?#%*+]", path):
            raise ValueError("Vault's API cannot name such a path; leave out ? # % * + and control characters")
        return path

    def place(self, key: str | None) -> str:
        """The secret's path, with the connection as user and the key as fragment."""
        return f"vault://{self.conn_id}@{self.mount}/{self.path}#{key}"

    def arm(self) -> "ArmedStore":
        """Fetch the connection; connecting logs in, and makes sure that the mount is an engine of ``kv_version``.

        :raises StoreUnusable: the hook or the connection is missing, or its URL is plain http.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id, extra=_EXTRA):
            from featurebase_provider.stores.hashicorp_vault.kv1 import VaultSecretV1
            from featurebase_provider.stores.hashicorp_vault.kv2 import VaultSecretV2

            hook = self._hook()
            if not self.allow_unencrypted:
                check_encrypted(self.full_name, hook.vault_client.url or "", advice=_TLS_ADVICE)
        kind: type[VaultSecret] = VaultSecretV2 if self.kv_version == 2 else VaultSecretV1
        return self.followed(
            kind(
                self.full_name,
                partial(self._log_in, hook),
                mount=self.mount,
                path=self.path,
                keys=(self.key, self.previous_key),
                text=self.entry_text(create=self.create),
                nests=self.format == "json",
                create=self.create,
            )
        )

    def _log_in(self, hook: "VaultHook") -> "JSONAdapter":
        from featurebase_provider.stores.hashicorp_vault.calls import check_mount, translated

        client: Any = hook.vault_client
        with (
            hook_errors(self.full_name, conn_id=self.conn_id, extra=_EXTRA),
            translated(self.full_name, "the login did not succeed"),
        ):
            login = getattr(type(client), "_client", None)
            if isinstance(login, cached_property):
                # Left to itself, before Python 3.12, one Vault that hangs would make all others wait.
                client.__dict__["_client"] = login.func(client)
            adapter: JSONAdapter = hook.get_conn().adapter
        check_mount(self.full_name, adapter, self.mount, self.path, version=self.kv_version)
        return adapter

    def _hook(self) -> "VaultHook":
        from airflow.providers.hashicorp.hooks.vault import VaultHook
        from hvac.exceptions import VaultError
        from requests import Session

        session = Session()  # without the hook's own retries: they outlast the store's timeout
        try:
            hook = VaultHook(self.conn_id, kv_engine_version=self.kv_version, timeout=self.timeout, session=session)
        except VaultError as error:
            raise StoreUnusable(
                self.full_name,
                f"the Airflow connection {self.conn_id} makes no Vault client ({type(error).__name__})",
                "Check its auth_type, and what that type needs; nothing was changed",
            ) from None
        options = hook.connection.extra_dejson.get("client_kwargs") or {}
        cert = options.get("cert")
        session.verify, session.cert = options.get("verify", True), tuple(cert) if isinstance(cert, list) else cert
        session.proxies = options.get("proxies") or {}
        return hook
