"""What a request to a REST API is described by, and what may stand in it; parsed with the configuration."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import json
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from featurebase_provider.stores.http.templates import names_in, rendered

OF_A_WRITE = frozenset({"secret", "previous", "webhook_id", "version"})

_CREDENTIAL = re.compile(r"authorization|cookie|token|api-?key|passw|secret|credential", re.IGNORECASE)

_TRANSPORT = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def leads_up(url: str) -> bool:
    """Whether a path has a ``..`` in it, be it spelled ``%2e%2e``: requests takes it for what it means."""
    return ".." in unquote(url.partition("?")[0]).split("/")


def _url(value: str) -> str:
    path = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "x", value)
    if not re.fullmatch(r"/(?!/)[^\s#\\\x00-\x1f\x7f{}]*", path) or leads_up(path):
        raise ValueError("write the path (and query) behind the connection's host, such as /v1/kv/apps/feedback")
    if "secret" in names_in(value, OF_A_WRITE) or "previous" in names_in(value, OF_A_WRITE):
        raise ValueError("no secret in a url: servers and proxies log it; put it into the body or a header")
    names_in(value, frozenset({"version"}))
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() in _TRANSPORT:
            raise ValueError(f"{name!r} is no header that can be set here")
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"the header {name} has characters that a header cannot have")
        if not names_in(text, OF_A_WRITE) & {"secret", "previous"} and _CREDENTIAL.search(name):
            raise ValueError(f"{name} is a credential: put it into the connection's extra, as a header of that name")
    return value


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
    def _check_templates(self) -> "HttpRequest":
        for text in (self.url, self.body or "", *self.headers.values()):
            names_in(text, frozenset())
            rendered(text, {})
        return self


class HttpCheck(HttpRequest):
    """A request that shows before the refresh whether the write would be accepted, or something of it."""

    proves_write: bool = Field(
        True,
        description="Whether it succeeds only if the write would. False: it shows no more than that host, url and "
        "credentials are right.",
    )


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
    def _check_version(self) -> "HttpRead":
        if self.version and self.version_header:
            raise ValueError("set version or version_header, not both")
        if self.absent_status in {401, 403, 407, 408, 429}:
            raise ValueError(
                f"the status {self.absent_status} says that the service refused, not that nothing is there"
            )
        return self


@dataclass(frozen=True, slots=True)
class HttpWrite:
    """The request that writes the value.

    :param accepted: JSONPath that must be true in the answer; if not, somebody else wrote in between.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    accepted: str | None

    @property
    def has_json_body(self) -> bool:
        """Whether the body is JSON, which it is unless a Content-Type header says otherwise."""
        given = {name.lower(): text.lower() for name, text in self.headers.items()}
        return self.body is not None and "json" in given.get("content-type", "application/json")

    @property
    def used(self) -> frozenset[str]:
        """The variables that it uses."""
        texts = (self.url, self.body or "", *self.headers.values())
        return frozenset().union(*(names_in(text, OF_A_WRITE) for text in texts))

    def filled(self, values: dict[str, str]) -> tuple[str, dict[str, str], str | None]:
        """Url, headers and body with these values in them.

        :raises ValueError: they can't be filled in, or what comes out may not be sent; the text quotes no value.
        """
        url = rendered(self.url, {"version": quote(values["version"], safe="")})
        headers = {name: rendered(text, values) for name, text in self.headers.items()}
        body = rendered(self.body, values) if self.body is not None else None
        if leads_up(url):
            raise ValueError("the service's version would lead to another path")
        if not all(text.isascii() and text.isprintable() for text in headers.values()):
            raise ValueError("a header would have characters that headers cannot have")
        if body is not None and self.has_json_body:
            _check_json(body)
        return url, headers, body


def _check_json(body: str) -> None:
    try:
        json.loads(body)
    except (ValueError, RecursionError):  # the error carries the whole text
        raise ValueError("filled in with what the service holds, the body would be no valid JSON") from None
