"""A Kubernetes Secret behind an authenticated client, and the restarts that belong to it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import MANAGED_BY, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore
from featurebase_provider.stores.kubernetes_secret.owners import doubts_about, owner_of
from featurebase_provider.stores.shared.kubernetes import NoDryRun
from featurebase_provider.stores.shared.marks import NOTE
from featurebase_provider.stores.shared.refusals import no_such_key, not_there
from featurebase_provider.stores.shared.text import bare_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from featurebase_provider.stores.kubernetes_secret.api import KubernetesApi
    from featurebase_provider.stores.shared.text import SecretText


MOST_BYTES = 1024 * 1024
"""Of all values of a Secret, decoded: ``MaxSecretSize`` of https://kubernetes.io/docs/concepts/configuration/secret/."""


class ArmedKubernetesSecret(ConnectingStore["KubernetesApi"]):
    """A Secret behind an authenticated client.

    A restart that is due is noted in the same patch as the secret, and the note goes when all rollouts have begun:
    a run that died in between leaves it, and the next one restarts, with the same timestamp.

    :param name: the store's name, for messages.
    :param secret: the Secret's name.
    :param keys: our key, and that of the previous secret or None.
    :param text: how our key holds the secret.
    :param create: whether a missing Secret is created, and a missing key added.
    :param shared: whether the Secret may be written although another program writes it too.
    :param restart: kind and name of each workload that restarts once the secret has changed.
    :param spread: the time between the beginnings of two of these restarts.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], KubernetesApi],
        *,
        secret: str,
        keys: tuple[str, str | None],
        text: SecretText,
        create: bool,
        shared: bool,
        restart: Sequence[tuple[str, str]],
        spread: timedelta,
    ) -> None:
        super().__init__(name, build)
        self._secret, self._text, self._create, self._shared = secret, text, create, shared
        self._restart, self._spread = restart, spread
        self._key, self._previous_key = key, _ = keys
        fits = re.fullmatch(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?", key)
        self._annotation = f"{MANAGED_BY}/{key if fits else hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def prove_writable(self) -> Writability:
        """Let the API server try the write, and each restart, with ``dryRun=All``."""
        secret = self.client.secret(self._secret)
        held = StoredValue(None) if secret is None else self._stored(secret)
        untried = []
        for attempt in (partial(self._try_put, held), *(partial(self._try_restart, *one) for one in self._restart)):
            try:
                attempt()
            except NoDryRun as refused:
                untried.append(refused.problem)
        warning = "" if secret is None or self._shared else "; ".join(doubts_about(secret, self._key))
        if untried:
            why = "an admission webhook may not support that; rights were checked before"
            return Writability(False, f"not provable: {'; '.join(untried)}; {why}", warning)
        restarts = f" and {len(self._restart)} restarts" if self._restart else ""
        return Writability(True, f"the API server accepted the write{restarts} as a dry run", warning)

    def read(self) -> StoredValue:
        """Read our keys, and whether a restart is still due."""
        secret = self.client.secret(self._secret)
        if secret is None:
            if self._create:
                with suppress(NoDryRun):  # a missing namespace must not read as a Secret yet to be created
                    self._try_put(StoredValue(None))
            return StoredValue(None, may_be_made=self._create)
        return self._stored(secret)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Patch the Secret at the version that was read; restarts follow. What is there stays as it is."""
        secret: dict[str, Any] | None = held.version
        there = (secret or {}).get("data") or {}
        wanted = self._wanted(pair, secret)
        changes = {key: value for key, value in wanted.items() if there.get(key) != value}
        due = self._note(secret or {}).get("restart_due") if self._restart else None
        if changes:
            # A secret that only goes needs no restart; one that is new in either place does.
            due = _now() if self._restart and any(changes.values()) else due
            secret = self._put(secret, changes, _note_of(mark, due))
        return partial(self._restart_all, due, secret) if due and secret else None

    def _try_put(self, held: StoredValue) -> None:
        keeps_previous = self._previous_key is not None or self._text.keeps_previous
        for pair in self.trials(held, keeps_previous=keeps_previous):
            wanted = self._wanted(pair, held.version)
            self._check_size(held.version, wanted)
            self._put(held.version, wanted, _note_of(self.trial_mark, _now()), dry_run=True)

    def _try_restart(self, kind: str, workload: str) -> None:
        self.client.restart(kind, workload, _now(), dry_run=True)

    def _check_size(self, secret: dict[str, Any] | None, wanted: dict[str, str | None]) -> None:
        """Refuse what no API server takes, also where none can try it."""
        data = {**((secret or {}).get("data") or {}), **wanted}
        size = sum(len(base64.b64decode(value)) for value in data.values() if value)
        if size > MOST_BYTES:
            raise StoreRefused(
                self.name,
                f"with the new secret it would hold {size} bytes, and {MOST_BYTES} is the most; nothing was changed",
                "Remove keys from it, or name another Secret",
            )

    def _wanted(self, pair: SecretPair, secret: dict[str, Any] | None) -> dict[str, str | None]:
        """What our keys shall hold."""
        data = (secret or {}).get("data") or {}
        if secret is None and not self._create:
            raise not_there(self.name, "there is no such Secret")
        if self._key not in data and not self._create:
            raise no_such_key(self.name, self._key, list(data), where="the Secret")
        text = self._decoded(self._key, data.get(self._key))
        wanted: dict[str, str | None] = {self._key: _encoded(self._text.edited(text, pair, exists=text is not None))}
        if self._previous_key:
            wanted[self._previous_key] = _encoded(pair.previous.reveal()) if pair.previous else None
        return wanted

    def _put(
        self, secret: dict[str, Any] | None, data: dict[str, str | None], note: dict[str, str], *, dry_run: bool = False
    ) -> dict[str, Any]:
        metadata: dict[str, Any] = {"annotations": {self._annotation: json.dumps(note)}}
        if secret is None:
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
        waits_until = time.monotonic() + self.patience
        for number, (kind, workload) in enumerate(self._restart):
            at = _moment(due) + number * self._spread
            wait = (at - datetime.now(tz=timezone.utc)).total_seconds()
            if wait > max(0.0, waits_until - time.monotonic()):
                if self.patience:
                    problems.append(StoreUnreachable(self.name, f"{kind} {workload} restarts at {_text(at)} (spread)"))
                    break
                return  # the note stays, and a push goes on
            time.sleep(max(0.0, wait))
            try:
                self.client.restart(kind, workload, _text(at))
            except StoreError as error:
                problems.append(error)
        if problems:
            outcome = StoreUnreachable if all(problem.retry_helps for problem in problems) else StoreRefused
            raise outcome(
                self.name,
                "the Secret holds the new secret, but not every restart has begun: "
                + "; ".join(problem.problem for problem in problems),
                "Its push task restarts them once it is run again",
            )
        now = self.client.secret(self._secret) or {}  # a store that has another key of it may have written meanwhile
        note = self._note(now)
        if note.pop("restart_due", None) == due:
            with suppress(StoreConflict):  # somebody wrote in between: the note stays, and the next push clears it
                self._put(now, {}, note)

    def _note(self, secret: dict[str, Any]) -> dict[str, str]:
        annotations = (secret.get("metadata") or {}).get("annotations") or {}
        try:
            note = json.loads(annotations.get(self._annotation, "{}"))
        except (ValueError, RecursionError):
            return {}
        return {name: fact for name, fact in note.items() if isinstance(fact, str)} if isinstance(note, dict) else {}

    def _stored(self, secret: dict[str, Any]) -> StoredValue:
        data, note = secret.get("data") or {}, self._note(secret)
        text = self._decoded(self._key, data.get(self._key))
        stored = self._text.stored(text, exists=text is not None, mark=NOTE.mark_in(note), version=secret)
        due = self._restart and note.get("restart_due")
        stored = replace(stored, finished=not due, owned=None if self._shared else self._owned(secret))
        if self._previous_key is None:
            return stored
        previous = self._decoded(self._previous_key, data.get(self._previous_key))
        return replace(stored, previous=bare_secret(self.name, previous, f"its key {self._previous_key}"))

    def _owned(self, secret: dict[str, Any]) -> StoreRefused | None:
        owner = owner_of(secret, self._key)
        if owner is None:
            return None
        return StoreRefused(
            self.name,
            f"{owner.who} writes this Secret too, and puts its own value back; nothing was changed",
            f"Instead, {owner.instead}; if it leaves the key alone, say shared: true for this store",
        )

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
    return _text(datetime.now(tz=timezone.utc))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _moment(due: str) -> datetime:
    """When the first restart was due; in the past, if somebody wrote another text into our annotation."""
    try:
        return datetime.fromisoformat(due).astimezone(timezone.utc)
    except ValueError:
        return datetime.now(tz=timezone.utc) - timedelta(days=1)


def _note_of(mark: StoreMark, due: str | None) -> dict[str, str]:
    return NOTE.texts_of(mark) | ({"restart_due": due} if due else {})
