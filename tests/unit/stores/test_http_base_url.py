"""Connections of type HTTP as people fill them in: what the fields add up to, and what is refused."""

from __future__ import annotations

import json

import pytest

from featurebase_provider.rotation.errors import StoreUnusable
from featurebase_provider.stores.http import HttpStore
from featurebase_provider.stores.http.base_url import check_base_url

URL = "/v3/configs/config/secrets"


def arm(monkeypatch, url=URL, **connection):
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps({"conn_type": "http", **connection}))
    armed = HttpStore(url=url, body='{"value": {{ secret | tojson }}}', adopt=True).arm()
    armed.close()
    return armed._base_url


@pytest.mark.parametrize(
    ("connection", "base"),
    [
        ({"host": "https://api.example.com"}, "https://api.example.com"),
        ({"host": "https://api.example.com/"}, "https://api.example.com"),
        ({"host": "api.example.com", "schema": "https"}, "https://api.example.com"),
        ({"host": "https://api.example.com", "schema": "https"}, "https://api.example.com"),
        ({"host": "https://api.example.com", "schema": "http"}, "https://api.example.com"),
        ({"host": "https://api.example.com", "port": 8443}, "https://api.example.com:8443"),
        ({"host": "https://api.example.com:8443"}, "https://api.example.com:8443"),
        ({"host": "https://api.example.com/proxy/v3"}, "https://api.example.com/proxy/v3"),
        ({"host": "https://[2001:db8::1]", "port": 8443}, "https://[2001:db8::1]:8443"),
        ({"host": "http://127.0.0.1", "port": 8080}, "http://127.0.0.1:8080"),
    ],
)
def test_what_the_fields_add_up_to(monkeypatch, connection, base):
    assert arm(monkeypatch, **connection) == base


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({"host": "https://https://api.example.com"}, "scheme twice"),
        ({"host": "//api.example.com", "schema": "https"}, "scheme twice"),
        ({"host": "api.example.com", "schema": "https://"}, "scheme twice"),
        ({"host": "https://"}, "no host"),
        ({"schema": "https"}, "no host"),
        ({"host": "https://api.example.com:8443", "port": 8443}, "port twice"),
        ({"host": "https://api.example.com:", "port": 8443}, "port twice"),
        ({"host": "https://api.example.com/base", "port": 8443}, "behind a path"),
        ({"host": "https://api.example.com/", "port": 8443}, "behind a path"),
        ({"host": "https://api.example.com:https"}, "no port"),
        ({"host": "https://api.example.com:99999"}, "no port"),
        ({"host": "https://me:hidden@api.example.com"}, "login in its host"),
        ({"host": "https://api.example.com?team=a"}, "query or a fragment"),
        ({"host": "https://api.example.com/#a"}, "query or a fragment"),
        ({"host": "https://api.example.com "}, "blanks"),
        ({"host": "https://api.example.com\n"}, "blanks"),
        ({"host": "https://api.example.com/v3"}, "sent twice"),
        ({"host": "https://api.example.com/v3/"}, "sent twice"),
        ({"host": "https://api.example.com/v3/configs"}, "sent twice"),
        ({"host": "api.example.com", "port": 443}, "plain http"),
        ({"host": "http://api.example.com", "schema": "https"}, "plain http"),
    ],
)
def test_fields_that_repeat_or_contradict_one_another(monkeypatch, connection, said):
    with pytest.raises(StoreUnusable, match=said) as caught:
        arm(monkeypatch, **connection)
    assert "nothing was sent" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_path_that_really_is_there_twice_can_be_written(monkeypatch):
    """As the message says: behind a gateway that is named as the service is."""
    with pytest.raises(StoreUnusable, match="write all of it into url"):
        arm(monkeypatch, "/secrets/value", host="https://gateway.example.com/secrets")
    assert arm(monkeypatch, "/secrets/secrets/value", host="https://gateway.example.com")


def test_the_path_of_read_and_check_counts_too():
    with pytest.raises(StoreUnusable, match="sent twice"):
        check_base_url("a store", "https://api.example.com/api", ["/write", "/api/read"])
    check_base_url("a store", "https://api.example.com/api", ["/apis/write", "/api-2/read"])
