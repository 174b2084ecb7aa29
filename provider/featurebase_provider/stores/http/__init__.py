"""The store type ``http``: a value behind any REST API, written and read by requests that the user describes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.http.templates import check_json, names_in, rendered, samples
from featurebase_provider.stores.shared.connection import check_encrypted, hook_errors

if TYPE_CHECKING:
    from requests import PreparedRequest

    from featurebase_provider.stores.http.armed import HttpValue

_OF_A_WRITE = frozenset({"secret", "previous", "webhook_id", "version"})
_CREDENTIAL = re.compile(r"authorization|cookie|token|api-?key|passw|secret|credential", re.IGNORECASE)
_TRANSPORT = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def leads_up(url: str) -> bool:
    """Whether a path has a ``..`` in it, be it spelled ``%2e%2e``: requests takes it for what it means."""
    return ".." in unquote(url.partition("?")[0]).split("/")


def _url(value: str) -> str:
    path = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "x", value)
    if not re.fullmatch(r"/(?!/)[^\s#\\\x00-\x1f\x7f{}]*", path) or leads_up(path):
        raise ValueError("write the path (and query) behind the connection's host, such as /v1/kv/apps/feedback")
    if "secret" in names_in(value, _OF_A_WRITE) or "previous" in names_in(value, _OF_A_WRITE):
        raise ValueError("no secret in a url: servers and proxies log it; put it into the body or a header")
    names_in(value, frozenset({"version"}))
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() in _TRANSPORT:
            raise ValueError(f"{name!r} is no header that can be set here")
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"the header {name} has characters that a header cannot have")
        if not names_in(text, _OF_A_WRITE) & {"secret", "previous"} and _CREDENTIAL.search(name):
            raise ValueError(f"{name} is a credential: put it into the connection's extra, as a header of that name")
    return value


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """Without a login of the session's own, requests would put one from ``.netrc`` over the connection's header."""
    return request


def _json_path(value: str) -> str:
    if not value.startswith("$"):
        raise ValueError("a JSONPath starts with $, such as $.data.value")
    return value


Url = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_url)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
JsonPath = Annotated[str, Field(max_length=500), AfterValidator(_json_path)]


class HttpRequest(BaseModel):
    """A request that carries no secret and changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH"] = Field("GET", description="The HTTP method.")
    url: Url = Field(description="Path and query behind the connection's host.")
    headers: Headers = Field({}, description="Headers beside those of the connection.")
    body: Annotated[str, Field(max_length=100_000)] | None = Field(None, description="The body.")

    @model_validator(mode="after")
    def _check_templates(self) -> HttpRequest:
        for text in (self.url, self.body or "", *self.headers.values()):
            names_in(text, frozenset())
            rendered(text, {})
        return self


class HttpRead(HttpRequest):
    """How the value is read back, and where the answer, which is JSON, shows it."""

    current: JsonPath = Field(description="JSONPath of the secret.")
    previous: JsonPath | None = Field(None, description="JSONPath of the previous secret.")
    version: JsonPath | None = Field(None, description="JSONPath of what `{{ version }}` stands for in the write.")
    version_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = Field(
        None, description="Header of the answer that `{{ version }}` stands for, such as ETag."
    )
    base64: bool = Field(False, description="Whether the answer shows the values in base64.")
    absent_status: Annotated[int, Field(ge=400, le=499)] | None = Field(
        None,
        description="Status that says that there is no value yet, such as 404. If left out, it is a JSON answer in "
        "which `current` finds nothing.",
    )

    @model_validator(mode="after")
    def _check_version(self) -> HttpRead:
        if self.version and self.version_header:
            raise ValueError("set version or version_header, not both")
        if self.absent_status in {401, 403, 407, 408, 429}:
            raise ValueError(
                f"the status {self.absent_status} says that the service refused, not that nothing is there"
            )
        return self


class HttpStore(StoreConfig):
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
    :param check: a request that succeeds only if the write would, and changes nothing; null if there is none.
    :param create: whether a missing value is created.
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
    check: HttpRequest | None = None
    create: bool = False

    @model_validator(mode="after")
    def _check_together(self) -> HttpStore:
        if "secret" not in self.used:
            raise ValueError("neither body nor headers have {{ secret }} in them")
        for text in (self.url, self.body or "", *self.headers.values()):
            for values in samples():
                rendered(text, values)
        if self.body and "json" in self.content_type:
            check_json(self.body)
        if self.read is None:
            if not self.adopt:
                raise ValueError(
                    "without read nobody can tell whose value is replaced: describe read, or say adopt: true"
                )
            if self.used & {"previous", "version"}:
                raise ValueError("{{ previous }} and {{ version }} come from read, which is not described")
            return self
        if ("previous" in self.used) != (self.read.previous is not None):
            raise ValueError("{{ previous }} in the body and previous under read belong together: write both or none")
        if "version" in self.used and not (self.read.version or self.read.version_header):
            raise ValueError("{{ version }} needs version or version_header under read")
        return self

    @property
    def used(self) -> frozenset[str]:
        """The variables that the write uses."""
        texts = (self.url, self.body or "", *self.headers.values())
        return frozenset().union(*(names_in(text, _OF_A_WRITE) for text in texts))

    @property
    def content_type(self) -> str:
        """The body's media type."""
        given = {name.lower(): text for name, text in self.headers.items()}
        return given.get("content-type", "application/json").lower()

    @property
    def target(self) -> str:
        """The write's path, with the connection as user and the item as fragment."""
        path, mark, query = self.url.partition("?")
        fixed = "" if "{{" in query or "{%" in query else mark + query
        return f"http://{self.conn_id}@{path}{fixed}" + (f"#{self.item}" if self.item else "")

    @property
    def previous_target(self) -> str | None:
        """The target, with the JSONPath of the previous secret as one more fragment; None if the write has none."""
        return f"{self.target}#{self.read.previous}" if self.read and self.read.previous else None

    def arm(self) -> HttpValue:
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
            if session.auth is None:
                session.auth = _as_it_is
            # Plain http is for loopback: through a proxy the secret would leave this machine in the clear.
            session.trust_env = not hook.base_url.lower().startswith("http:")
            return HttpValue(self, session, hook.base_url)
