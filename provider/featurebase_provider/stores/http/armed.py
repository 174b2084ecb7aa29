"""A value behind a REST API, armed. Imported by ``arm()`` only."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jsonpath_ng.ext.parser import parse
from requests import RequestException
from requests.exceptions import SSLError

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.http.request import OF_A_WRITE
from featurebase_provider.stores.http.templates import names_in, rendered
from featurebase_provider.stores.shared.refusals import changed_since, refuses
from featurebase_provider.stores.shared.text import bare_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response, Session

    from featurebase_provider.stores.http.request import HttpCheck, HttpRead, HttpRequest, HttpWrite
    from featurebase_provider.stores.shared.text import SecretText

_MAX_BYTES = 1024 * 1024
_TRIAL_MARK = StoreMark("000000000000000000000000", "sha256:0", "trial")


@dataclass(frozen=True, slots=True)
class _Found:
    """What a read found: the version to name in the write, whether there is a value, and its text."""

    version: str = field(repr=False)  # some services take the value itself for it
    exists: bool
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes


_CERTIFICATE_ADVICE = (
    "Check the certificate of the connection's host; for authorities of your own have REQUESTS_CA_BUNDLE name them on "
    "every worker. A retry reads it before it writes"
)


class HttpValue(ArmedStore):
    """Sends the configured requests.

    :param name: the store's name, for messages.
    :param session: with the connection's credentials, TLS settings and headers.
    :param base_url: the connection's.
    :param read: reads the value back; None if nothing does.
    :param check: shows whether the write would succeed, and changes nothing; None if there is none.
    :param text: how the value holds the secret, and whether it may be made.
    :param timeout: seconds that one request may take.
    """

    def __init__(
        self,
        name: str,
        session: Session,
        base_url: str,
        *,
        write: HttpWrite,
        read: HttpRead | None,
        check: HttpCheck | None,
        text: SecretText,
        timeout: float,
    ) -> None:
        super().__init__(name)
        self._session, self._base_url = session, base_url.rstrip("/")
        self._write, self._read, self._check, self._timeout = write, read, check, timeout
        self._value = text
        wanted = {"accepted": write.accepted}
        if read is not None:
            wanted |= {"current": read.current, "previous": read.previous, "version": read.version}
        self._paths = {name: self._path(name, text) for name, text in wanted.items() if text}

    def close(self) -> None:
        """Close the connections to the service."""
        self._session.close()

    def prove_writable(self) -> Writability:
        """Read the value, make up the write without sending it, and send ``check`` where there is one."""
        held = self.read()
        for pair in self.trials(held, keeps_previous=self._keeps_previous):
            self._request(pair, self._found(held), _TRIAL_MARK)
        if self._check is not None:
            self._expect_success(self._send(self._check, "checked"), "checked")
            if self._check.proves_write:
                return Writability(True, "the configured check succeeded")
            return Writability(
                False,
                "the configured check succeeded, which shows that host, url and credentials are right; whether the "
                "service would accept the write is not provable",
            )
        if not held.readable:
            return Writability(False, "nothing was sent: neither read nor check is described")
        return Writability(
            False,
            "the service answered the read; that it would accept the write is not proven, as no check is described",
        )

    def read(self) -> StoredValue:
        """Send the configured read; without one the store is not readable."""
        read = self._read
        if read is None:
            return StoredValue(None, readable=False)
        answer = self._send(read, "read")
        if read.absent_status is not None and answer.status == read.absent_status:
            return self._value.stored(None, exists=False, version=_Found("", False))
        self._expect_success(answer, "read")
        document = self._json(answer)
        current, previous = self._text(document, "current"), self._text(document, "previous")
        if current is None and read.absent_status is not None:
            raise StoreRefused(
                self.name,
                "the answer shows nothing at the JSONPath read.current; nothing was changed",
                "Correct the path, or leave out absent_status if that means that there is no value",
            )
        version = answer.headers.get(read.version_header, "") if read.version_header else ""
        if "version" in self._paths and (matches := self._matches(document, "version")):
            version = str(matches[0])
        found = _Found(version, current is not None or bool(version), current)
        stored = self._value.stored(current, exists=found.exists, version=found)
        if "previous" not in self._paths:
            return stored
        return replace(stored, previous=bare_secret(self.name, previous, "the value at read.previous"))

    def look_again(self, held: StoredValue) -> None:
        """Send the configured read, unless the service compares.

        It does if the write names a version: of the current secret, not of one that lies beside it.
        """
        if not held.readable or ("version" in self._write.used and "previous" not in self._paths):
            return
        now = self.read()
        if (self._found(now).text, now.previous) != (self._found(held).text, held.previous):
            raise self._conflict()

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Send the configured write; what is there already is not written again."""
        found = self._found(held)
        previous = pair.previous if self._keeps_previous else None
        if held.readable and held.current == pair.current and held.previous == previous:
            return
        url, headers, body = self._request(pair, found, mark)
        answer = self._exchange(self._write.method, url, headers, body, "written")
        if answer.status in {409, 412}:
            raise self._conflict()
        self._expect_success(answer, "written")
        if "accepted" in self._paths:
            matches = self._matches(self._json(answer), "accepted")
            if not matches or any(match is not True for match in matches):
                raise self._conflict()

    @property
    def _keeps_previous(self) -> bool:
        return "previous" in self._paths or self._value.keeps_previous

    def _found(self, held: StoredValue) -> _Found:
        return held.version if isinstance(held.version, _Found) else _Found("", True)

    def _conflict(self) -> StoreConflict:
        return changed_since(self.name, "the value")

    def _request(self, pair: SecretPair, found: _Found, mark: StoreMark) -> tuple[str, dict[str, str], str | None]:
        values = {
            "secret": self._value.edited(found.text, pair, exists=found.exists),
            "previous": pair.previous.reveal() if pair.previous else "",
            "webhook_id": mark.webhook_id,
            "version": found.version,
        }
        if found.text and found.version == found.text and "version" in names_in(self._write.url, OF_A_WRITE):
            raise StoreRefused(
                self.name,
                "the service shows the value itself as its version, and url would send it; nothing was changed",
                "Take another version, or put {{ version }} into the body: servers and proxies log a url",
            )
        try:
            return self._write.filled(values)
        except ValueError as error:
            raise StoreRefused(self.name, f"{error}; nothing was changed") from None

    def _send(self, request: HttpRequest, done: str) -> _Answer:
        headers = {name: rendered(text, {}) for name, text in request.headers.items()}
        body = rendered(request.body, {}) if request.body is not None else None
        return self._exchange(request.method, rendered(request.url, {}), headers, body, done)

    def _exchange(self, method: str, url: str, headers: dict[str, str], body: str | None, done: str) -> _Answer:
        given = {name: text for name, text in headers.items() if text}
        if body is not None and "content-type" not in {name.lower() for name in given}:
            given["Content-Type"] = "application/json"
        try:
            with self._session.request(
                method,
                self._base_url + url,
                headers=given,
                data=body.encode() if body is not None else None,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _Answer(response.status_code, response.headers, self._content(response))
        except RequestException as error:
            raise StoreUnreachable(
                self.name,
                f"the value could not be {done} ({type(error).__name__})",
                _CERTIFICATE_ADVICE if isinstance(error, SSLError) else "",
            ) from None  # a client's text may quote the request

    def _content(self, response: Response) -> bytes:
        data = b""
        for part in response.iter_content(65536):
            data += part
            if len(data) > _MAX_BYTES:
                raise StoreRefused(self.name, f"the service's answer has more than {_MAX_BYTES} bytes")
        return data

    def _expect_success(self, answer: _Answer, done: str) -> None:
        status = answer.status
        if 200 <= status < 300:
            return
        if status < 400:
            raise StoreRefused(
                self.name,
                f"the service answered {status}, a redirect, and none is followed; the value can't be taken for {done}",
                "Correct the connection's host, or url, to where the redirect leads",
            )
        said = f"the value could not be {done}: the service answered {status}"
        if not refuses(status):
            raise StoreUnreachable(self.name, said)
        raise StoreRefused(self.name, f"{said}; nothing was changed", "Check url and credentials")

    def _json(self, answer: _Answer) -> Any:
        try:
            return json.loads(answer.data)
        except (ValueError, RecursionError):  # the error carries the whole text
            raise StoreUnreachable(
                self.name, f"the service's answer ({answer.status}) is no JSON", "Check the connection's host"
            ) from None

    def _path(self, name: str, text: str) -> Any:
        try:
            return parse(text)
        except Exception as error:  # noqa: BLE001  jsonpath-ng raises a bare Exception too
            raise StoreUnusable(
                self.name, f"the JSONPath of {name} cannot be understood ({type(error).__name__})", "Correct it"
            ) from None

    def _matches(self, document: Any, name: str) -> list[Any]:
        with suppress(TypeError, KeyError, IndexError, AttributeError):  # the document is of another shape
            return [match.value for match in self._paths[name].find(document)]
        return []

    def _text(self, document: Any, name: str) -> str | None:
        matches = self._matches(document, name) if name in self._paths else []
        matches = [match for match in matches if match is not None]
        if len(matches) > 1:
            raise StoreRefused(self.name, f"the JSONPath read.{name} finds {len(matches)} values, not one")
        if not matches:
            return None
        if not isinstance(matches[0], str):
            raise StoreRefused(self.name, f"at the JSONPath read.{name} lies a {type(matches[0]).__name__}, not a text")
        if self._read is None or not self._read.base64:
            return matches[0]
        try:
            return base64.b64decode(matches[0], validate=True).decode()
        except ValueError:  # it carries the bytes
            raise StoreRefused(
                self.name, f"at the JSONPath read.{name} lies no text in base64; nothing was changed"
            ) from None
