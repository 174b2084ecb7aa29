"""A GitHub Actions secret behind an authenticated client: it can be written, and never read."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from github import GithubException
from github.PublicKey import encrypt
from nacl.exceptions import CryptoError
from requests import ConnectionError as RequestsConnectionError
from requests import RequestException, Timeout

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.shared.refusals import changed_since, not_there

if TYPE_CHECKING:
    from collections.abc import Mapping

    from github import Github

_PAGE = 100
_MAX_BYTES = 48 * 1024
"""GitHub's limit for one secret: https://docs.github.com/actions/reference/security/secrets"""
_MOST_SECRETS = {False: 100, True: 1000}
"""How many secrets a repository or an environment may have, and an organisation."""


@dataclass(frozen=True, slots=True)
class GithubSecret:
    """What GitHub tells of a secret: all but its value.

    :param facts: name, times and, in an organisation, who may use it; None if there is no such secret.
    :param repositories: ids of an organisation's repositories that may use it, where they are selected.
    """

    key_id: str
    public_key: str
    facts: Mapping[str, Any] | None
    repositories: tuple[int, ...] = ()


class ArmedGithubSecret(ArmedStore):
    """A secret of a repository, an environment or an organisation.

    PyGithub's own ``create_secret`` fetches the public key in the moment that counts; here it is there by then.

    :param name: the store's name, for messages.
    :param path: the path of the API's ``secrets`` under which it lies.
    :param secret: the secret's name.
    :param create: whether a missing secret is created.
    :param visibility: who may use one that is created in an organisation.
    :param shared: whether it is an organisation's, which says who may use it.
    """

    def __init__(
        self, name: str, client: Github, *, path: str, secret: str, create: bool, visibility: str | None, shared: bool
    ) -> None:
        super().__init__(name)
        self._client, self._path, self._url = client, path, f"{path}/{secret}"
        self._create, self._visibility, self._shared = create, visibility, shared

    def prove_writable(self) -> Writability:
        """Make the write up, and ask for the deletion of a secret that does not exist.

        Deleting takes the right that writing takes. A secret made for the trial would be seen: workflows that pass all
        their secrets on would pass it on too.
        """
        held = self._look()
        self._check_present(held)
        for pair in self.trials(self._stored(held), keeps_previous=False):
            self._body(pair, held)
        if held.facts is None:
            self._check_room()
        trial = f"FEATUREBASE_TRIAL_{secrets.token_hex(16).upper()}"
        self._ask("DELETE", f"{self._path}/{trial}")
        return Writability(
            False,
            "GitHub has no trial write: the secret could be sealed with its public key, and deleting one that does not "
            "exist was not forbidden to this token; that GitHub takes the write is not provable",
        )

    def read(self) -> StoredValue:
        """See that the place is there, and when its secret changed last."""
        return self._stored(self._look())

    def look_again(self, held: StoredValue) -> None:
        """See that nobody changed the secret: GitHub has no conditional write, and gives times in seconds."""
        seen: GithubSecret = held.version
        if self._facts() != seen.facts:
            raise changed_since(self.name)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Put the secret in a sealed box."""
        seen: GithubSecret = held.version
        self._check_present(seen)
        body = self._body(pair, seen)
        if self._ask("PUT", self._url, body) is None:
            raise StoreRefused(
                self.name, "GitHub answered 404 to PUT", "The token may read secrets, but not write them; allow that"
            )

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    @staticmethod
    def _stored(seen: GithubSecret) -> StoredValue:
        return StoredValue(None, version=seen, readable=False)

    def _body(self, pair: SecretPair, seen: GithubSecret) -> dict[str, Any]:
        text = pair.current.reveal()
        if len(text.encode()) > _MAX_BYTES:
            raise StoreRefused(self.name, "the secret is longer than the 48 KB that GitHub takes; nothing was changed")
        try:
            sealed = encrypt(seen.public_key, text)
        except (CryptoError, TypeError, ValueError):  # the error may quote its arguments
            raise StoreUnreachable(
                self.name, "GitHub's public key can't be used to seal a secret; nothing was changed"
            ) from None
        audience = self._audience(seen) if self._shared else {}
        return {"encrypted_value": sealed, "key_id": seen.key_id, **audience}

    def _check_room(self) -> None:
        most, there = (
            _MOST_SECRETS[self._shared],
            (self._ask("GET", f"{self._path}?per_page=1") or {}).get("total_count"),
        )
        if isinstance(there, int) and there >= most:
            raise StoreRefused(
                self.name,
                f"there are {there} secrets, and GitHub allows {most}: another can't be created; nothing was changed",
                "Remove one, or write to one that is there",
            )

    def _look(self) -> GithubSecret:
        key = self._ask("GET", f"{self._path}/public-key")
        if key is None:
            raise StoreRefused(
                self.name,
                "there is no such repository, environment or organisation for this token",
                "Correct the name, or give the token access to its secrets; nothing was changed",
            )
        facts = self._facts()
        selected = facts is not None and facts.get("visibility") == "selected"
        try:
            return GithubSecret(str(key["key_id"]), str(key["key"]), facts, self._repositories() if selected else ())
        except (KeyError, TypeError):
            raise StoreUnreachable(self.name, "GitHub's answer is not what it documents; nothing was changed") from None

    def _facts(self) -> dict[str, Any] | None:
        return self._ask("GET", self._url)

    def _repositories(self) -> tuple[int, ...]:
        """Who may use the secret: a PUT sets that anew."""
        ids: list[int] = []
        for page in range(1, 100):
            answer = self._ask("GET", f"{self._url}/repositories?per_page={_PAGE}&page={page}") or {}
            found = [one["id"] for one in answer.get("repositories", ())]
            ids += found
            if len(found) < _PAGE:
                break
        return tuple(ids)

    def _audience(self, seen: GithubSecret) -> dict[str, Any]:
        if seen.facts is None:
            return {"visibility": self._visibility}
        visibility = seen.facts.get("visibility")
        if visibility != "selected":
            return {"visibility": visibility}
        return {"visibility": visibility, "selected_repository_ids": list(seen.repositories)}

    def _check_present(self, held: GithubSecret) -> None:
        if held.facts is None and not self._create:
            raise not_there(self.name, "there is no such secret")

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Make one request; None for 404. A connection that broke is tried once more: each call may be repeated."""
        for attempt in (1, 2):
            try:
                status, headers, text = self._client.requester.requestJson(method, url, input=body)
                if status == 404:
                    return None
                if status not in {200, 201, 204}:
                    raise self._error(method, status, headers)
                return json.loads(text) if text and status == 200 else {}
            except GithubException as error:  # an app's token could not be had
                raise self._error("the log-in", error.status, error.headers or {}) from None
            except (RequestException, OSError, ValueError, RuntimeError) as error:
                dropped = isinstance(error, RequestsConnectionError) and not isinstance(error, Timeout)
                if dropped and attempt == 1:
                    continue
                raise StoreUnreachable(
                    self.name, f"GitHub gave no usable answer to {method} ({type(error).__name__})"
                ) from None
        raise AssertionError

    def _error(self, asked: str, status: int, headers: Mapping[str, Any]) -> StoreError:
        said = f"GitHub answered {status} to {asked}"
        if status == 429 or (
            status == 403 and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0")
        ):
            return StoreUnreachable(self.name, f"{said}: too many requests")
        if status in {401, 403}:
            return StoreRefused(
                self.name, said, "Allow the connection's token to write this secret, or renew it; nothing was changed"
            )
        if 300 <= status < 500 and status != 408:
            return StoreRefused(
                self.name, said, "See that the repository was not renamed or archived; the secret was not changed"
            )
        return StoreUnreachable(self.name, said)
