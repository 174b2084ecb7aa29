"""A secret in a KV engine of version 1. Imported by ``arm()`` only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hvac.utils import format_url  # noqa: TID253  this module is the store's client

from featurebase_provider.rotation.store import StoredValue, Writability
from featurebase_provider.stores.hashicorp_vault.armed import VaultSecret
from featurebase_provider.stores.hashicorp_vault.calls import translated
from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.formats.json import JsonFormat
from featurebase_provider.stores.shared.formats.json_scan import scan_object
from featurebase_provider.stores.shared.refusals import changed_since

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import SecretPair, StoreMark

_JSON = {"Content-Type": "application/json"}


class VaultSecretV1(VaultSecret):
    """An unversioned secret, without metadata; the version passed on is the text of all that it holds.

    It is written as a whole, as a text of which only our keys were edited: what Python makes of other values, such as
    ``1.10``, would not be what was there.
    """

    kv_version = 1

    def prove_writable(self) -> Writability:
        """Edit the secret as a run would, and ask Vault whether the token may write it; version 1 takes no trial."""
        held = self.read()
        if held.version is None:
            self._check_create()
        for pair in self.trials(held, keeps_previous=self._keeps_previous):
            self._edited(held.version, pair)
        needed, path = "create" if held.version is None else "update", f"{self._mount}/{self._path}"
        allowed = self._capabilities(path)
        warning = self._odd_name() if held.version is not None else ""
        if allowed is None:
            unproven = "the token may not ask for its own capabilities (sys/capabilities-self)"
            return Writability(False, unproven, warning)
        self._require(needed, path, *allowed)
        detail = f"the token has the capability {needed} on {path}"
        return Writability(
            True, f"{detail}; not provable: limits on parameters in its policy, and on size in Vault", warning
        )

    def read(self) -> StoredValue:
        """Read the secret."""
        text = self._look()
        if text is None:
            return StoredValue(None, may_be_made=self._may_be_made)
        return self._stored(json.loads(text), text)

    def look_again(self, held: StoredValue) -> None:
        """Read it: version 1 knows no conditions."""
        if self._look() != held.version:
            raise changed_since(self.name)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Write all of it with our keys changed."""
        if self._unchanged(pair, held):
            return
        if held.version is None:
            self._check_create()
        body = self._edited(held.version, pair).encode()
        with translated(
            self.name, "the secret could not be written", f"Allow read, create and update on {self._mount}/{self._path}"
        ):
            self.client.request("post", self._url(), data=body, headers=dict(_JSON))

    def _url(self) -> str:
        return str(format_url("/v1/{mount}/{path}", mount=self._mount, path=self._path))

    def _look(self) -> str | None:
        """The secret as JSON, as Vault wrote it: numbers as they were spelled, and null."""
        text = self._fetch(self._url())
        if text is None:
            return None
        with translated(self.name, "Vault's answer is not that of a KV engine of version 1"):
            (data,) = (member for member in scan_object(text, 0).members if member.key == "data")
            if text[data.value] != "{":
                raise TypeError("an answer without data is no absence")
            return text[data.value : data.end]

    def _edited(self, text: str | None, pair: SecretPair) -> str:
        members = self._members(pair, None if text is None else json.loads(text))
        (key, current), *beside = members.items()
        previous_key, previous = beside[0] if beside else (None, None)
        return JsonFormat(self.name, key, previous_key).edit(text, Contents(current, previous))
