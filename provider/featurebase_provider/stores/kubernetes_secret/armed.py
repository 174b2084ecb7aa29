"""A Kubernetes Secret behind an authenticated client, and the restarts that belong to it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import MANAGED_BY, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore, secret_or_none
from featurebase_provider.stores.kubernetes_secret.api import NoDryRun
from featurebase_provider.stores.shared.marks import NOTE
from featurebase_provider.stores.shared.refusals import not_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.stores.kubernetes_secret.api import KubernetesApi


class ArmedKubernetesSecret(ConnectingStore["KubernetesApi"]):
    """A Secret behind an authenticated client.

    A restart that is due is noted in the same patch as the secret, and the note goes when all rollouts have begun:
    a run that died in between leaves it, and the next one restarts, with the same timestamp.

    :param name: the store's name, for messages.
    :param secret: the Secret's name.
    :param keys: our key, and that of the previous secret or None.
    :param create: whether a missing Secret is created.
    :param restart: kind and name of each workload that restarts once the secret has changed.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], KubernetesApi],
        *,
        secret: str,
        keys: tuple[str, str | None],
        create: bool,
        restart: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__(name, build)
        self._secret, self._create, self._restart = secret, create, restart
        self._key, self._previous_key = key, _ = keys
        fits = re.fullmatch(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?", key)
        self._annotation = f"{MANAGED_BY}/{key if fits else hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def prove_writable(self) -> Writability:
        """Let the API server try the write, and each restart, with ``dryRun=All``."""
        secret = self.client.secret(self._secret)
        if secret is not None:
            self._values(secret)
        try:
            self._try_put(secret)
            for kind, workload in self._restart:
                self.client.restart(kind, workload, _now(), dry_run=True)
        except NoDryRun as refused:
            return Writability(False, f"{refused.problem}; an admission webhook may not support that")
        restarts = f" and {len(self._restart)} restarts" if self._restart else ""
        return Writability(True, f"the API server accepted the write{restarts} as a dry run")

    def read(self) -> StoredValue:
        """Read our keys, and whether a restart is still due."""
        secret = self.client.secret(self._secret)
        if secret is None:
            if self._create:
                with suppress(NoDryRun):  # a missing namespace must not read as a Secret yet to be created
                    self._try_put(None)
            return StoredValue(None, may_be_made=self._create)
        current, previous = self._values(secret)
        note = self._note(secret)
        due = bool(self._restart and note.get("restart_due"))
        return StoredValue(current, previous, NOTE.mark_in(note), secret, finished=not due)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Patch the Secret at the version that was read, then restart what shall be; what is there stays as it is."""
        secret: dict[str, Any] | None = held.version
        wanted: dict[str, str | None] = {self._key: _encoded(pair.current.reveal())}
        if self._previous_key:
            wanted[self._previous_key] = _encoded(pair.previous.reveal()) if pair.previous else None
        there = (secret or {}).get("data") or {}
        changes = {key: value for key, value in wanted.items() if there.get(key) != value}
        due = self._note(secret or {}).get("restart_due") if self._restart else None
        if changes:
            due = _now() if self._restart and self._key in changes else due
            secret = self._put(secret, changes, _note_of(mark, due))
        if due and secret:
            self._restart_all(due, secret)

    def _try_put(self, secret: dict[str, Any] | None) -> None:
        self._put(secret, {self._key: _encoded(self.trial.reveal())}, {}, dry_run=True)

    def _put(
        self, secret: dict[str, Any] | None, data: dict[str, str | None], note: dict[str, str], *, dry_run: bool = False
    ) -> dict[str, Any]:
        metadata: dict[str, Any] = {"annotations": {self._annotation: json.dumps(note)}}
        if secret is None:
            if not self._create:
                raise not_there(self.name, "there is no such Secret")
            body = {"metadata": {**metadata, "name": self._secret}, "type": "Opaque"}
            return self.client.create_secret(
                {**body, "data": {key: value for key, value in data.items() if value is not None}}, dry_run=dry_run
            )
        if secret.get("immutable"):
            raise StoreRefused(
                self.name, "the Secret is immutable; nothing was changed", "Replace it by one that is not"
            )
        if not dry_run:
            metadata["resourceVersion"] = secret["metadata"]["resourceVersion"]
        return self.client.patch_secret(self._secret, {"metadata": metadata, "data": data}, dry_run=dry_run)

    def _restart_all(self, due: str, secret: dict[str, Any]) -> None:
        problems: list[StoreError] = []
        for kind, workload in self._restart:
            try:
                self.client.restart(kind, workload, due)
            except StoreError as error:
                problems.append(error)
        if problems:
            outcome = StoreUnreachable if all(problem.retry_helps for problem in problems) else StoreRefused
            raise outcome(
                self.name,
                "the Secret holds the new secret, but not every restart could be begun: "
                + "; ".join(problem.problem for problem in problems),
                "Its push task restarts them once it is run again",
            )
        note = {name: fact for name, fact in self._note(secret).items() if name != "restart_due"}
        with suppress(StoreConflict):  # somebody wrote meanwhile: the note stays, and the next push clears it
            self._put(secret, {}, note)

    def _note(self, secret: dict[str, Any]) -> dict[str, str]:
        annotations = (secret.get("metadata") or {}).get("annotations") or {}
        try:
            note = json.loads(annotations.get(self._annotation, "{}"))
        except (ValueError, RecursionError):
            return {}
        return {name: fact for name, fact in note.items() if isinstance(fact, str)} if isinstance(note, dict) else {}

    def _values(self, secret: dict[str, Any]) -> tuple[SigningSecret | None, SigningSecret | None]:
        data = secret.get("data") or {}
        keys = (self._key, self._previous_key)
        current, previous = (self._decoded(key, data.get(key)) if key else None for key in keys)
        return secret_or_none(current), secret_or_none(previous)

    def _decoded(self, key: str, value: str | None) -> str | None:
        try:
            return None if value is None else base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):  # the latter carries the bytes
            raise StoreRefused(
                self.name, f"what the Secret holds under {key} is no text; nothing was changed", "Choose another key"
            ) from None


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _now() -> str:
    return datetime.now(tz=timezone.utc).isoformat(timespec="milliseconds")


def _note_of(mark: StoreMark, due: str | None) -> dict[str, str]:
    return NOTE.texts_of(mark) | ({"restart_due": due} if due else {})
