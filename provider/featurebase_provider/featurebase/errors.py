"""The one exception family of this provider, and its part that the Featurebase API causes.

FeaturebaseError
├── SettingsInvalid            the connection is missing or invalid              do not retry
├── SettingsUnknown            Airflow could not be asked for the connection     retry
├── SignatureRejected          a delivery's signature or timestamp is wrong      do not retry
├── ApiError                   a call to the Featurebase API did not succeed
│   ├── InvalidRequest         400, 409, 422 and other 4xx; or never sent        do not retry
│   │   └── WebhookNotFound    404, 410                                          do not retry
│   ├── AuthenticationFailed   401: the API key is wrong                         do not retry
│   ├── PermissionDenied       403                                               do not retry
│   ├── RateLimited            429                                               retry
│   ├── ApiUnavailable         408 and 5xx                                       retry
│   ├── UnexpectedAnswer       not JSON, truncated, wrong type, a redirect       retry
│   └── ApiUnreachable         no answer at all                                  retry
│       └── CertificateRefused the server's certificate can't be verified        retry
├── RotationError              (``rotation.errors``) a rotation failed
├── EmergencyNotDone           (``rotation.errors``) an emergency run has not done everything
├── StoreError                 (``rotation.errors``) a config store failed
├── NotConnected               (``triggers.shared_reads``) a triggerer can't use the connection
├── UnknownStoreType           (``stores.plug_ins``) no store type has this name
├── StorePluginBroken          (``stores.plug_ins``) a plug-in's store type can't be used
└── ConfigError                (``config``) the rotation file is wrong

Facts are kept in ``args``, so that an error survives pickling between processes; the words are made
in ``__str__``. No error ever holds a secret, an ``Authorization`` header or a response body.
"""

from __future__ import annotations

from typing import ClassVar

CERTIFICATE_ADVICE = (
    "for authorities of your own have SSL_CERT_FILE (a file) or SSL_CERT_DIR (a folder) name them, on every worker and "
    "triggerer; REQUESTS_CA_BUNDLE does not count here"
)


class FeaturebaseError(Exception):
    """Base class of this provider's errors."""

    retry_helps: ClassVar[bool] = True
    """Whether running the same task again, with nothing else changed, can succeed."""


