"""The configuration of the store http, and services that answer oddly."""

from __future__ import annotations

import base64
import json
import sys

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.http import HttpStore
from tests.contract.store_case import write_to
from tests.servers.canned_http import canned_http
from tests.world.converge import converge
from tests.world.recipes import recipe

HELD, NEW = "whsec_held_0123456789", "whsec_new_0123456789"
MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:1", "here")
BODY = '{"value": {{ secret | tojson }}}'
READ = {"url": "/value", "current": "$.value"}


def store(**changes):
    return HttpStore(**{"url": "/value", "body": BODY, "read": READ, **changes})


def pair(current, previous=None):
    return SecretPair(SigningSecret(current), SigningSecret(previous) if previous else None)


@pytest.fixture
def service(monkeypatch):
    with canned_http() as server:
        connection = {"conn_type": "http", "host": server.url, "extra": {"X-Key": "a-key"}}
        monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps(connection))
        server.answer("GET /value", 200, {"value": HELD})
        server.answer("PUT /value", 204)
        yield server


def refusal(**changes):
    with pytest.raises(ValidationError) as caught:
        store(**changes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/v1/value?dc=a", "http://http_default@/v1/value?dc=a"),
        ("/v1/value?cas={{ version }}", "http://http_default@/v1/value"),
    ],
)
def test_target_is_the_path(url, target):
    read = {**READ, "version": "$.v"}
    assert store(url=url, read=read).target == target
    assert store(url=url, read=read, item="a/b").target == f"{target}#a/b"


@pytest.mark.parametrize("url", ["value", "//host/value", "https://host/value", "/a/../b", "/a#b", "/a b", "/a\\b", ""])
def test_a_url_stays_behind_the_connections_host(url):
    refusal(url=url)
    refusal(read={**READ, "url": url})


@pytest.mark.parametrize("url", ["/v?s={{ secret }}", "/v?s={{ previous | urlencode }}"])
def test_no_secret_in_a_url(url):
    assert "servers and proxies log it" in refusal(url=url)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"value": "{{ secret }}"}', "tojson"),
        ('{"value": {{ secret }}}', "tojson"),
        ('{"value": {{ secret | tojson }}', "no valid JSON (line"),
        ('{"value": {{ secret | upper }}}', "there are the filters b64encode, tojson, urlencode"),
        ('{"value": {{ secert | tojson }}}', "secert"),
        ('{"value": {{ secret | tojson }', "the template is not valid"),
        ('{"value": {{ range(9) | tojson }}, "s": {{ secret | tojson }}}', "range"),
        ('{"value": {{ secret.__class__ }}}', "could not be filled in"),
        ('{% include "x" %}{{ secret }}', "could not be filled in"),
        ('{"value": 1}', "have {{ secret }} in them"),
        (None, "have {{ secret }} in them"),
    ],
)
def test_bodies_are_tried_out_when_the_file_is_read(body, said):
    assert said in refusal(body=body)


def test_a_body_that_is_no_json_is_not_tried_as_such():
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert store(body="value={{ secret | urlencode }}", headers=form).write.used == {"secret"}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Authorization": "Bearer abc"}, "connection's extra"),
        ({"X-Api-Key": "abc"}, "connection's extra"),
        ({"Host": "x"}, "no header that can be set"),
        ({"Content-Length": "3"}, "no header that can be set"),
        ({"X Y": "x"}, "no header that can be set"),
        ({"X-Y": "a\r\nX-Z: b"}, "characters that a header cannot have"),
        ({"X-Y": "{{ unknown }}"}, "unknown"),
    ],
)
def test_headers_are_checked(headers, said):
    assert said in refusal(headers=headers)


