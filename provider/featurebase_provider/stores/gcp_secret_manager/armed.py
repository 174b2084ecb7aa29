"""A secret of Google Cloud's Secret Manager behind an authenticated client."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreError, StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore
from featurebase_provider.stores.shared.marks import LABELS
from featurebase_provider.stores.shared.refusals import changed_since, check_size, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from featurebase_provider.stores.gcp_secret_manager.calls import GcpCalls
    from featurebase_provider.stores.shared.text import SecretText

log = logging.getLogger(__name__)

_MOST_BYTES = 65_536
"""64 KiB: Google's documentation, "Quotas and limits" of Secret Manager."""

_NEEDED = ("secretmanager.secrets.get", "secretmanager.versions.access", "secretmanager.versions.add")
_TO_DISABLE = ("secretmanager.versions.list", "secretmanager.versions.disable")
_TO_MARK = "secretmanager.secrets.update"


@dataclass(frozen=True, slots=True)
class _GcpSecret:
    """The secret as it was read.

    :param secret: Google's description of it; None if there is no such secret.
    :param number: of its latest version; 0 if it has none.
    :param text: what the latest version holds; None if there is none, or if it is disabled or destroyed.
    """

    secret: Any = None
    number: int = 0
    text: str | None = field(default=None, repr=False)