class SettingsInvalid(FeaturebaseError):
    """The Airflow connection is missing, or its settings (or the arguments) are invalid."""

    retry_helps = False

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class SettingsUnknown(FeaturebaseError):
    """Airflow could not be asked for the connection; it may or may not exist."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class SignatureRejected(FeaturebaseError):
    """A delivery could not be verified; ``reason`` says which check failed."""

    retry_helps = False

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"delivery refused: {self.reason}"


class ApiError(FeaturebaseError):
    """A call to the Featurebase API that did not succeed.

    :param method: HTTP method of the call.
    :param path: path of the call, without host and query.
    :param status: HTTP status, or None when no answer came.
    :param type: Featurebase's error type (``error.type``), or None when the body did not say.
    :param code: Featurebase's error code (``error.code``), or None.
    :param detail: what went wrong, shortened and without control characters or secrets.
    :param param: the request parameter at fault (``error.param``), or None.
    :param retry_after: seconds to wait before another try, where the response said so.
    """

    _to_do: str = ""
    _refused: ClassVar[bool] = True
    """Whether an error of this kind means that Featurebase did not carry out the call."""

    state: str = "Nothing was changed"
    """What state things are in if the call had no effect; a task that knows more overrides it."""

    def __init__(
        self,
        method: str,
        path: str,
        status: int | None,
        type: str | None = None,
        code: str | None = None,
        detail: str = "",
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(method, path, status, type, code, detail, param, retry_after)
        self.method, self.path, self.status = method, path, status
        self.type, self.code, self.detail, self.param = type, code, detail, param
        self.retry_after = retry_after

    @property
    def outcome_known(self) -> bool:
        """False if a write may have been carried out despite this error."""
        refused = self._refused and (self.status is None or (self.status < 500 and self.status != 408))
        return self.method == "GET" or refused

    @property
    def to_do(self) -> str:
        """What to do, as a sentence; may be empty."""
        return f"{self._to_do[0].upper()}{self._to_do[1:]}." if self._to_do else ""

    @property
    def advice(self) -> str:
        """What state things are in now, and what to do."""
        if self.outcome_known:
            return f"{self.state}; {self._to_do}." if self._to_do else ""
        return "The call may still have taken effect: read the webhook before sending the call again."

    @property
    def summary(self) -> str:
        """What happened, without advice and without a full stop, for use inside longer messages."""
        text = self._event()
        facts = ", ".join(
            f"{name} {value}"
            for name, value in (("type", self.type), ("code", self.code), ("param", self.param))
            if value
        )
        if facts:
            text += f" ({facts})"
        if self.detail:
            text += f": {self.detail.rstrip('.')}"
        if self.retry_after is not None:
            text += f"; it asks to wait {self.retry_after:.0f} s"
        return text

    def __str__(self) -> str:
        return f"{self.summary}. {self.advice}" if self.advice else self.summary

    def _event(self) -> str:
        answer = "gave no answer" if self.status is None else f"answered {self.status}"
        return f"Featurebase {answer} to {self.method} {self.path}"


class InvalidRequest(ApiError):
    """Featurebase rejected the request, or (``status`` None) it is invalid and was never sent."""

    retry_helps = False
    _to_do = "the same request will fail again: check the rotation file, and the connection's base URL and API version"

    def _event(self) -> str:
        return f"{self.method} {self.path} was not sent" if self.status is None else super()._event()


class WebhookNotFound(InvalidRequest):
    """The webhook does not exist in Featurebase, or no longer does."""

    _to_do = (
        "check the webhook's id, and that the API key belongs to its workspace. If the webhook was deleted, remove it "
        "from the rotation file"
    )

    def advise_if_deleted(self, what: str) -> None:
        """Say what to do if the webhook was deleted, where that is not to remove it from the rotation file.

        :param what: the end of a sentence.
        """
        self._to_do = f"{WebhookNotFound._to_do.rpartition(', ')[0]}, {what}"


class AuthenticationFailed(ApiError):
    """The API key was not accepted."""

    retry_helps = False
    _to_do = "check the API key in the connection's password field"


class PermissionDenied(ApiError):
    """The API key or the workspace's plan does not allow the call."""

    retry_helps = False
    _to_do = "check that the API key belongs to the right workspace and that the workspace's plan includes webhooks"


class RateLimited(ApiError):
    """The rate limit of the workspace or the API key was reached."""

    _to_do = "a retry is safe"


class ApiUnavailable(ApiError):
    """Featurebase timed out or failed on its side; a write may still have taken effect."""

    _refused = False
    _to_do = "a retry is safe"


class UnexpectedAnswer(ApiError):
    """The response is not what the API documents; a write may still have taken effect.

    ``body_broken`` is True if the body is incomplete or not JSON, so that another try may succeed. It is False if
    the response is complete but not what was asked for.
    """

    _refused = False
    _to_do = "check the connection's base URL and API version; a retry is safe"

    def __init__(
        self,
        method: str,
        path: str,
        status: int | None,
        type: str | None = None,
        code: str | None = None,
        detail: str = "",
        param: str | None = None,
        retry_after: float | None = None,
        body_broken: bool = False,
    ) -> None:
        super().__init__(method, path, status, type, code, detail, param, retry_after)
        self.args = (*self.args, body_broken)
        self.body_broken = body_broken


class ApiUnreachable(ApiError):
    """No response came: the connection could not be made, broke, or timed out.

    ``was_sent`` is False only if the request was certainly never sent (the connection itself failed).
    """

    _refused = False
    _to_do = "check the network and the connection's base URL; a retry is safe"

    def __init__(
        self,
        method: str,
        path: str,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        detail: str = "",
        param: str | None = None,
        retry_after: float | None = None,
        was_sent: bool = True,
    ) -> None:
        super().__init__(method, path, status, type, code, detail, param, retry_after)
        self.args = (*self.args, was_sent)
        self.was_sent = was_sent

    @property
    def outcome_known(self) -> bool:
        """True if the request was never sent, and for reads."""
        return not self.was_sent or super().outcome_known

    def _event(self) -> str:
        return super()._event() if self.was_sent else f"{self.method} {self.path} could not be sent"


class CertificateRefused(ApiUnreachable):
    """The server's TLS certificate could not be verified, so nothing was sent."""

    _to_do = f"check the connection's base URL; {CERTIFICATE_ADVICE}"
