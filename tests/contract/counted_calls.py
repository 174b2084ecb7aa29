"""Counts the calls that the stores' clients make, whichever client it is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import psycopg
import pytest
import redis
import urllib3
from grpc import _channel

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUESTS = (
    (urllib3.connectionpool.HTTPConnectionPool, "urlopen"),
    (aiohttp.ClientSession, "_request"),
    (psycopg.Pipeline, "__exit__"),
    (redis.Redis, "execute_command"),
    (_channel._UnaryUnaryMultiCallable, "__call__"),
)
"""What each client sends a request with: requests, botocore, hvac, PyGithub and Kubernetes use the first of them."""


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """Names of the requests that were sent meanwhile, by the client that sent them."""
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _REQUESTS:
            patch.setattr(owner, name, _counting(getattr(owner, name), f"{owner.__name__}.{name}", calls))
        execute = psycopg.Cursor.execute

        def counted(cursor: psycopg.Cursor[Any], *args: Any, **kwargs: Any) -> Any:
            if cursor.connection.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF:  # else its end counts
                calls.append("Cursor.execute")
            return execute(cursor, *args, **kwargs)

        patch.setattr(psycopg.Cursor, "execute", counted)
        yield calls


def _counting(send: Any, name: str, calls: list[str]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return send(*args, **kwargs)

    return counted