def test_the_secret_may_travel_in_a_header():
    assert store(body=None, headers={"X-New-Secret": "{{ secret }}"}).write.used == {"secret"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"read": None}, "adopt: true"),
        ({"read": None, "adopt": True, "body": "[{{ secret | tojson }}, {{ version | tojson }}]"}, "come from read"),
        ({"body": "[{{ secret | tojson }}, {{ version | tojson }}]"}, "version or version_header"),
        ({"body": "[{{ secret | tojson }}, {{ previous | tojson }}]"}, "belong together"),
        ({"read": {**READ, "previous": "$.old"}}, "belong together"),
        ({"read": {**READ, "version": "$.v", "version_header": "ETag"}}, "not both"),
        ({"read": {**READ, "absent_status": 403}}, "refused"),
        ({"read": {**READ, "current": "value"}}, "starts with $"),
        ({"read": {**READ, "body": "{{ secret }}"}}, "no variables"),
        ({"check": {"url": "/c", "body": "{{ webhook_id }}"}}, "no variables"),
        ({"check": {"url": "/c", "headers": {"X-Token": "abc"}}}, "connection's extra"),
    ],
)
def test_fields_that_do_not_fit_together(changes, said):
    assert said in refusal(**changes)


def test_a_missing_hook_names_the_extra(service, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonpath_ng.ext.parser", None)
    monkeypatch.delitem(sys.modules, "featurebase_provider.stores.http.armed", raising=False)
    with pytest.raises(StoreUnusable, match=r"airflow-provider-featurebase\[http\]"):
        store().arm()


def test_plain_http_to_another_host_is_refused(monkeypatch):
    for host in ("http://config.example.com", "config.example.com"):
        monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps({"conn_type": "http", "host": host}))
        with pytest.raises(StoreUnusable, match="plain http"):
            store().arm()


def test_https_is_used_with_the_connections_tls_settings(monkeypatch):
    extra = {"verify": "/etc/ca.pem", "cert": ["/a.pem", "/a.key"]}
    connection = {"conn_type": "http", "host": "https://config.example.com", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps(connection))
    armed = store().arm()
    assert armed._session.verify == "/etc/ca.pem"
    assert armed._session.cert == ("/a.pem", "/a.key")  # a pair, as requests wants it
    armed.close()


def test_a_json_path_that_is_none_is_found_out_when_armed(service):
    with pytest.raises(StoreUnusable, match="JSONPath of current"):
        store(read={**READ, "current": "$.[?("}).arm()


def test_one_request_carries_the_secret_and_the_connections_header(service):
    armed = store().arm()
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    request, headers, body = service.requests[-1]
    assert request == "PUT /value"
    assert headers["X-Key"] == "a-key"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"value": NEW}


def test_a_conditional_write_by_etag(service):
    """What is empty is not sent: If-Match for a value that exists, If-None-Match for a new one."""
    headers = {"If-Match": "{{ version }}", "If-None-Match": "{{ '' if version else '*' }}"}
    read = {**READ, "version_header": "ETag", "absent_status": 404}
    service.answer("GET /value", 200, {"value": HELD}, ETag='"a1"')
    armed = store(headers=headers, read=read, create=True).arm()
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    sent = service.requests[-1][1]
    assert sent["If-Match"] == '"a1"'
    assert "If-None-Match" not in sent
    service.answer("GET /value", 404)
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    sent = service.requests[-1][1]
    assert sent["If-None-Match"] == "*"
    assert "If-Match" not in sent


def test_a_version_is_escaped_in_the_url(service):
    """What the service says as version cannot lead the request elsewhere."""
    service.answer("GET /value", 200, {"value": HELD, "v": "1&x=/../"})
    service.answer("PUT /value?cas=1%26x%3D%2F..%2F", 200)
    armed = store(url="/value?cas={{ version }}", read={**READ, "version": "$.v"}).arm()
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)


def test_a_version_cannot_add_a_header(service):
    service.answer("GET /value", 200, {"value": HELD, "v": "1\r\nX-Evil: 1"})
    armed = store(headers={"If-Match": "{{ version }}"}, read={**READ, "version": "$.v"}).arm()
    with pytest.raises(StoreRefused, match="characters that headers cannot have"):
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)


@pytest.mark.parametrize("status", [409, 412])
def test_a_condition_that_does_not_hold_is_a_conflict(service, status):
    service.answer("PUT /value", status, {"quotes": NEW})
    armed = store().arm()
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)


