"""A secret in a KV engine, armed: what both versions of the engine have in common. Imported by ``arm()`` only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from hvac import exceptions as vault  # noqa: TID253  this module is the store's client
from hvac.adapters import RawAdapter  # noqa: TID253

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.base import ConnectingStore
from featurebase_provider.stores.hashicorp_vault.calls import path_meant, translated
from featurebase_provider.stores.shared.marks import VAULT_METADATA
from featurebase_provider.stores.shared.refusals import no_such_key, not_there
from featurebase_provider.stores.shared.text import bare_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from hvac.adapters import JSONAdapter

    from featurebase_provider.rotation.store import SecretPair, StoredValue
    from featurebase_provider.stores.shared.formats import KeyPath
    from featurebase_provider.stores.shared.text import SecretText


class VaultSecret(ConnectingStore["JSONAdapter"]):
    """What both KV versions have in common.

    :param name: the store's name, for messages.
    :param log_in: gives hvac's adapter, authenticated; it carries timeout, namespace and TLS settings.
    :param keys: our key, and that of the previous secret or None.
    :param text: how our key holds the secret.
    :param nests: whether the key may hold data nested in Vault, in place of a text.
    :param create: whether a missing secret may be created, and a missing key added.
    """

    kv_version: ClassVar[int]

    def __init__(
        self,
        name: str,
        log_in: Callable[[], JSONAdapter],
        *,
        mount: str,
        path: str,
        keys: tuple[str, str | None],
        text: SecretText,
        nests: bool,
        create: bool,
    ) -> None:
        super().__init__(name, log_in)
        self._mount, self._path, self._text, self._nests, self._create = mount, path, text, nests, create
        self._key, self._previous_key = keys
        self._meant = path_meant(mount, path, version=self.kv_version)

    def _capabilities(self, *paths: str) -> tuple[set[str], ...] | None:
        """What the token may do at each path, in Vault's words; None if it may not ask."""
        try:
            with translated(self.name, "Vault could not be asked for the token's capabilities"):
                answer = self.client.post(url="/v1/sys/capabilities-self", json={"paths": list(paths)})["data"]
                return tuple(set(answer[path]) for path in paths)
        except StoreRefused:
            return None

    def _require(self, needed: str, path: str, allowed: set[str]) -> None:
        if not {needed, "root"} & allowed:
            raise StoreRefused(
                self.name,
                f"the token lacks the capability {needed} on {path}; nothing was changed",
                "Add it to the token's policy",
            )

    def _fetch(self, url: str) -> str | None:
        """Get the answer's text; None if Vault says that there is no such secret."""
        with translated(self.name, "the secret could not be read", "Check the path, and allow read on it"):
            try:
                return str(RawAdapter.from_adapter(self.client).get(url=url).text)
            except vault.InvalidPath as error:
                # A missing secret is an answer without errors; a missing mount or another API has some.
                body = error.json if isinstance(error.json, dict) else {}
                if body.get("errors") == []:
                    return None
                if not isinstance(body.get("data"), dict):
                    raise
                return str(error.text)  # the latest version was deleted, and this is its metadata

    @property
    def _keeps_previous(self) -> bool:
        return self._previous_key is not None or self._text.keeps_previous

    def _value(self, secret: dict[str, Any] | None, key: str) -> str | None:
        value = (secret or {}).get(key)
        if key == self._key and self._nests and isinstance(value, dict):
            return json.dumps(value)
        if value is not None and not isinstance(value, str):
            raise StoreRefused(
                self.name,
                f"the key {key} holds a {type(value).__name__}, not a text; nothing was changed",
                "Write format: json, and the entry in it" if isinstance(value, dict) else "",
            )
        return value

    def _stored(self, secret: dict[str, Any] | None, version: Any, marks: dict[str, str] | None = None) -> StoredValue:
        mark, text = VAULT_METADATA.mark_in(marks or {}), self._value(secret, self._key)
        stored = self._text.stored(text, exists=self._key in (secret or {}), mark=mark, version=version)
        if self._previous_key is None:
            return stored
        previous = self._value(secret, self._previous_key)
        return replace(stored, previous=bare_secret(self.name, previous, f"the key {self._previous_key}"))

    def _members(self, pair: SecretPair, secret: dict[str, Any] | None) -> dict[KeyPath, str | None]:
        """What is to stand where in the secret, the current value first; None removes what is there.

        :param secret: all keys as they were read; None if there is no secret.
        """
        if secret is not None and self._key not in secret and not self._create:
            raise no_such_key(self.name, self._key, list(secret), where="the secret")
        text = self._text.edited(self._value(secret, self._key), pair, exists=self._key in (secret or {}))
        previous = pair.previous.reveal() if pair.previous else None
        members: dict[KeyPath, str | None] = {(self._key,): text}
        previous_path: KeyPath | None = (self._previous_key,) if self._previous_key else None
        if isinstance((secret or {}).get(self._key), dict):  # no entry of it but ours is to be sent back
            members = {(self._key, *(self._text.key or ())): pair.current.reveal()}
            previous_path = (self._key, *self._text.previous_key) if self._text.previous_key else None
        if previous_path is not None:
            members[previous_path] = previous
        return members

    def _unchanged(self, pair: SecretPair, held: StoredValue) -> bool:
        previous = pair.previous if self._keeps_previous else None
        return held.current == pair.current and held.previous == previous

    @property
    def _may_be_made(self) -> bool:
        return self._create and self._meant is None

    def _check_create(self, *, named: bool = False) -> None:
        """Refuse to make a secret unasked, or one whose name looks like a mistake.

        :param named: whether Vault knows a secret of this name, though it holds nothing now.
        """
        if self._meant is not None and not named:
            raise StoreRefused(
                self.name,
                f"the mount {self._mount} has no secret of the name {self._path}, which looks like a path of Vault's "
                "API; nothing was changed",
                f"Write path: {self._meant}; if the secret is to have that name, make it first",
            )
        if not self._create:
            raise not_there(self.name, "the secret does not exist")

    def _odd_name(self) -> str:
        return (
            f"the secret's name is {self._path}, below the mount {self._mount}; if {self._meant} is meant, "
            "no receiver will see what is written"
            if self._meant
            else ""
        )
