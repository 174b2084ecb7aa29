"""A secret in a KV engine, armed: what both versions of the engine have in common. Imported by ``arm()`` only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hvac import exceptions as vault  # noqa: TID253  this module is the store's client
from hvac.adapters import RawAdapter  # noqa: TID253

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue
from featurebase_provider.stores.base import ConnectingStore, secret_or_none
from featurebase_provider.stores.hashicorp_vault.calls import path_meant, translated
from featurebase_provider.stores.shared.marks import VAULT_METADATA
from featurebase_provider.stores.shared.refusals import not_there

if TYPE_CHECKING:
    from collections.abc import Callable

    from hvac.adapters import JSONAdapter


class VaultSecret(ConnectingStore["JSONAdapter"]):
    """What both KV versions have in common.

    :param name: the store's name, for messages.
    :param log_in: gives hvac's adapter, authenticated; it carries timeout, namespace and TLS settings.
    :param keys: our key, and that of the previous secret or None.
    :param create: whether a missing secret may be created.
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
        create: bool,
    ) -> None:
        super().__init__(name, log_in)
        self._mount, self._path, self._create = mount, path, create
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

    def _value(self, secret: dict[str, Any], key: str | None) -> str | None:
        value = secret.get(key) if key else None
        if value is not None and not isinstance(value, str):
            raise StoreRefused(
                self.name, f"the key {key} holds a {type(value).__name__}, not a text; nothing was changed"
            )
        return value

    def _stored(self, secret: dict[str, Any] | None, version: Any, marks: dict[str, str] | None = None) -> StoredValue:
        current = secret_or_none(self._value(secret or {}, self._key))
        previous = secret_or_none(self._value(secret or {}, self._previous_key))
        may_be_made = secret is not None or self._create
        return StoredValue(current, previous, VAULT_METADATA.mark_in(marks or {}), version, may_be_made=may_be_made)

    def _wanted(self, pair: SecretPair) -> dict[str, str | None]:
        wanted: dict[str, str | None] = {self._key: pair.current.reveal()}
        if self._previous_key:
            wanted[self._previous_key] = pair.previous.reveal() if pair.previous else None
        return wanted

    def _unchanged(self, pair: SecretPair, held: StoredValue) -> bool:
        previous = pair.previous if self._previous_key else None
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
