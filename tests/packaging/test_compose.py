"""The compose file, read by Docker Compose itself (which needs no engine for that)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from featurebase_provider.config import load_rotation_config
from featurebase_provider.sandbox.server import SandboxServer
from scripts.compose import register_webhook

ROOT = Path(__file__).parents[2]
REQUIRED = ("AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "POSTGRES_PASSWORD")

FILE = ROOT / "docker-compose.yaml"


def compose(*arguments: str, without: str = "", file: Path = FILE) -> subprocess.CompletedProcess[str]:
    """Run docker-compose on the repository's file, or another, with every required variable but ``without`` set."""
    program = shutil.which("docker-compose", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        reason = "docker-compose is not installed (its wheel exists for Linux on x86-64 and Python 3.11 up)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    environment = {name: f"value-of-{name.lower()}" for name in REQUIRED if name != without}
    return subprocess.run(
        [program, "--file", str(file), "--project-directory", str(ROOT), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    """The compose file as Docker Compose understands it, every variable filled in."""
    done = compose("config", "--format", "json")
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_file_is_valid() -> None:
    """Docker Compose accepts it: its schema, and what services refer to."""
    done = compose("config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", REQUIRED)
def test_secret_without_value_is_refused(name: str) -> None:
    """No secret has a default: what is missing is named, and nothing starts."""
    done = compose("config", "--quiet", without=name)
    assert done.returncode != 0
    assert name in done.stderr


def test_every_port_is_bound_to_loopback(model: dict[str, Any]) -> None:
    ports = [port for service in model["services"].values() for port in service.get("ports", [])]
    assert ports
    assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}


def test_lasting_services_have_health_checks(model: dict[str, Any]) -> None:
    """Whatever restarts by itself also says whether it is well."""
    lasting = {name for name, service in model["services"].items() if service.get("restart", "no") != "no"}
    assert {
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "postgres",
        "sandbox",
        "receiver",
        "events",
    } == lasting
    assert all(model["services"][name]["healthcheck"]["test"] for name in lasting)


def test_plain_http_to_the_sandbox_stays_on_loopback(model: dict[str, Any]) -> None:
    """What calls the sandbox shares its network, since the provider refuses http to any other host."""
    connection = json.loads(model["services"]["scheduler"]["environment"]["AIRFLOW_CONN_FEATUREBASE_DEFAULT"])
    assert connection["host"].startswith("http://127.0.0.1:")
    for name in ("scheduler", "triggerer", "receiver", "webhook", "events"):
        assert model["services"][name]["network_mode"] == "service:sandbox"


def test_nothing_is_privileged(model: dict[str, Any]) -> None:
    """No service gains rights, and none sees the engine's socket."""
    for service in model["services"].values():
        assert not service.get("privileged")
        assert "no-new-privileges:true" in service["security_opt"]
        assert not any("docker.sock" in str(volume.get("source")) for volume in service.get("volumes", []))


def test_one_service_builds_the_image_and_the_others_use_it(model: dict[str, Any]) -> None:
    """Each of them would build the same tag at the same time; and nobody has it to be pulled."""
    ours = {name: one for name, one in model["services"].items() if one["image"] == "airflow-featurebase:local"}
    assert [name for name, one in ours.items() if "build" in one] == ["migrate"]
    assert {one["pull_policy"] for name, one in ours.items() if name != "migrate"} == {"never"}
    assert "migrate" in model["services"]["scheduler"]["depends_on"]


def test_the_sandbox_is_published_and_keeps_its_webhooks_on_a_volume(model: dict[str, Any]) -> None:
    sandbox = model["services"]["sandbox"]
    assert [(port["host_ip"], port["published"]) for port in sandbox["ports"]] == [("127.0.0.1", "8787")]
    assert "0.0.0.0" in sandbox["entrypoint"], "a published port does not reach loopback"
    state = Path(sandbox["entrypoint"][sandbox["entrypoint"].index("--state") + 1])
    (volume,) = sandbox["volumes"]
    assert (volume["type"], volume["target"]) == ("volume", str(state.parent))
    # A named volume takes the owner of the folder that it covers.
    assert str(state.parent) in (ROOT / "Dockerfile").read_text()


def test_what_the_file_tells_to_do_names_what_there_is(model: dict[str, Any]) -> None:
    told = FILE.read_text().partition("name: ")[0]
    (webhook,) = load_rotation_config(ROOT / "scripts" / "compose" / "rotation.yaml").webhooks
    assert webhook.webhook_name == register_webhook.NAME
    assert set(re.findall(r"featurebase_rotate__\w+", told)) == {webhook.dag_id}
    assert set(re.findall(r"compose (?:exec|logs) (\S+)", told)) <= model["services"].keys()


def test_without_the_sandbox_as_the_hint_has_it_the_file_is_valid(model: dict[str, Any], tmp_path: Path) -> None:
    """The way to a real webhook."""
    hint = FILE.read_text().partition("To rotate a real webhook")[2].partition("\nname: ")[0]
    gone = {"sandbox", "receiver", "webhook", "events"}
    assert all(re.search(rf"\b{name}\b", hint) for name in gone)
    written: dict[str, Any] = yaml.safe_load(FILE.read_text())
    written["services"] = {name: one for name, one in written["services"].items() if name not in gone}
    del written["volumes"]["sandbox"]
    for name in ("scheduler", "triggerer"):
        del written["services"][name]["network_mode"]
    for service in written["services"].values():
        service["depends_on"] = {name: how for name, how in service.get("depends_on", {}).items() if name not in gone}
    file = tmp_path / "docker-compose.yaml"
    file.write_text(yaml.safe_dump(written))
    done = compose("config", "--quiet", file=file)
    assert (done.returncode, done.stderr) == (0, "")


def test_webhook_and_secret_outlive_a_restart_of_the_sandbox(tmp_path: Path) -> None:
    """The services sandbox, webhook and events in turn, without Docker; the sandbox is started twice."""
    state, secret_file, seen = tmp_path / "webhooks.json", tmp_path / "webhook.env", []
    for _ in range(2):
        with SandboxServer(state=state) as sandbox:
            register_webhook.main(sandbox.url, secret_file)
            (webhook,) = sandbox.state.webhooks.all()
            seen.append((webhook.id, webhook.secret, secret_file.read_text()))
            event = httpx.post(f"{sandbox.url}/_sandbox/events", json=told_event(), trust_env=False).json()
            assert len(event["eventIds"]) == 1
    assert seen[0] == seen[1]
    assert webhook.secret in secret_file.read_text()

    secret_file.unlink()
    with SandboxServer(state=state) as sandbox:
        register_webhook.main(sandbox.url, secret_file)
    assert webhook.secret in secret_file.read_text()


def told_event() -> dict[str, Any]:
    """What the service ``events`` sends."""
    service = yaml.safe_load(FILE.read_text())["services"]["events"]
    (body,) = re.findall(r"--data '(.+?)'", service["entrypoint"][-1])
    event: dict[str, Any] = json.loads(body)
    return event
