"""Models of the responses of the Featurebase API's webhook endpoints.

Unknown fields, topics and statuses are accepted: Featurebase adds them within a version. Only a webhook's id and
secret must be valid, since after a refresh the new secret must reach the stores whatever else the response holds. A
field that can't be read counts as unknown. Names, descriptions and messages are untrusted text, kept as they came;
escape them when you render them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from featurebase_provider.featurebase.server_clock import CREDIBLE_TIME
from featurebase_provider.featurebase.side_fields import OddField, read_what_can_be
from featurebase_provider.featurebase.signing_secret import SigningSecret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

WEBHOOK_ID_PATTERN = r"^[0-9a-fA-F]{24}$"

ACTIVE = "active"
PAUSED = "paused"
"""By a person, or by Featurebase after delivery failures."""
SUSPENDED = "suspended"
"""By Featurebase after delivery failures."""
UNRECOGNISED = "unrecognised"
"""Replaces a status that is not a plain word: statuses are logged and shown, so they must be safe to show."""

LONGEST_TIMEOUT_MS = 120_000
"""Longest delivery timeout that is accepted, in milliseconds; Featurebase documents at most 30,000."""
LONGEST_SECRET = 4096
"""Most characters of a signing secret."""


class ApiModel(BaseModel):
    """Base class of all response models: a null is the same as a missing field."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}

    def secret_values(self) -> Iterator[str]:
        """Every value of the response that must be masked."""
        return iter(())

    def webhooks(self) -> Iterator[Webhook]:
        """Every webhook in the response."""
        return iter(())


def _none_without_time(value: Any) -> Any:
    """A result without a time is ignored: it can't be attributed to a rotation."""
    return None if isinstance(value, dict) and value.get("timestamp") is None else value


def _signing_secret(value: Any) -> Any:
    # Not left to the type's own schema: that names two alternatives in every error.
    if value == "":
        return None
    if isinstance(value, str):
        if len(value) > LONGEST_SECRET or not value.isprintable() or "\ufffd" in value:  # the mark of a lost character
            raise PydanticCustomError("secret_text", "a signing secret is a short text without control characters")
        return SigningSecret(value)
    raise PydanticCustomError("secret_type", "a signing secret is text")


def _status(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", value) else UNRECOGNISED


def _credible(moment: datetime) -> datetime:
    if int(moment.timestamp()) not in CREDIBLE_TIME:
        raise PydanticCustomError("time", "a time beyond the years that clocks show")
    return moment


def _timeout(milliseconds: int) -> int:
    return min(max(milliseconds, 1), LONGEST_TIMEOUT_MS)


Count = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A number small enough for every reader of the JSON in XCom."""

Time = Annotated[AwareDatetime, AfterValidator(_credible)]


class RequestConfig(ApiModel):
    """How Featurebase sends the webhook's deliveries; header values may be the receiver's credentials."""

    timeout_ms: Annotated[int, AfterValidator(_timeout)] = 5000
    headers: dict[str, SecretStr] = Field(default_factory=dict)


class LastStatus(ApiModel):
    """Result of the latest delivery; ``code`` is None where no HTTP answer came."""

    code: Count | None = None
    message: str = ""
    timestamp: Time


class Health(ApiModel):
    """Delivery figures, reset when the webhook is set active; None is unknown. Response times in milliseconds."""

    last_response_time: float | None = None
    avg_response_time: float | None = None
    last_success_at: Time | None = None
    errors_since_last_success: Count | None = None
    consecutive_failures: Count | None = None


class Webhook(ApiModel):
    """A webhook with its current signing secret; refuses to be pickled.

    ``secret`` is None if the response had none; the API does not document that, but callers must check it. Every other
    field except ``id`` has its default value if it is missing or can't be read (see :attr:`unread`).
    """

    id: str = Field(pattern=WEBHOOK_ID_PATTERN)
    name: str = ""
    description: str | None = None
    url: str = ""
    secret: Annotated[SigningSecret | None, BeforeValidator(_signing_secret)] = None
    topics: tuple[str, ...] = ()
    status: Annotated[str, AfterValidator(_status)] = UNRECOGNISED
    version: str | None = None
    request_config: RequestConfig = Field(default_factory=RequestConfig)
    last_status: Annotated[LastStatus | None, BeforeValidator(_none_without_time)] = None
    health: Health = Field(default_factory=Health)
    created_at: Time | None = None
    updated_at: Time | None = None

    _odd: tuple[OddField, ...] = PrivateAttr(())  # private: no answer can bring it along

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the fields that could not be read, such as ``lastStatus.timestamp``; never their values."""
        return tuple(field.name for field in self._odd)

    def knowing_unread(self, odd: Iterable[OddField]) -> Webhook:
        """The same webhook, with these fields recorded as unreadable."""
        same = self.model_copy()
        same._odd = (*self._odd, *odd)
        return same

    @property
    def fingerprint(self) -> str | None:
        """The signing secret's fingerprint, or None if the response had no secret."""
        return self.secret.fingerprint if self.secret else None

    def secret_values(self) -> Iterator[str]:
        """The signing secret and the values of the request headers, unreadable ones included, empty ones left out."""
        if self.secret:
            yield self.secret.reveal()
        hidden = [*self.request_config.headers.values()]
        for field in self._odd:
            hidden += field.confidential
        yield from filter(None, (value.get_secret_value() for value in hidden))

    def webhooks(self) -> Iterator[Webhook]:
        """The webhook itself."""
        yield self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a webhook holds secrets and must not enter XCom, a trigger or a pickle")

    @model_validator(mode="wrap")
    @classmethod
    def _read_what_can_be(cls, data: Any, handler: ModelWrapValidatorHandler[Webhook]) -> Webhook:
        return _without_odd_fields(data, handler, required=("id", "secret"))


def _listed(data: Any, handler: ValidatorFunctionWrapHandler) -> Webhook:
    """A webhook of a list: an unreadable secret of one webhook must not hide the others."""
    return _without_odd_fields(data, handler, required=("id",))


def _without_odd_fields(data: Any, read: Callable[[Any], Webhook], *, required: tuple[str, ...]) -> Webhook:
    webhook, odd = read_what_can_be(data, read, required=required)
    return webhook.knowing_unread(odd) if odd else webhook


class Page(ApiModel):
    """One page of a list; ``next_cursor`` is None on the last one."""

    next_cursor: str | None = None


class WebhookPage(Page):
    """One page of the webhook list."""

    data: tuple[Annotated[Webhook, WrapValidator(_listed)], ...]

    def webhooks(self) -> Iterator[Webhook]:
        """The webhooks on the page."""
        return iter(self.data)

    def secret_values(self) -> Iterator[str]:
        """The secrets of every webhook on the page."""
        for webhook in self.data:
            yield from webhook.secret_values()


class DeletedWebhook(ApiModel):
    """Confirms a deletion, which cannot be undone."""

    id: str = Field(pattern=WEBHOOK_ID_PATTERN)
    deleted: Literal[True]
