"""Faults that need a real connection."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from featurebase_provider.sandbox.server import SandboxServer, open_socket


@pytest.fixture(scope="module")
def server():
    with SandboxServer() as running:
        yield running


@pytest.fixture
def client(server, headers):
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=60) as client:
        client.post("/_sandbox/reset")
        yield client


@pytest.fixture
def webhook(client):
    body = {"name": "n", "url": "https://example.com", "topics": ["post.created"]}
    return client.post("/v2/webhooks", json=body).json()


def add_fault(client, **fields):
    assert client.post("/_sandbox/faults", json=fields).status_code == 201


def last_call(client):
    call = client.get("/_sandbox/requests").json()[-1]
    return call["status"], call["committed"]


def secret_of(client, webhook):
    return client.get(f"/v2/webhooks/{webhook['id']}").json()["secret"]


@pytest.mark.parametrize("commit", [False, True])
def test_reset_breaks_the_connection_with_a_tcp_reset(client, webhook, commit):
    add_fault(client, kind="reset", commit=commit)
    with pytest.raises(httpx.ReadError) as caught:
        client.post(f"/v2/webhooks/{webhook['id']}/secret")
    assert isinstance(_root(caught.value), ConnectionResetError)
    assert last_call(client) == (None, commit)
    assert (secret_of(client, webhook) != webhook["secret"]) is commit


def _root(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return error


def test_drop_response_commits_and_closes_in_good_order(client, webhook):
    add_fault(client, kind="drop_response")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.post(f"/v2/webhooks/{webhook['id']}/secret")
    assert last_call(client) == (None, True)
    assert secret_of(client, webhook) != webhook["secret"]


def test_hang_ends_with_a_closed_connection(client, webhook):
    add_fault(client, kind="hang", seconds=0.05)
    begin = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(f"/v2/webhooks/{webhook['id']}/secret")
    assert time.monotonic() - begin >= 0.05
    assert last_call(client) == (None, False)
    assert secret_of(client, webhook) == webhook["secret"]


def test_held_call_holds_up_nobody_and_can_be_let_go(server, client, headers, webhook):
    add_fault(client, kind="hang", method="POST", commit=True)
    outcome = []

    def hang():
        try:
            url = f"{server.url}/v2/webhooks/{webhook['id']}/secret"
            httpx.post(url, headers=headers, timeout=30, trust_env=False)
        except httpx.HTTPError as error:
            outcome.append(type(error))

    held = threading.Thread(target=hang)
    held.start()
    give_up = time.monotonic() + 60
    while secret_of(client, webhook) == webhook["secret"]:
        assert time.monotonic() < give_up
    assert held.is_alive()
    client.delete("/_sandbox/faults")
    held.join(60)
    assert outcome == [httpx.RemoteProtocolError]


def test_hang_outlasts_the_clients_patience(client, webhook):
    add_fault(client, kind="hang")
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/v2/webhooks/{webhook['id']}/secret", timeout=0.05)
    assert last_call(client) == (None, False)


def test_late_commit_takes_effect_after_the_client_has_left(client, webhook):
    add_fault(client, kind="late_commit", seconds=0.15)
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/v2/webhooks/{webhook['id']}/secret", timeout=0.05)
    assert secret_of(client, webhook) == webhook["secret"]
    give_up = time.monotonic() + 60
    while secret_of(client, webhook) == webhook["secret"]:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    calls = [call for call in client.get("/_sandbox/requests").json() if call["method"] == "POST"]
    assert (calls[-1]["status"], calls[-1]["committed"]) == (None, True)


def test_call_whose_client_left_during_latency_still_takes_effect(client, webhook):
    add_fault(client, kind="latency", seconds=0.1)
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/v2/webhooks/{webhook['id']}/secret", timeout=0.03)
    give_up = time.monotonic() + 60
    while secret_of(client, webhook) == webhook["secret"]:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    calls = [call for call in client.get("/_sandbox/requests").json() if call["method"] == "POST"]
    assert (calls[-1]["status"], calls[-1]["committed"]) == (None, True)


def test_other_faults_keep_the_connection_alive(client, webhook, headers):
    """Only the faults that say so break a connection."""
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port)
    seen = []
    for kind in ("status", "malformed", "stale_read"):
        add_fault(client, kind=kind, method="GET", path="/v2/webhooks")
        connection.request("GET", "/v2/webhooks", headers=headers)
        with connection.getresponse() as answer:
            answer.read()
            seen.append((answer.status, connection.sock.getsockname()))
    connection.close()
    assert [status for status, _ in seen] == [500, 200, 200]
    assert len({local_address for _, local_address in seen}) == 1


def test_client_that_leaves_before_its_body_is_sent_changes_nothing(client, webhook):
    add_fault(client, kind="drop_response", method="PATCH")
    with socket.create_connection(("127.0.0.1", client.base_url.port)) as raw:
        raw.sendall(
            f"PATCH /v2/webhooks/{webhook['id']} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_sandbox\r\n"
            "Featurebase-Version: 2026-01-01.nova\r\nContent-Length: 50\r\n\r\n{".encode()
        )
        give_up = time.monotonic() + 60
        while client.get("/_sandbox/faults").json():
            assert time.monotonic() < give_up
    assert last_call(client) == (None, False)


def test_date_header_is_sent_for_clock_comparisons(client):
    assert client.get("/v2/webhooks").headers["Date"].endswith("GMT")


def test_shutdown_lets_held_calls_go(headers):
    with SandboxServer() as server, httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        add_fault(client, kind="hang")
        failed = threading.Event()

        def hang():
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{server.url}/v2/webhooks", headers=headers, timeout=30, trust_env=False)
            failed.set()

        threading.Thread(target=hang, daemon=True).start()
        give_up = time.monotonic() + 60
        while not client.get("/_sandbox/requests").json():
            assert time.monotonic() < give_up
        server.__exit__()
        assert failed.wait(60)
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url, trust_env=False)


def test_answers_have_one_date_and_it_is_the_sandboxs(client):
    """Not the server's own beside it, of which a client would take the first or none."""
    client.post("/_sandbox/clock", json={"advance": 86_400})
    now = client.get("/_sandbox/clock").json()["now"]
    (date,) = client.get("/v2/webhooks").headers.get_list("Date")
    assert abs(parsedate_to_datetime(date).timestamp() - now) < 60


def test_idle_connection_outlives_the_clients_patience(server, headers):
    """uvicorn's own 5 s are httpx's too: now and then the server closed what the client was about to use."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/v2/webhooks", headers=headers)
    assert connection.getresponse().read()
    connection.sock.settimeout(httpx.Limits().keepalive_expiry + 0.5)
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.close()


def test_an_answer_does_not_wait_for_the_clients_acknowledgement():
    """Else each call that soon follows another one takes 40 ms longer, whatever it does."""

    async def sends_at_once():
        loop, accepted = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        class Accepting(asyncio.Protocol):
            def connection_made(self, transport):
                accepted.set_result(
                    transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                )
                transport.close()

        listening = open_socket("127.0.0.1", 0)
        serving = await loop.create_server(Accepting, sock=listening)
        with socket.create_connection(listening.getsockname()):
            no_delay = await accepted
        serving.close()
        await asyncio.sleep(0)
        return bool(no_delay)

    assert asyncio.run(asyncio.wait_for(sends_at_once(), 30))
