"""The sandbox's errors, and the response to a refused call of its API.

FeaturebaseError
├── CallRefused        answered to the client as Featurebase's error body
└── SandboxUnusable    the sandbox or the sample receiver cannot start as asked
"""

from __future__ import annotations

from typing import Any, ClassVar

from featurebase_provider.featurebase.errors import FeaturebaseError

_TYPE_FOR_STATUS = {401: "authentication_error", 403: "authorization_error", 429: "rate_limit_error"}


def error_type_for(status: int) -> str:
    """Featurebase's error type for an HTTP status (its API reference, "Errors")."""
    return "api_error" if status >= 500 else _TYPE_FOR_STATUS.get(status, "invalid_request_error")


class CallRefused(FeaturebaseError):
    """A call that the API refuses; nothing was changed.

    :param status: HTTP status of the response, 400 or more.
    :param code: machine-readable reason. Featurebase documents no list of them: these are the sandbox's own.
    :param message: the reason in words; quotes no header value and no secret.
    :param param: the request field, query parameter or header at fault.
    """

    retry_helps = False

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(status, code, message, param)
        self.status, self.code, self.message, self.param = status, code, message, param

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """The response's JSON body, as in the API reference."""
        return {
            "error": {
                "type": error_type_for(self.status),
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "status": self.status,
            }
        }


class SandboxUnusable(FeaturebaseError):
    """The sandbox or the receiver cannot start; ``problem`` says why and what to change."""

    retry_helps: ClassVar[bool] = False

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem
