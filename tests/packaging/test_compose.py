"""The compose file, read by Docker Compose itself (which needs no engine for that)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REQUIRED = ("AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "POSTGRES_PASSWORD")


def compose(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """Run docker-compose on the repository's file with every required variable but ``without`` set."""
    program = shutil.which("docker-compose", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        reason = "docker-compose is not installed (its wheel exists for Linux on x86-64 and Python 3.11 up)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    environment = {name: f"value-of-{name.lower()}" for name in REQUIRED if name != without}
    return subprocess.run(
        [program, "--file", str(ROOT / "docker-compose.yaml"), "--project-directory", str(ROOT), *arguments],
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
    } == lasting
    assert all(model["services"][name]["healthcheck"]["test"] for name in lasting)


def test_plain_http_to_the_sandbox_stays_on_loopback(model: dict[str, Any]) -> None:
    """What calls the sandbox shares its network, since the provider refuses http to any other host."""
    connection = json.loads(model["services"]["scheduler"]["environment"]["AIRFLOW_CONN_FEATUREBASE_DEFAULT"])
    assert connection["host"].startswith("http://127.0.0.1:")
    for name in ("scheduler", "triggerer", "receiver", "webhook"):
        assert model["services"][name]["network_mode"] == "service:sandbox"


def test_nothing_is_privileged(model: dict[str, Any]) -> None:
    """No service gains rights, and none sees the engine's socket."""
    for service in model["services"].values():
        assert not service.get("privileged")
        assert "no-new-privileges:true" in service["security_opt"]
        assert not any("docker.sock" in str(volume.get("source")) for volume in service.get("volumes", []))