class ArmedGcpSecret(ConnectingStore["GcpCalls"]):
    """One secret behind a client of its own.

    :param name: the store's name, for messages.
    :param parent: the project, or its region, as Google names it.
    :param text: how its value holds the secret, and whether it may be made.
    :param disables: whether older versions are disabled once the new one is in place.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], GcpCalls],
        text: SecretText,
        *,
        parent: str,
        secret_id: str,
        disables: bool,
    ) -> None:
        super().__init__(name, build)
        self._parent, self._secret_id, self._resource = parent, secret_id, f"{parent}/secrets/{secret_id}"
        self._disables = disables
        self._text = text

    def prove_writable(self) -> Writability:
        """Ask Google which of the needed permissions the connection has for this secret."""
        held = self.read()
        before: _GcpSecret = held.version
        pairs = self.trials(held, keeps_previous=self._text.keeps_previous)
        for text in self._text.tried(before.text, pairs, exists=before.secret is not None):
            self._check_fits(text)
        if before.secret is None:
            return Writability(False, "the secret does not exist yet; whether it may be created shows only then")
        needed = _NEEDED + (_TO_DISABLE if self._disables else ())
        answer = self.client.ask(
            "its permissions could not be asked for; nothing was changed",
            "test_iam_permissions",
            resource=self._resource,
            permissions=[*needed, _TO_MARK],
        )
        if missing := [one for one in needed if one not in answer.permissions]:
            raise StoreRefused(
                self.name,
                f"the connection's identity lacks {', '.join(missing)}; nothing was changed",
                "Grant the role of docs/stores/gcp_secret_manager.md",
            )
        unmarked = "" if _TO_MARK in answer.permissions else f"; it cannot be marked as ours without {_TO_MARK}"
        confirmed = f"Google confirms that versions may be added{unmarked}"
        warning = "; ".join(_ends(before.secret))
        if _has_own_key(before.secret):
            return Writability(False, f"{confirmed}; whether its KMS key may encrypt one shows only then", warning)
        return Writability(True, confirmed, warning)

    def read(self) -> StoredValue:
        """Read the secret's annotations, its latest version, and whether older ones are still to be disabled."""
        secret = self.client.ask_unless(
            {"NOT_FOUND"}, "it could not be read; nothing was changed", "get_secret", name=self._resource
        )
        if secret is None:
            return self._text.stored(None, exists=False, version=_GcpSecret())
        number, text = self._latest()
        if text is None and number and not self._text.is_whole:
            raise StoreRefused(
                self.name,
                "its latest version is disabled or destroyed, so what the value holds besides cannot be kept; "
                "nothing was changed",
                "Enable that version, or add one",
            )
        mark, held = LABELS.mark_in(secret.annotations), _GcpSecret(secret, number, text)
        stored = self._text.stored(text, exists=True, mark=mark, version=held)
        return replace(stored, finished=not (self._disables and self._older_enabled(number)))

    def look_again(self, held: StoredValue) -> None:
        """See that the latest version still is the one that was read."""
        before: _GcpSecret = held.version
        if before.secret is not None and self._latest() != (before.number, before.text):
            raise changed_since(self.name)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Add a version; it gives way to one that somebody added since the look. Then follow the mark and the rest."""
        before: _GcpSecret = held.version
        text = self._text.edited(before.text, pair, exists=before.secret is not None)
        if text == before.text:
            return partial(self._disable_older, before.number)
        if before.secret is None:
            self._create_secret(mark)
        with explained(self._check_fits, text):
            number = self._add(text.encode(), "it could not be written")
        self._give_way(number, after=before.number)
        return partial(self._complete, before.secret, number, mark)

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Annotate the secret."""
        before: _GcpSecret = held.version
        return None if before.secret is None else partial(self._mark, before.secret, mark)

    def _complete(self, secret: Any, number: int, mark: StoreMark) -> None:
        """Mark a secret that was there before, and disable its older versions."""
        if secret is not None:
            self._mark(secret, mark)
        self._disable_older(number)

    def _disable_older(self, number: int) -> None:
        for older in self._older_enabled(number) if self._disables else []:
            self.client.ask(
                f"the new secret is in place, but version {_number(older)} could not be disabled",
                "disable_secret_version",
                name=f"{self._resource}/versions/{_number(older)}",
                etag=older.etag,
            )

    def _check_fits(self, text: str) -> None:
        check_size(
            self.name,
            text,
            most=_MOST_BYTES,
            holder="a version of a secret in Google Cloud",
            advice="Move other keys to another secret",
        )

    def _latest(self) -> tuple[int, str | None]:
        found = self._version("latest", "its latest version could not be read; nothing was changed")
        if found is None:
            return 0, None
        number, data = found
        try:
            return number, None if data is None else data.decode()
        except UnicodeDecodeError:  # it carries the bytes
            raise StoreRefused(self.name, "its latest version is no UTF-8 text; nothing was changed") from None

    def _version(self, version: str | int, failed: str) -> tuple[int, bytes | None] | None:
        """Number and data of a version; None if there is none, no data if it is disabled or destroyed."""
        name = f"{self._resource}/versions/{version}"
        answer = self.client.ask_unless(
            {"NOT_FOUND", "FAILED_PRECONDITION"}, failed, "access_secret_version", name=name
        )
        if answer is not None:
            return _number(answer), answer.payload.data
        described = self.client.ask_unless({"NOT_FOUND"}, failed, "get_secret_version", name=name)
        return None if described is None else (_number(described), None)

    def _create_secret(self, mark: StoreMark) -> None:
        secret: dict[str, Any] = {"annotations": LABELS.texts_of(mark)}
        if "/locations/" not in self._parent:
            secret["replication"] = {"automatic": {}}
        self.client.ask(
            "it could not be created",
            "create_secret",
            parent=self._parent,
            secret_id=self._secret_id,
            secret=secret,
        )

    def _add(self, data: bytes, failed: str) -> int:
        answer = self.client.ask(failed, "add_secret_version", parent=self._resource, payload={"data": data})
        return _number(answer)

    def _give_way(self, ours: int, *, after: int) -> None:
        """If somebody added a version between our look and ours, put theirs back on top.

        Google numbers versions in the order in which they are added.
        """
        if ours == after + 1:
            return
        failed = f"version {ours} was added over another writer's version {ours - 1}, which could not be put back"
        theirs = self._version(ours - 1, failed)
        if theirs is not None and theirs[1] is not None:
            self._add(theirs[1], failed)
            raise changed_since(self.name)

    def _mark(self, secret: Any, mark: StoreMark) -> None:
        """Mark the secret beside others' annotations; the value stands without that, so a failure is logged."""
        failed = "the new secret is in place, but not marked as ours"
        try:
            for attempt in ("as it was read", "as it is now"):
                if attempt == "as it is now":
                    secret = self.client.ask(failed, "get_secret", name=self._resource)
                marked = self.client.ask_unless(
                    {"ABORTED", "FAILED_PRECONDITION"},  # the etag is not the current one
                    failed,
                    "update_secret",
                    secret={
                        "name": self._resource,
                        "annotations": {**secret.annotations, **LABELS.texts_of(mark)},
                        "etag": secret.etag,
                    },
                    update_mask={"paths": ["annotations"]},
                )
                if marked is not None:
                    return
            log.warning("store %s: %s (its annotations keep changing)", self.name, failed)
        except StoreError as error:
            log.warning("%s", error)

    def _older_enabled(self, number: int) -> list[Any]:
        versions = self.client.ask_all(
            "its versions could not be listed",
            "list_secret_versions",
            parent=self._resource,
            filter="state:ENABLED",
        )
        return [version for version in versions if _number(version) < number]


def _ends(secret: Any) -> Iterator[str]:
    """What ends or replaces a version that is added now, by the secret's own settings."""
    if secret.expire_time:
        at = secret.expire_time.isoformat(timespec="seconds")
        yield f"Google deletes the secret with all its versions at {at}, which a write doesn't change (expire_time)"
    if secret.rotation.next_rotation_time:
        at = secret.rotation.next_rotation_time.isoformat(timespec="seconds")
        yield f"it has a rotation schedule of its own, next at {at}: what answers that may replace the value"


def _has_own_key(secret: Any) -> bool:
    """Whether a key of the customer's encrypts the secret (CMEK): a global one's, a replica's or a regional one's."""
    encrypted = [secret, secret.replication.automatic, *secret.replication.user_managed.replicas]
    return any(one.customer_managed_encryption.kms_key_name for one in encrypted)


def _number(version: Any) -> int:
    return int(version.name.rpartition("/")[2])
