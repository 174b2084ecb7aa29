from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from pydantic import ValidationError
from redis import exceptions

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.stores.redis import RedisStore
from featurebase_provider.stores.redis.armed import ArmedRedis, RedisPlace


def test_targets_name_the_place() -> None:
    assert RedisStore(key="app:signing").target == "redis://redis_default/app:signing"
    assert RedisStore(key="app", field="signing", conn_id="r").target == "redis://r/app#signing"


def test_keeps_a_previous_secret_if_there_is_a_place_for_it() -> None:
    assert not RedisStore(key="a").keeps_previous
    assert RedisStore(key="a", previous_key="b").keeps_previous
    assert RedisStore(key="a", field="b", previous_field="c").keeps_previous


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "Field required"),
        ({"key": ""}, "at least 1 character"),
        ({"key": "a", "previous_key": "a"}, "of its own"),
        ({"key": "a", "field": "b", "previous_field": "b"}, "of its own"),
        ({"key": "a", "field": "b", "previous_key": "c"}, "previous_field"),
        ({"key": "a", "previous_field": "c"}, "previous_field needs field"),
    ],
)
def test_faults_are_named(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RedisStore(**fields)
    assert problem in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        (None, "there is no Airflow connection"),
        ({"extra": {"cluster": True}}, "cluster mode"),
        ({"host": "redis.example.com"}, "not encrypted"),
    ],
    ids=["missing", "cluster", "plain"],
)
def test_a_connection_that_will_not_do(
    connection: dict[str, Any] | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_APP_REDIS", json.dumps({"conn_type": "redis", **connection}))
    with pytest.raises(StoreUnusable, match=problem):
        RedisStore(key="a", conn_id="app_redis").arm()


def test_a_missing_provider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.redis.hooks.redis", None)
    with pytest.raises(StoreUnusable, match=r"pip install 'airflow-provider-featurebase\[redis\]'"):
        RedisStore(key="a").arm()


class FailingClient:
    """Answers every call with the same error, as redis-py raises it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def eval(self, *_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (exceptions.ResponseError("BUSY Redis is busy running a script whsec_x"), StoreUnreachable, "BUSY"),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), StoreUnreachable, "MISCONF"),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), StoreUnreachable, "BusyLoadingError"),
        (exceptions.TimeoutError("Timeout reading from socket"), StoreUnreachable, "TimeoutError"),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), StoreRefused, "on a replica"),
        (exceptions.NoPermissionError("User x has no permissions"), StoreRefused, "NoPermissionError"),
        (exceptions.AuthenticationError("invalid username-password pair"), StoreRefused, "the login"),
        (exceptions.ResponseError("ERR Error running script whsec_x: WRONGTYPE Operation"), StoreRefused, "ERR"),
        (exceptions.InvalidResponse("Protocol Error: b'whsec_x'"), StoreRefused, "InvalidResponse"),
        (OSError("whsec_x"), StoreUnreachable, "OSError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_errors_of_the_client(error: Exception, kind: type[StoreError], code: str) -> None:
    """Refusals and outages are told apart, by name and never with the server's text."""
    text = RedisStore(key="a").entry_text(create=False)
    armed = ArmedRedis("redis (x)", FailingClient(error), (RedisPlace("a", None),), text, create=False, channel=None)
    with pytest.raises(kind, match=code) as caught:
        armed.read()
    assert "whsec_x" not in str(caught.value)
    assert caught.value.__suppress_context__