@pytest.mark.parametrize("answer", [False, None, "true", 1, {}])
def test_only_true_is_accepted(service, answer):
    service.answer("PUT /value", 200, {"done": answer})
    armed = store(accepted="$.done").arm()
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 422])
def test_refusals(service, status):
    """A redirect is not followed: it would take the credentials along."""
    service.answer("GET /value", status, {"quotes": HELD}, Location="/elsewhere")
    with pytest.raises(StoreRefused, match=f"answered {status}"):
        store(create=True).arm().read()
    service.answer("GET /value", 200, {"value": HELD})
    service.answer("PUT /value", status, {"quotes": NEW}, Location="/elsewhere")
    armed = store().arm()
    with pytest.raises(StoreRefused, match=f"answered {status}") as caught:
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert NEW not in str(caught.value)
    assert not [request for request, _, _ in service.requests if "elsewhere" in request]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_service_in_trouble_is_unreachable(service, status):
    service.answer("GET /value", status, "oops")
    with pytest.raises(StoreUnreachable):
        store().arm().read()


@pytest.mark.parametrize("body", ["<html>log in</html>", "", "{", "[" * 100_000])
def test_what_is_no_json_is_no_absence(service, body):
    service.answer("GET /value", 200, body)
    with pytest.raises(StoreUnreachable, match="no JSON"):
        store(create=True).arm().read()


def test_an_endless_answer_is_cut_off(service):
    service.answer("GET /value", 200, "x" * (1024 * 1024 + 1))
    with pytest.raises(StoreRefused, match="bytes"):
        store().arm().read()


@pytest.mark.parametrize("document", [{}, {"value": None}, [], None, "text", {"other": 1}])
def test_an_answer_without_the_value_is_an_absence_unless_a_status_says_so(service, document):
    """Where the service has a status for absence, an answer of another shape means that a path is wrong."""
    service.answer("GET /value", 200, json.dumps(document))
    assert store().arm().read().current is None
    with pytest.raises(StoreRefused, match=r"read\.current"):
        store(read={**READ, "absent_status": 404}).arm().read()


def test_two_values_are_none(service):
    service.answer("GET /value", 200, {"value": [HELD, NEW]})
    with pytest.raises(StoreRefused, match="finds 2 values"):
        store(read={**READ, "current": "$.value[*]"}).arm().read()


@pytest.mark.parametrize("coded", ["???", base64.b64encode(b"\xff").decode(), "YQ", "ä"])
def test_base64_that_is_none(service, coded):
    service.answer("GET /value", 200, {"value": coded})
    with pytest.raises(StoreRefused, match="no text in base64"):
        store(read={**READ, "base64": True}).arm().read()


def test_without_a_version_the_value_is_compared_before_it_is_written(service):
    armed = store().arm()
    held = armed.read()
    service.answer("GET /value", 200, {"value": "whsec_by_somebody_else"})
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    assert "PUT /value" not in [request for request, _, _ in service.requests]


def test_without_read_the_store_is_written_each_time(service):
    """Nothing can be compared, so an accepted write is all there is; what is sent is the documented example."""
    service.answer("POST /api/apps/feedback/environment", 202)
    config = HttpStore(**recipe("http.md", "A service that shows nothing back") | {"conn_id": "http_default"})
    armed = config.arm()
    assert not armed.prove_writable().proven
    rule = WriteRule(MARK.webhook_id, "here", adopt=True)
    for _ in range(2):
        assert not armed.read().readable
        assert converge(armed, SigningSecret(NEW), rule)
    assert len(service.requests) == 2
    sent = json.loads(service.requests[-1][2])
    assert (sent["value"], sent["comment"]) == (NEW, f"webhook {MARK.webhook_id}")


def test_a_check_proves_or_refuses(service):
    service.answer("GET /may-i", 200)
    config = store(check={"url": "/may-i"})
    assert config.arm().prove_writable().proven
    service.answer("GET /may-i", 403)
    with pytest.raises(StoreRefused, match="checked"):
        config.arm().prove_writable()


def test_a_login_is_sent_as_basic_authentication(service, monkeypatch):
    connection = {"conn_type": "http", "host": service.url, "login": "u", "password": "p"}
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps(connection))
    store().arm().read()
    assert service.requests[-1][1]["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
