"""The store type ``http``: a value behind any REST API, written and read by requests that the user describes."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from featurebase_provider.stores.http.base_url import check_base_url
from featurebase_provider.stores.http.request import Headers, HttpCheck, HttpRead, HttpWrite, JsonPath, Url
from featurebase_provider.stores.http.templates import check_json, rendered, samples
from featurebase_provider.stores.shared.connection import check_encrypted, hook_errors
from featurebase_provider.stores.shared.entry import EntryStore

if TYPE_CHECKING:
    from requests import PreparedRequest

    from featurebase_provider.stores.http.armed import HttpValue


def _as_it_is(request: "PreparedRequest") -> "PreparedRequest":
    """Without a login of the session's own, requests would put one from ``.netrc`` over the connection's header."""
    return request


class HttpStore(EntryStore):
    """The signing secret as a value behind a REST API.

    ``url``, ``headers`` and ``body`` are templates: ``{{ secret }}``, ``{{ previous }}`` (empty if there is none),
    ``{{ webhook_id }}`` and ``{{ version }}`` (empty if there is no value yet), with the filters ``tojson``,
    ``b64encode`` and ``urlencode``. A write that names the version it replaces is conditional; otherwise the value
    is compared just before, and a writer in that instant is overwritten.

    :param conn_id: Airflow connection of type ``http``: host, login and password, headers in its extra.
    :param item: names the value where the url does not, such as a key in the body; part of the target.
    :param method: HTTP method of the write.
    :param url: path and query behind the connection's host; may use ``{{ version }}``, never a secret.
    :param headers: headers beside those of the connection; one that comes out empty is not sent.
    :param body: the body, JSON unless a Content-Type header says otherwise.
    :param accepted: JSONPath that must be true in the write's answer; if not, somebody else wrote in between.
    :param read: the request that reads the value back; null if there is none, which needs ``adopt: true``.
    :param check: a request that changes nothing, and succeeds only if the write would; null if there is none.
    :param format: ``raw`` (nothing but the secret), or the format of the text that the value is: ``{{ secret }}`` then
        is that text, with the secret in it.
    :param entry: where the secret lies in that text.
    :param previous_entry: where the previous secret lies in that text.
    :param create: whether a missing value is created, and a missing entry added.
    """

    type: Literal["http"] = "http"
    conn_id: Annotated[str, Field(min_length=1, max_length=200)] = "http_default"
    item: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./:@-]{1,200}$")] | None = None
    method: Literal["POST", "PUT", "PATCH"] = "PUT"
    url: Url
    headers: Headers = {}
    body: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    accepted: JsonPath | None = None
    read: HttpRead | None = None
    check: HttpCheck | None = None
    create: bool = False

    @model_validator(mode="after")
    def _check_together(self) -> "HttpStore":
        used = self.write.used
        if "secret" not in used:
            raise ValueError("neither body nor headers have {{ secret }} in them")
        for text in (self.url, self.body or "", *self.headers.values()):
            for values in samples():
                rendered(text, values)
        if self.body and self.write.has_json_body:
            check_json(self.body)
        if self.read is None:
            if not self.adopt:
                raise ValueError(
                    "without read nobody can tell whose value is replaced: describe read, or say adopt: true"
                )
            if used & {"previous", "version"}:
                raise ValueError("{{ previous }} and {{ version }} come from read, which is not described")
            return self
        if ("previous" in used) != (self.read.previous is not None):
            raise ValueError("{{ previous }} in the body and previous under read belong together: write both or none")
        if "version" in used and not (self.read.version or self.read.version_header):
            raise ValueError("{{ version }} needs version or version_header under read")
        return self

    @model_validator(mode="after")
    def _check_entry(self) -> "HttpStore":
        if self.entry and self.read is None:
            raise ValueError("entry needs read: without it nobody can tell what else the text holds")
        if self.entry and "previous" in self.write.used:
            raise ValueError("with entry, the previous secret lies in the same text: name its previous_entry")
        return self

    @property
    def write(self) -> HttpWrite:
        """The request that writes the value."""
        return HttpWrite(self.method, self.url, self.headers, self.body, self.accepted)

    @property
    def target(self) -> str:
        """The write's path, with the connection as user, and item and entry as fragments."""
        return self.entry_in(self._place)

    @property
    def _place(self) -> str:
        path, mark, query = self.url.partition("?")
        fixed = "" if "{{" in query or "{%" in query else mark + query
        return f"http://{self.conn_id}@{path}{fixed}" + (f"#{self.item}" if self.item else "")

    @property
    def _missing(self) -> str:
        status = self.read.absent_status if self.read else None
        return "there is no value yet" + (f": the service answered {status} to the read" if status else "")

    @property
    def previous_target(self) -> str | None:
        """The value, with ``previous_entry`` or the JSONPath of the previous secret as one more fragment."""
        if self.read and self.read.previous:
            return f"{self.target}#{self.read.previous}"
        return self.previous_entry_in(self._place)

    @property
    def how_to_keep_previous(self) -> str:
        """A text with the secret in an entry keeps it there; otherwise the service must keep a second value."""
        return "previous_entry" if self.entry else "{{ previous }} in the body, and previous under read"

    @property
    def readable(self) -> bool:
        """Whether ``read`` is described."""
        return self.read is not None

    def arm(self) -> "HttpValue":
        """Fetch the connection and build the session; no request is sent.

        :raises StoreUnusable: the hook, jsonpath-ng or the connection is missing, a JSONPath is wrong, or the
            connection leads to plain http.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id, extra="http"):
            from airflow.providers.http.hooks.http import HttpHook

            from featurebase_provider.stores.http.armed import HttpValue

            hook = HttpHook(http_conn_id=self.conn_id)
            session = hook.get_conn()
            if isinstance(session.cert, list):  # as JSON has it; requests wants a pair
                session.cert = tuple(session.cert)
            advice = "Set the connection's host to an https:// URL"
            check_encrypted(self.full_name, hook.base_url, advice=advice)
            check_base_url(
                self.full_name, hook.base_url, [self.url, *(one.url for one in (self.read, self.check) if one)]
            )
            if session.auth is None:
                session.auth = _as_it_is
            # Plain http is for loopback: through a proxy the secret would leave this machine in the clear.
            session.trust_env = not hook.base_url.lower().startswith("http:")
            return HttpValue(
                self.full_name,
                session,
                hook.base_url,
                write=self.write,
                read=self.read,
                check=self.check,
                text=self.entry_text(create=self.create, missing=self._missing),
                timeout=self.timeout,
            )
