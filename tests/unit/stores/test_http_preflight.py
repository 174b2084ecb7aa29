"""What preflight tries at a REST API: the bodies that a run would send, made of what the service holds."""

from __future__ import annotations

import json
import re

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.http import HttpStore
from tests.contract.store_case import write_to
from tests.servers.canned_http import canned_http

HELD, NEW = "whsec_held_0123456789", "whsec_new_0123456789"
MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:1", "here")
ENV = f"# of the app\nHOST=a\nSIGNING='{HELD}'\nDEBUG=1\n"
DOCUMENT = json.dumps({"host": "a", "featurebase": {"secret": HELD}}, indent=2)


@pytest.fixture
def service(monkeypatch):
    with canned_http() as server:
        connection = {"conn_type": "http", "host": server.url, "extra": {}}
        monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps(connection))
        server.answer("GET /value", 200, {"value": HELD})
        server.answer("PUT /value", 204)
        yield server


def store(**changes):
    fields = {"body": '{"value": {{ secret | tojson }}}', "read": {"url": "/value", "current": "$.value"}}
    return HttpStore(url="/value", **{**fields, **changes})


def writes(service):
    return [body for request, _, body in service.requests if request.startswith("PUT")]


@pytest.mark.parametrize(
    ("changes", "proven", "said"),
    [
        ({}, False, "no check is described"),
        ({"read": None, "adopt": True}, False, "nothing was sent"),
        ({"check": {"url": "/may-i"}}, True, "the configured check succeeded"),
        ({"check": {"url": "/may-i", "proves_write": False}}, False, "accept the write is not provable"),
    ],
)
def test_preflight_claims_what_was_seen(service, changes, proven, said):
    service.answer("GET /may-i", 200)
    result = store(**changes).arm().prove_writable()
    assert (result.proven, said in result.detail) == (proven, True)
    assert writes(service) == []


def test_a_check_that_proves_less_is_refused_all_the_same(service):
    service.answer("GET /may-i", 404)
    with pytest.raises(StoreRefused, match="answered 404"):
        store(check={"url": "/may-i", "proves_write": False}).arm().prove_writable()


def test_a_body_that_the_services_version_breaks_is_found_before_the_refresh(service):
    """When the Dag file is read the version is an example; what the service says may hold a quote."""
    service.answer("GET /value", 200, {"value": HELD, "v": 'a"b'})
    config = store(
        body='{"value": {{ secret | tojson }}, "version": "{{ version }}"}',
        read={"url": "/value", "current": "$.value", "version": "$.v"},
    )
    armed = config.arm()
    with pytest.raises(StoreRefused, match="no valid JSON"):
        armed.prove_writable()
    with pytest.raises(StoreRefused, match="no valid JSON"):
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=armed.read(), mark=MARK)
    assert writes(service) == []


def test_every_kind_of_pair_is_filled_in(service):
    """Preflight makes up what a run would write over what is there: with a previous secret, and without one."""
    service.answer("GET /value", 200, {"value": HELD, "old": "whsec_older", "v": "0"})
    breaks = '{% if version == "0" and not previous %},{% endif %}'
    body = '{"value": {{ secret | tojson }}, "old": {{ previous | tojson }}' + breaks + "}"
    read = {"url": "/value", "current": "$.value", "previous": "$.old", "version": "$.v"}
    with pytest.raises(StoreRefused, match="no valid JSON"):
        store(body=body, read=read).arm().prove_writable()


def test_a_version_that_is_the_value_itself_stays_out_of_the_url(service):
    """Some services compare with the value itself: it may travel in the body."""
    read = {"url": "/value", "current": "$.value", "version": "$['value']"}
    with pytest.raises(StoreRefused, match="shows the value itself as its version") as caught:
        HttpStore(url="/value?was={{ version }}", body='{"v": {{ secret | tojson }}}', read=read).arm().prove_writable()
    assert HELD not in str(caught.value)
    assert [request for request, _, _ in service.requests] == ["GET /value"]
    armed = store(body='{"v": {{ secret | tojson }}, "was": {{ version | tojson }}}', read=read).arm()
    held = armed.read()
    assert HELD not in repr(held.version)
    armed.prove_writable()
    write_to(armed, SecretPair(SigningSecret(NEW), None), held=held, mark=MARK)
    assert json.loads(writes(service)[-1]) == {"v": NEW, "was": HELD}


@pytest.mark.parametrize(("text", "format_"), [(ENV, "dotenv"), (DOCUMENT, "json"), ("a: 1\nb: 2\n", "yaml")])
def test_a_value_that_holds_more_is_not_replaced_by_the_bare_secret(service, text, format_):
    service.answer("GET /value", 200, {"value": text})
    armed = store(adopt=True).arm()
    for call in (armed.read, armed.prove_writable):
        with pytest.raises(StoreRefused, match=format_) as caught:
            call()
        assert HELD not in str(caught.value)
    assert writes(service) == []


@pytest.mark.parametrize(
    ("text", "format_", "entry", "wanted"),
    [
        (ENV, "dotenv", "SIGNING", ENV.replace(HELD, NEW)),
        (DOCUMENT, "json", "featurebase.secret", DOCUMENT.replace(HELD, NEW)),
    ],
)
def test_a_whole_file_behind_an_api_is_edited_in_one_place(service, text, format_, entry, wanted):
    service.answer("GET /value", 200, {"value": text})
    armed = store(format=format_, entry=entry).arm()
    armed.prove_writable()
    held = armed.read()
    assert held.current == SigningSecret(HELD)
    write_to(armed, SecretPair(SigningSecret(NEW), None), held=held, mark=MARK)
    assert json.loads(writes(service)[-1]) == {"value": wanted}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["/elsewhere", "https://elsewhere.example.com/", "//elsewhere.example.com/"])
def test_a_redirected_write_is_no_write(service, status, where):
    """Clients that follow a 301, 302 or 303 make a GET of a PUT, whose 200 looks like success."""
    service.answer("PUT /value", status, "", Location=where)
    service.answer("GET /elsewhere", 200, {"value": NEW})
    armed = store().arm()
    with pytest.raises(StoreRefused, match=re.escape("a redirect, and none is followed")) as caught:
        write_to(armed, SecretPair(SigningSecret(NEW), None), held=armed.read(), mark=MARK)
    assert "nothing was changed" not in str(caught.value)
    assert not [request for request, _, _ in service.requests if "elsewhere" in request]
