"""A secret in a KV engine of version 2. Imported by ``arm()`` only."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from hvac import exceptions as vault  # noqa: TID253  this module is the store's client
from hvac.utils import format_url  # noqa: TID253
from requests import RequestException

from featurebase_provider.rotation.errors import StoreError, StoreRefused
from featurebase_provider.rotation.store import StoredValue, Writability
from featurebase_provider.stores.hashicorp_vault.armed import VaultSecret
from featurebase_provider.stores.hashicorp_vault.calls import translated
from featurebase_provider.stores.shared.marks import VAULT_METADATA
from featurebase_provider.stores.shared.refusals import changed_since

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from featurebase_provider.rotation.store import SecretPair, StoreMark
    from featurebase_provider.stores.shared.formats import KeyPath

_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
_NO_VERSION = 2**31 - 1
"""A version that no secret has: Vault judges a write on this condition like any other, and then refuses it."""
_UNITS = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


class VaultSecretV2(VaultSecret):
    """A versioned secret: patched, or created, on the condition that its version is the one read.

    The version passed on is the number that the next write has to name, and the secret's keys; None without a value.
    """

    kv_version = 2

    def prove_writable(self) -> Writability:
        """Send what a run may write on a condition that can't be met, and look how long versions last.

        Vault judges login, policy, size and quotas first; then it refuses the version, and nothing has changed.
        """
        found = self._look()
        held = self._held(found)
        (version, secret), paths = held.version, [f"{self._mount}/{part}" for part in self._parts]
        exists = secret is not None
        if not exists:
            self._check_create(named=version > 0)
        allowed = self._capabilities(*paths)
        if allowed is not None:
            self._require("patch" if exists else "update" if version else "create", paths[0], allowed[0])
        for pair in self.trials(held, keeps_previous=self._keeps_previous):
            self._try(pair, secret)
        detail = "Vault took each request that a run may send, up to its version, which was a wrong one"
        if version and not exists:
            detail += f"; its version {version} was deleted, and the next will hold our keys only"
        if allowed is not None and not {"patch", "root"} & allowed[1]:
            detail += f"; it can't leave our mark (allow patch on {paths[1]})"
        warnings = (self._odd_name() if version else "", self._end(found, allowed))
        return Writability(True, detail, "; ".join(filter(None, warnings)))

    def read(self) -> StoredValue:
        """Read the latest version; a deleted one holds no secret."""
        return self._held(self._look())

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Write our keys only; the mark follows."""
        if self._unchanged(pair, held):
            return None
        version, secret = held.version
        if secret is None:
            self._check_create(named=version > 0)
        try:
            with translated(self.name, "the secret could not be written", self._advice(secret is not None)):
                try:
                    self._send(pair, version, secret)
                except vault.InvalidPath:
                    raise changed_since(self.name) from None  # deleted since it was read
        except StoreRefused:
            if self.read().version != held.version:
                raise changed_since(self.name) from None
            raise
        return self.marking(held, mark)

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None]:
        """Patch the secret's custom metadata."""
        return partial(self._leave, mark)

    @property
    def _parts(self) -> tuple[str, ...]:
        """What of the mount concerns this secret: its value, its metadata, and the settings of all secrets."""
        return f"data/{self._path}", f"metadata/{self._path}", "config"

    def _url(self, part: str) -> str:
        return str(format_url("/v1/{mount}/{part}", mount=self._mount, part=part))

    def _look(self, part: str | None = None) -> dict[str, Any] | None:
        text = self._fetch(self._url(part or self._parts[0]))
        if text is None:
            return None
        with translated(self.name, "Vault's answer is not that of a KV engine of version 2"):
            data = json.loads(text)["data"]
            if not isinstance(data, dict):
                raise TypeError("an answer without data is no absence")
            return data

    def _held(self, found: dict[str, Any] | None) -> StoredValue:
        if found is None:
            return StoredValue(None, version=(0, None), may_be_made=self._may_be_made)
        with translated(self.name, "Vault's answer is not that of a KV engine of version 2"):
            metadata, secret = found["metadata"], found["data"]
            version, marks = int(metadata["version"]), metadata.get("custom_metadata")
        return self._stored(secret, (version, secret), marks)

    def _send(self, pair: SecretPair, version: int, secret: dict[str, Any] | None) -> None:
        members, url = self._members(pair, secret), self._url(self._parts[0])
        if secret is not None:
            body = {"options": {"cas": version}, "data": _merge_patch(members)}
            self.client.request("patch", url, json=body, headers=dict(_MERGE_PATCH))
        else:
            made = _merge_patch({path: value for path, value in members.items() if value is not None})
            self.client.post(url=url, json={"options": {"cas": version}, "data": made})

    def _try(self, pair: SecretPair, secret: dict[str, Any] | None) -> None:
        with translated(self.name, "Vault refused a trial of the write", self._advice(secret is not None)):
            try:
                self._send(pair, _NO_VERSION, secret)
            except vault.InvalidPath:
                raise changed_since(self.name) from None
            except vault.InvalidRequest as error:
                # Of Vault's refusals with this status, only that of the version says that all else was in order.
                if "check-and-set" not in str(error.text):
                    raise

    def _advice(self, exists: bool) -> str:
        rights = "read and patch" if exists else "read, create and update"
        return f"Allow {rights} on {self._mount}/{self._parts[0]}, without limits on parameters"

    def _leave(self, mark: StoreMark) -> None:
        """Patch our custom metadata. The value is in place by now, and the mark only helps people: no error."""
        custom = {"custom_metadata": VAULT_METADATA.texts_of(mark)}
        try:
            self.client.request("patch", self._url(self._parts[1]), json=custom, headers=dict(_MERGE_PATCH))
        except (vault.VaultError, RequestException):
            return

    def _end(self, found: dict[str, Any] | None, allowed: tuple[set[str], ...] | None) -> str:
        """When Vault deletes what is written, as far as the token may know."""
        if found and found["data"] is not None and (end := found["metadata"].get("deletion_time")):
            return (
                f"Vault deletes the version that is there at {end}, and a later one as long after its write, unless "
                "delete_version_after was changed since"
            )
        settings = (
            self._settings(part)
            for part, may in zip(self._parts[1:], (allowed or ())[1:], strict=False)
            if {"read", "root"} & may
        )
        after = min(filter(None, map(_lasts, settings)), default=None)
        if after is None:
            return ""
        end = (datetime.now(timezone.utc) + after).isoformat(timespec="seconds")
        return f"Vault deletes each version some time after its write, one of now at {end} (delete_version_after)"

    def _settings(self, part: str) -> dict[str, Any]:
        """What only a warning hangs on; nothing if Vault does not tell, such as to a policy that wants it wrapped."""
        try:
            return self._look(part) or {}
        except StoreError:
            return {}


def _merge_patch(members: Mapping[KeyPath, str | None]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396), which names our members alone; None removes one."""
    patch: dict[str, Any] = {}
    for (*outer, name), value in members.items():
        inner = patch
        for one in outer:
            inner = inner.setdefault(one, {})
        inner[name] = value
    return patch


def _lasts(settings: Mapping[str, Any]) -> timedelta | None:
    """How long versions last, by Vault's settings of a secret or of all; None is for ever.

    Vault writes durations as Go does: ``720h0m0s``, ``0s`` for none, a negative one for "none here either".
    """
    text = str(settings.get("delete_version_after"))
    parts = re.findall(r"([\d.]+)([hms])(?![a-z])", text)
    after = sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    return None if text.startswith("-") or not after else after
