from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.cli import main
from featurebase_provider.sandbox.errors import SandboxUnusable
from featurebase_provider.sandbox.server import AppServer, ReceiverServer, SandboxServer


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "featurebase_provider.sandbox.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_both_commands_say_where_they_are_work_together_and_stop_cleanly(tmp_path, headers):
    """The whole way as a user goes it: two processes, a webhook, an event, SIGTERM and SIGINT."""
    secret_file = tmp_path / ".env"
    sandbox = start("serve", "--port", "0", "--api-key", "sk_other", "--pause-after", "0")
    receiver = start("receiver", "--port", "0", "--secret-file", str(secret_file), "--key", "SECRET")
    try:
        title, _, sandbox_url = sandbox.stdout.readline().rstrip().rpartition(" on ")
        assert title == "Featurebase sandbox"
        title, _, receiver_url = receiver.stdout.readline().rstrip().rpartition(" on ")
        assert title == "Sample receiver"
        headers["Authorization"] = "Bearer sk_other"
        with httpx.Client(base_url=sandbox_url, headers=headers, trust_env=False) as client:
            body = {"name": "n", "url": f"{receiver_url}/hook", "topics": ["post.created"]}
            webhook = client.post("/v2/webhooks", json=body).json()
            secret_file.write_text(f"SECRET={webhook['secret']}\n")
            client.post("/_sandbox/events", json={"topic": "post.created"})
            give_up = time.monotonic() + 60
            while not client.get("/_sandbox/events").json()[0]["delivered"]:
                assert time.monotonic() < give_up
                time.sleep(0.01)
            client.post("/_sandbox/faults", json={"kind": "hang"})
        received = httpx.get(f"{receiver_url}/received", trust_env=False).json()
        assert len(received) == 1
    finally:
        sandbox.send_signal(signal.SIGTERM)
        receiver.send_signal(signal.SIGINT)
        texts = [process.communicate(timeout=60) for process in (sandbox, receiver)]
    assert (sandbox.returncode, receiver.returncode) == (0, 0)
    assert [out for out, _ in texts] == ["", ""]
    assert webhook["secret"] not in texts[0][1] + texts[1][1]
    assert "Traceback" not in texts[0][1] + texts[1][1]


def test_taken_port_is_a_clear_error(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
        message = capsys.readouterr().err
        assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in message
        assert "--port" in message
        with pytest.raises(SandboxUnusable, match="cannot listen"):
            SandboxServer(port=port).__enter__()


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "70000"],
        ["serve", "--host", "no.such.host.invalid"],
        ["receiver", "--secret-file", "x", "--previous-key", "OLD"],
        ["receiver", "--secret-file", "x", "--reload-seconds", "-1"],
        ["receiver", "--secret-file", "there/is/none", "--reload-seconds", "inf"],
        ["serve", "--pause-after", "-1"],
        ["serve", "--reads", "fresh,old"],
        ["serve", "--stale-share", "2"],
        ["serve", "--config-cache", "nan"],
        ["serve", "--delivery-lag", "inf"],
    ],
)
def test_impossible_options_end_with_status_2(arguments, capsys):
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("featurebase-sandbox: ")
    if arguments[0] == "serve" and arguments[1] not in ("--port", "--host"):
        assert message.startswith(f"featurebase-sandbox: {arguments[1]}: Input should be ")


@pytest.mark.parametrize(
    "arguments", [[], ["serve", "--retry-signing", "both"], ["serve", "--port", "-1"], ["receiver"]]
)
def test_unknown_options_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "usage: featurebase-sandbox" in capsys.readouterr().err


def test_every_switch_is_an_option(headers):
    """All of them, set to what is not their default, arrive."""
    switches = {
        "retry_signing": "first",
        "pause_after": 7,
        "updated_at": "stays",
        "timestamps": "get_seconds",
        "reads": ["fresh", "stale"],
        "stale_share": 0.25,
        "seed": 3,
        "reads_by": "user_agent",
        "audit_log": "forbidden",
        "audit_log_lag": 2.5,
        "event_ids": "shared",
        "delivery_lag": 1.5,
        "matched": "delivery",
        "config_cache": 60.5,
        "pausing": "keeps",
        "same_url": "refused",
        "refresh_paused": "refused",
    }
    assert all(switches[name] != default for name, default in Behaviour().model_dump(mode="json").items())
    options = []
    for name, value in switches.items():
        options += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, list) else str(value)]
    sandbox = start("serve", "--port", "0", *options)
    try:
        url = sandbox.stdout.readline().rstrip().rpartition(" on ")[2]
        assert httpx.get(f"{url}/_sandbox/behaviour", trust_env=False).json() == switches
    finally:
        sandbox.terminate()
        sandbox.communicate(timeout=60)


def test_receiver_follows_the_sandboxs_clock(tmp_path, headers):
    """A delivery of next year is in time; the receiver's own clock would find it a year too early."""
    secret_file = tmp_path / "secret"
    sandbox = start("serve", "--port", "0")
    url = sandbox.stdout.readline().rstrip().rpartition(" on ")[2]
    clock = ["--clock-url", f"{url}/_sandbox/clock"]
    receivers = [start("receiver", "--port", "0", "--secret-file", str(secret_file), *more) for more in (clock, [])]
    try:
        following, alone = [one.stdout.readline().rstrip().rpartition(" on ")[2] for one in receivers]
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            body = {"name": "n", "url": f"{following}/hook", "topics": ["post.created"]}
            webhook = client.post("/v2/webhooks", json=body).json()
            secret_file.write_text(webhook["secret"])
            client.post("/_sandbox/clock", json={"advance": 365 * 86_400})
            client.post("/_sandbox/events", json={"topic": "post.created"})
            client.post("/_sandbox/clock", json={"advance": 1})  # waits for the attempt
            client.patch(f"/v2/webhooks/{webhook['id']}", json={"url": f"{alone}/hook"})
            client.post("/_sandbox/events", json={"topic": "post.created"})
            client.post("/_sandbox/clock", json={"advance": 1})
            statuses = [attempt["statusCode"] for attempt in client.get("/_sandbox/deliveries").json()]
            now = client.get("/_sandbox/clock").json()["now"]
        assert statuses == [200, 401]
        (received,) = httpx.get(f"{following}/received", trust_env=False).json()
        assert abs(received["at"] / 1000 - now) < 60
        (refused,) = httpx.get(f"{alone}/refused", trust_env=False).json()
        assert "future" in refused["reason"]
    finally:
        for process in (sandbox, *receivers):
            process.terminate()
            process.communicate(timeout=60)


def test_command_is_quick_to_answer_without_fastapi():
    """Help and usage errors must not pay for the web framework."""
    probe = "import sys, featurebase_provider.sandbox.cli; print('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_servers_in_threads_give_sandbox_and_receiver_to_tests(tmp_path, headers):
    path = tmp_path / "secret"
    with SandboxServer("sk_mine", pause_after=3) as sandbox, ReceiverServer(path) as receiver:
        assert sandbox.api_key == "sk_mine"
        assert sandbox.state.behaviour.pause_after == 3
        headers["Authorization"] = "Bearer sk_mine"
        assert httpx.get(f"{sandbox.url}/v2/webhooks", headers=headers, trust_env=False).status_code == 200
        assert httpx.post(f"{receiver.url}/x", trust_env=False).status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.url, trust_env=False)


def test_server_that_cannot_start_says_so():
    @asynccontextmanager
    async def broken(_):
        raise ValueError("broken on purpose")
        yield

    with pytest.raises(SandboxUnusable, match="did not start"), AppServer(FastAPI(lifespan=broken)):
        pytest.fail("it cannot have started")
