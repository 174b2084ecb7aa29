"""A secret in a KV engine, armed: read and written through hvac's adapter. Imported by ``arm()`` only."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hvac import exceptions as vault  # noqa: TID253  this module is the store's client
from hvac.utils import format_url  # noqa: TID253
from requests import RequestException

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore, secret_or_none
from featurebase_provider.stores.shared.marks import VAULT_METADATA
from featurebase_provider.stores.shared.refusals import changed_since, not_there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hvac.adapters import JSONAdapter

_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
_ANSWERS_OF_REFUSAL = (
    vault.InvalidRequest,
    vault.Unauthorized,
    vault.Forbidden,
    vault.InvalidPath,
    vault.UnsupportedOperation,
    vault.ParamValidationError,
)


@contextmanager
def translated(store: str, problem: str, advice: str = "") -> Iterator[None]:
    """Turn errors of hvac and requests into the store's, without their text: Vault's may quote the request."""
    try:
        yield
    except StoreError:
        raise
    except vault.VaultError as error:
        # Of the bare class are the hook's own errors, such as a login without a token.
        if not isinstance(error, _ANSWERS_OF_REFUSAL) and type(error) is not vault.VaultError:
            raise StoreUnreachable(store, f"{problem} ({type(error).__name__})") from None
        raise StoreRefused(
            store,
            f"{problem} ({type(error).__name__}); nothing was changed",
            advice or "Check the token's policy, its life time, and the path",
        ) from None
    except RequestException as error:
        raise StoreUnreachable(store, f"{problem} ({type(error).__name__})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:  # a token file is missing; the answer is not Vault's
        raise StoreUnreachable(
            store, f"{problem} ({type(error).__name__})", "Check that the connection leads to a Vault server"
        ) from None


def check_mount(store: str, adapter: JSONAdapter, mount: str, *, version: int) -> None:
    """Make sure that the mount is a KV engine of this version; any token that may use it may ask.

    :raises StoreRefused: it is not, or the token may not use it.
    """
    with translated(store, f"the mount {mount} could not be looked up", "Check mount and policy"):
        found = adapter.get(url=format_url("/v1/sys/internal/ui/mounts/{mount}", mount=mount))["data"]
        kind, present = str(found["type"]), str((found.get("options") or {}).get("version", "1"))
    if kind not in {"kv", "generic"}:
        raise StoreRefused(store, f"the mount {mount} is no KV engine; nothing was changed")
    if present != str(version):
        raise StoreRefused(
            store,
            f"the mount {mount} is a KV engine of version {present}, not {version}",
            f"Write kv_version: {present}; nothing was changed",
        )


class VaultSecret(ConnectingStore["JSONAdapter"]):
    """What both KV versions have in common.

    :param name: the store's name, for messages.
    :param log_in: gives hvac's adapter, authenticated; it carries timeout, namespace and TLS settings.
    :param keys: our key, and that of the previous secret or None.
    :param create: whether a missing secret may be created.
    """

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

    def prove_writable(self) -> Writability:
        """Read the secret, and ask Vault what the token may do with it."""
        needed, paths = self._needed(self.read())
        try:
            with translated(self.name, "Vault could not be asked for the token's capabilities"):
                answer = self.client.post(url="/v1/sys/capabilities-self", json={"paths": paths})["data"]
                allowed = [set(answer[path]) for path in paths]
        except StoreRefused:
            return Writability(False, "the token may not ask for its own capabilities (sys/capabilities-self)")
        if not {needed, "root"} & allowed[0]:
            raise StoreRefused(
                self.name,
                f"the token lacks the capability {needed} on {paths[0]}; nothing was changed",
                "Add it to the token's policy",
            )
        detail = f"the token has the capability {needed} on {paths[0]}"
        if len(paths) > 1 and not {"patch", "root"} & allowed[1]:
            detail += f"; it can't leave our mark (allow patch on {paths[1]})"
        return Writability(True, detail)

    @abstractmethod
    def _needed(self, held: StoredValue) -> tuple[str, list[str]]:
        """The capability that a write needs, and the paths to ask about: the secret's, then the mark's."""

    def _fetch(self, url: str) -> dict[str, Any] | None:
        """Get ``data`` of the answer; None if Vault says that there is no such secret."""
        with translated(self.name, "the secret could not be read", "Check the path, and allow read on it"):
            try:
                answer = self.client.get(url=url)
            except vault.InvalidPath as error:
                # A missing secret is an answer without errors; a missing mount or another API has some.
                body = error.json if isinstance(error.json, dict) else {}
                if body.get("errors") == []:
                    return None
                if not isinstance(body.get("data"), dict):
                    raise
                answer = body  # the latest version was deleted, and this is its metadata
            data: dict[str, Any] = answer["data"]
            if not isinstance(data, dict):
                raise TypeError("an answer without data is no absence")
            return data

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

    def _check_create(self) -> None:
        if not self._create:
            raise not_there(self.name, "the secret does not exist")


class VaultSecretV2(VaultSecret):
    """A versioned secret: patched, or created, on the condition that its version is the one read.

    The version passed on is the number that the next write has to name, and whether there is a value.
    """

    def _url(self, part: str) -> str:
        return str(format_url("/v1/{mount}/{part}/{path}", mount=self._mount, part=part, path=self._path))

    def read(self) -> StoredValue:
        """Read the latest version; a deleted one holds no secret."""
        found = self._fetch(self._url("data"))
        if found is None:
            return StoredValue(None, version=(0, False), may_be_made=self._create)
        with translated(self.name, "Vault's answer is not that of a KV engine of version 2"):
            metadata, secret = found["metadata"], found["data"]
            version, marks = int(metadata["version"]), metadata.get("custom_metadata")
        return self._stored(secret, (version, secret is not None), marks)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Write our keys only, then leave the mark."""
        if self._unchanged(pair, held):
            return
        (version, exists), wanted = held.version, self._wanted(pair)
        if not exists:
            self._check_create()
            wanted = {key: value for key, value in wanted.items() if value is not None}
        body = {"options": {"cas": version}, "data": wanted}
        try:
            with translated(self.name, "the secret could not be written", self._advice(exists)):
                try:
                    if exists:
                        self.client.request("patch", self._url("data"), json=body, headers=dict(_MERGE_PATCH))
                    else:
                        self.client.post(url=self._url("data"), json=body)
                except vault.InvalidPath:
                    raise changed_since(self.name) from None  # deleted since it was read
        except StoreRefused:
            if self.read().version != held.version:
                raise changed_since(self.name) from None
            raise
        self._leave(mark)

    def _advice(self, exists: bool) -> str:
        return f"Allow {'read and patch' if exists else 'read, create and update'} on {self._mount}/data/{self._path}"

    def _leave(self, mark: StoreMark) -> None:
        """Patch our custom metadata. The value is in place by now, and the mark only helps people: no error."""
        custom = {"custom_metadata": VAULT_METADATA.texts_of(mark)}
        try:
            self.client.request("patch", self._url("metadata"), json=custom, headers=dict(_MERGE_PATCH))
        except (vault.VaultError, RequestException):
            return

    def _needed(self, held: StoredValue) -> tuple[str, list[str]]:
        version, exists = held.version
        if not exists:
            self._check_create()
        paths = [f"{self._mount}/{part}/{self._path}" for part in ("data", "metadata")]
        return "patch" if exists else "update" if version else "create", paths


class VaultSecretV1(VaultSecret):
    """An unversioned secret, without metadata; the version passed on is all that it holds."""

    def _url(self) -> str:
        return str(format_url("/v1/{mount}/{path}", mount=self._mount, path=self._path))

    def read(self) -> StoredValue:
        """Read the secret."""
        found = self._fetch(self._url())
        return self._stored(found, found)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Read it again, and write all of it with our keys changed."""
        if self._unchanged(pair, held):
            return
        if held.version is None:
            self._check_create()
        if self._fetch(self._url()) != held.version:
            raise changed_since(self.name)
        whole = {**(held.version or {}), **self._wanted(pair)}
        with translated(
            self.name, "the secret could not be written", f"Allow read, create and update on {self._mount}/{self._path}"
        ):
            self.client.post(url=self._url(), json={key: value for key, value in whole.items() if value is not None})

    def _needed(self, held: StoredValue) -> tuple[str, list[str]]:
        if held.version is None:
            self._check_create()
        return "create" if held.version is None else "update", [f"{self._mount}/{self._path}"]
