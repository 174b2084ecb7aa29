"""A secret of Azure Key Vault behind an authenticated client."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.shared.marks import LABELS
from featurebase_provider.stores.shared.refusals import changed_since, check_size, explained, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.keyvault.secrets import SecretClient

    from featurebase_provider.stores.shared.text import SecretText

_MOST_BYTES = 25_600
"""25k bytes ("About Azure Key Vault secrets"); Key Vault's own error message says 25600."""
_MOST_TAGS = 15
_LOGIN_ADVICE = "If that lasts, check that the connection, or the worker, has an identity, and the network"


@dataclass(frozen=True, slots=True)
class _AzureSecret:
    """The secret as it was read; ``version`` None if there is none."""

    version: str | None = None
    text: str | None = field(default=None, repr=False)
    tags: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None
    not_before: datetime | None = None
    expires_on: datetime | None = None


class ArmedAzureSecret(ArmedStore):
    """One secret behind a client of its own.

    :param client: the vendor's client.
    :param credential: what it logs in with.
    :param secret: the secret's name.
    :param text: how its value holds the secret, and whether it may be made.
    """

    def __init__(self, name: str, client: SecretClient, credential: Any, text: SecretText, *, secret: str) -> None:
        super().__init__(name)
        self._client, self._credential, self._secret = client, credential, secret
        self._text = text

    def connect(self) -> None:
        """Fetch the token that the client will ask for, so that a write does not wait for it.

        :raises StoreError: there is no identity, it was refused, or nobody answered.
        """
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import ClientSecretCredential

        scope = f"https://{self._client.vault_url.partition('.')[2].strip('/')}/.default"
        with self._translated("the login did not succeed; nothing was changed"):
            try:
                # As the client will ask: tokens with and without this are kept apart.
                self._credential.get_token_info(scope, options={"enable_cae": True})
            except ClientAuthenticationError as error:
                # Everything comes as this error; an answer of the login service is the one without a cause.
                if error.__cause__ is None and isinstance(self._credential, ClientSecretCredential):
                    raise StoreRefused(
                        self.name,
                        "the login was refused; nothing was changed",
                        "Check client id, secret and tenant of its Airflow connection",
                    ) from None
                raise

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()
        self._credential.close()

    def prove_writable(self) -> Writability:
        """Read the secret, edit a copy and compare it with Key Vault's limits; it has no means to prove more."""
        held = self.read()
        before: _AzureSecret = held.version
        pairs = self.trials(held, keeps_previous=self._text.keeps_previous)
        for text in self._text.tried(before.text, pairs, exists=before.version is not None):
            self._check_fits(text)
        if len({*before.tags, *LABELS.names}) > _MOST_TAGS:
            raise StoreRefused(
                self.name,
                f"with ours it would have more tags than the {_MOST_TAGS} that Key Vault allows; nothing was changed",
                "Remove some of its tags",
            )
        unproven = "the secret can be read; Key Vault has no way to prove that it may be set"
        return Writability(False, unproven, "; ".join(_dates(before)))

    def read(self) -> StoredValue:
        """Read the current version and its tags."""
        held = self._get()
        exists = held.version is not None
        return self._text.stored(held.text, exists=exists, mark=LABELS.mark_in(held.tags), version=held)

    def look_again(self, held: StoredValue) -> None:
        """See that the current version still is the one that was read: Key Vault knows no conditions."""
        before: _AzureSecret = held.version
        if self._get().version != before.version:
            raise changed_since(self.name)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Set a new version with our mark among its tags."""
        before: _AzureSecret = held.version
        text = self._text.edited(before.text, pair, exists=before.version is not None)
        if text == before.text:
            return
        with explained(self._check_fits, text), self._translated("it could not be written"):
            self._client.set_secret(
                self._secret,
                text,
                tags={**before.tags, **LABELS.texts_of(mark)},
                content_type=before.content_type,
                not_before=before.not_before,
                expires_on=before.expires_on,
            )

    def _check_fits(self, text: str) -> None:
        check_size(
            self.name,
            text,
            most=_MOST_BYTES,
            holder="a secret of Azure Key Vault",
            advice="Move other keys to another secret",
        )

    def _get(self) -> _AzureSecret:
        from azure.core.exceptions import ResourceNotFoundError

        with self._translated("it could not be read; nothing was changed"):
            try:
                found = self._client.get_secret(self._secret)
            except ResourceNotFoundError:
                self._check_not_deleted()
                return _AzureSecret()
        properties = found.properties
        if properties.key_id:
            raise StoreRefused(
                self.name, "the secret belongs to a certificate; nothing was changed", "Name another secret"
            )
        return _AzureSecret(
            properties.version,
            found.value or "",
            properties.tags or {},
            properties.content_type,
            properties.not_before,
            properties.expires_on,
        )

    def _check_not_deleted(self) -> None:
        """A deleted secret keeps its name until it is purged, and takes no new version."""
        from azure.core.exceptions import HttpResponseError

        try:
            deleted = self._client.get_deleted_secret(self._secret)
        except HttpResponseError as error:
            if error.status_code in {403, 404}:  # 403: may not look; the write will tell
                return
            raise
        if "Purgeable" in (deleted.properties.recovery_level or "Purgeable"):
            raise self._deleted()
        raise self._deleted(until=deleted.scheduled_purge_date)

    def _deleted(self, *, until: datetime | None = None) -> StoreRefused:
        """Refuse a name that is taken.

        :param until: when Key Vault purges the secret, where purge protection lets nobody do so before.
        """
        taken = "the secret was deleted and can still be recovered, so its name is taken"
        recover = "Recover it (az keyvault secret recover)"
        if until is not None:
            return StoreRefused(
                self.name,
                f"{taken} until {until:%Y-%m-%d}: the vault has purge protection; nothing was changed",
                f"{recover}, or name another",
            )
        return StoreRefused(
            self.name,
            f"{taken}; nothing was changed",
            f"{recover} or purge it (az keyvault secret purge), or name another",
        )

    @contextmanager
    def _translated(self, failed: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  the client also raises what it could not make sense of
            raise self._error(error, failed) from None  # its text may quote the request

    def _error(self, error: Exception, failed: str) -> StoreError:
        from azure.core.exceptions import ClientAuthenticationError

        status, code = _answer_in(error)
        if code == "ObjectIsDeletedButRecoverable":
            return self._deleted()
        said = f"{failed} ({code or status or type(error).__name__})"
        if code == "SecretDisabled":
            return StoreRefused(self.name, said, "Its current version is disabled: enable it, or set another value")
        if status == 409:  # being deleted, recovered or purged at this moment
            return StoreConflict(self.name, said)
        if refuses(status):
            return StoreRefused(
                self.name, said, "Check the vault's address, the connection, and what its identity may do there"
            )
        # A login that got no answer and one for which there is no identity look alike; the first may end well later.
        return StoreUnreachable(self.name, said, _LOGIN_ADVICE if isinstance(error, ClientAuthenticationError) else "")


def _dates(secret: _AzureSecret) -> Iterator[str]:
    """Which dates a new version takes over, and what they mean."""
    keeps = "a new version keeps that date"
    if secret.expires_on is not None:
        yield (
            f"the secret expires at {secret.expires_on.isoformat(timespec='seconds')}: Key Vault still gives it out "
            f"then, and readers may refuse it ({keeps})"
        )
    if secret.not_before is not None and secret.not_before > datetime.now(timezone.utc):
        yield f"the secret is not to be used before {secret.not_before.isoformat(timespec='seconds')} ({keeps})"


def _answer_in(error: Exception) -> tuple[int | None, str | None]:
    """Status and the innermost error code of Key Vault's answer, if there was one."""
    status = getattr(error, "status_code", None)
    answer = getattr(error, "error", None)
    inner = getattr(answer, "innererror", None) or {}
    code = inner.get("code") or getattr(answer, "code", None)
    return status, code if isinstance(code, str) and code.isalnum() else None
