"""Calls to AWS whose errors are ours: refused, unreachable or in conflict, and never in boto3's own words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.stores.shared.refusals import refuses

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

log = logging.getLogger(__name__)

_TRY_AGAIN = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalServerError",
    "InternalServiceError",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ParamValidationError"}


def code_of(error: Exception) -> str:
    """AWS's error code, or the name of the client's error."""
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", "")).rpartition("#")[2]
    return code if code.isalnum() else error.__class__.__name__


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _status_of(error: Exception) -> int | None:
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def translated(error: Exception, store: str, done: str, *, advice: str = "") -> StoreError:
    """Say in our words what boto3 ran into; never in its own, which may quote the request.

    :param done: what could not be done to the secret: ``read``, ``written``.
    """
    code = code_of(error)
    said = f"it could not be {done} ({code})"
    if code == "TooManyUpdates":
        return StoreConflict(store, "somebody else is writing it at this moment; it was left as it is")
    if (refuses(_status_of(error)) and code not in _TRY_AGAIN) or code in _NO_CREDENTIALS:
        return StoreRefused(
            store,
            f"{said}; nothing was changed",
            advice or "Check region, name, KMS key, and what the connection's identity may do",
        )
    return StoreUnreachable(store, said)


class AwsCalls:
    """The calls of one client, with every error of boto3 made one of ours.

    :param store: the store's name, for messages.
    :param client: boto3's client, authenticated.
    :param advice: what to do about a refusal.
    """

    def __init__(self, store: str, client: Any, *, advice: str) -> None:
        self._store, self._client, self._advice = store, client, advice

    def close(self) -> None:
        """Close the client's connections; a later call opens new ones."""
        self._client.close()

    def ask(self, operation: str, done: str, **request: Any) -> dict[str, Any]:
        """Make one call.

        :param done: what could not be done if it fails: ``read``, ``written``.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**request)
        except (BotoCoreError, ClientError) as error:
            raise translated(error, self._store, done, advice=self._advice) from None
        return answer

    def ask_unless(self, codes: Collection[str], operation: str, done: str, **request: Any) -> dict[str, Any] | None:
        """Make one call; None if AWS answers with one of these error codes."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**request)
        except (BotoCoreError, ClientError) as error:
            if code_of(error) in codes:
                return None
            raise translated(error, self._store, done, advice=self._advice) from None
        return answer

    def attempt(self, operation: str, **request: Any) -> None:
        """Make a call that has no effect: only a missing permission or an outage matters, not what AWS thinks of it."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            getattr(self._client, operation)(**request)
        except (BotoCoreError, ClientError) as error:
            failure = translated(error, self._store, f"proven writable: {operation}", advice=self._advice)
            made_no_sense = isinstance(failure, StoreRefused) and isinstance(error, ClientError)
            if not made_no_sense or code_of(error) in _DENIED or _status_of(error) == 403:
                raise failure from None

    def follow_up(self, operation: str, undone: str, **request: Any) -> None:
        """Make a call after a write that stands without it: its failure is logged, with what is left undone."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            getattr(self._client, operation)(**request)
        except (BotoCoreError, ClientError) as error:
            log.warning("store %s: %s (%s)", self._store, undone, code_of(error))
