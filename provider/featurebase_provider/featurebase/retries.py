"""When a failed read is sent again, and after how long. Writes are never retried: see ``ApiCall.retry_safe``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypedDict

from tenacity import retry_if_exception, stop_after_attempt, wait_random_exponential

from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    RateLimited,
    UnexpectedAnswer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

LONGEST_WAIT = 70.0
"""Longest wait in seconds: a bit more than the rate limit's window of one minute."""

_backoff = wait_random_exponential(multiplier=0.5, max=30)

log = logging.getLogger(__name__)


class RetryOptions(TypedDict):
    """Arguments for tenacity's sync and async controllers."""

    stop: stop_after_attempt
    wait: Callable[[RetryCallState], float]
    retry: retry_if_exception
    before_sleep: Callable[[RetryCallState], None]
    reraise: bool


def retry_options(max_retries: int) -> RetryOptions:
    """Describe the retries of a read, for tenacity.

    :param max_retries: how many times the read is sent again at most.
    """

    def announce(state: RetryCallState) -> None:
        error, wait = _error_of(state), state.next_action.sleep if state.next_action else 0.0
        log.info(
            "%s %s: %s, retry %d of %d in %.1f s",
            *(error.method, error.path, _cause(error)),
            *(state.attempt_number, max_retries, wait),
        )

    return RetryOptions(
        stop=stop_after_attempt(max_retries + 1),
        wait=seconds_to_wait,
        retry=retry_if_exception(may_pass),
        before_sleep=announce,
        reraise=True,
    )


def may_pass(error: BaseException) -> bool:
    """Whether the same read may succeed in a moment."""
    if isinstance(error, UnexpectedAnswer):
        return error.body_broken
    return isinstance(error, (ApiUnreachable, ApiUnavailable, RateLimited))


def seconds_to_wait(state: RetryCallState) -> float:
    """Seconds before the next attempt, at most :data:`LONGEST_WAIT`.

    Exponential backoff with full jitter. A wait that the response asks for is the minimum; the jitter is added to it,
    so that clients told to wait for the same moment do not all come back at once.
    """
    return min(LONGEST_WAIT, (_error_of(state).retry_after or 0.0) + _backoff(state))


def _error_of(state: RetryCallState) -> ApiError:
    error: Any = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ApiError):
        raise AssertionError("only API errors are retried")
    return error


def _cause(error: ApiError) -> str:
    return f"{type(error).__name__} (status {error.status})" if error.status else type(error).__name__
