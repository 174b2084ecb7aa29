"""Calls to Google Cloud whose errors are ours: refused, unreachable or in conflict, never in the client's own words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.stores.shared.refusals import refuses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ADVICE = "Check the project, the secret and the connection, and grant the role of docs/stores/gcp_secret_manager.md"


class GcpCalls:
    """The calls of one client. None is repeated: adding a version twice would make two.

    :param store: the store's name, for messages.
    :param client: the vendor's client, authenticated.
    :param timeout: seconds that one call may take.
    """

    def __init__(self, store: str, client: Any, *, timeout: float) -> None:
        self._store, self._client = store, client
        self._options: dict[str, Any] = {"timeout": timeout, "retry": None}

    def close(self) -> None:
        """Close the client's connections."""
        self._client.transport.close()

    def ask(self, failed: str, method: str, /, **request: Any) -> Any:
        """Make one call.

        :param failed: what to say if it fails, with the state that things are in then.
        """
        with self._translated(failed):
            return getattr(self._client, method)(request=request, **self._options)

    def ask_unless(self, codes: Collection[str], failed: str, method: str, /, **request: Any) -> Any:
        """Make one call; None if Google answers with one of these status codes (``NOT_FOUND``)."""
        from google.api_core.exceptions import GoogleAPICallError

        with self._translated(failed):
            try:
                return getattr(self._client, method)(request=request, **self._options)
            except GoogleAPICallError as error:
                if _status_in(error) not in codes:
                    raise
        return None

    def ask_all(self, failed: str, method: str, /, **request: Any) -> list[Any]:
        """Make one call, and those that further pages need."""
        with self._translated(failed):
            return list(getattr(self._client, method)(request=request, **self._options))

    @contextmanager
    def _translated(self, failed: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  the client lets requests', google-auth's and protobuf's errors through
            raise self._error(error, failed) from None  # their texts may quote the request

    def _error(self, error: Exception, failed: str) -> StoreError:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import RefreshError

        if isinstance(error, GoogleAPICallError):
            said = f"{failed} ({_status_in(error) or error.code})"
            if error.code == 409:
                return StoreConflict(self._store, said)
            refused = refuses(error.code)
        else:
            said = f"{failed} ({type(error).__name__})"
            refused = isinstance(error, RefreshError) and not error.retryable
        return StoreRefused(self._store, said, _ADVICE) if refused else StoreUnreachable(self._store, said)


def _status_in(error: Any) -> str | None:
    """Google's status code; of one HTTP status there are several."""
    try:
        status = error.response.json()["error"]["status"]
    except (AttributeError, ValueError, TypeError, LookupError):
        return None
    return status if isinstance(status, str) and status.replace("_", "").isalpha() else None
