"""The compose files, read by Docker Compose itself (which needs no engine for that)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from featurebase_provider.config import load_rotation_config
from featurebase_provider.sandbox.server import SandboxServer
from scripts.compose import register_webhook

ROOT = Path(__file__).parents[2]
SMALL, CLUSTER = ROOT / "docker-compose.small.yaml", ROOT / "docker-compose.yaml"
BY_AIRFLOW = ("AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "POSTGRES_PASSWORD")
REQUIRED = {SMALL: BY_AIRFLOW, CLUSTER: (*BY_AIRFLOW, "OPENBAO_TOKEN", "REDIS_PASSWORD")}
DAEMONS = {"api-server", "scheduler", "dag-processor", "triggerer", "postgres", "sandbox", "receiver", "events"}
LASTING = {SMALL: DAEMONS, CLUSTER: DAEMONS | {"worker-1", "worker-2", "redis", "openbao", "openbao-agent"}}


def compose(*arguments: str, without: str = "", file: Path) -> subprocess.CompletedProcess[str]:
    """Run docker-compose on a file, with every variable that the files require but ``without`` set."""
    program = shutil.which("docker-compose", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        reason = "docker-compose is not installed (its wheel exists for Linux on x86-64 and Python 3.11 up)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    environment = {name: f"value-of-{name.lower()}" for name in REQUIRED[CLUSTER] if name != without}
    return subprocess.run(
        [program, "--file", str(file), "--project-directory", str(ROOT), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def model_of(file: Path) -> dict[str, Any]:
    """A compose file as Docker Compose understands it, every variable filled in."""
    done = compose("config", "--format", "json", file=file)
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


@pytest.fixture(scope="module", params=REQUIRED, ids=lambda file: file.name)
def file(request: pytest.FixtureRequest) -> Path:
    """One of the repository's files."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> dict[str, Any]:
    """See :func:`model_of`."""
    return model_of(file)


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    """The larger file; see :func:`model_of`."""
    return model_of(CLUSTER)


def test_file_is_valid(file: Path) -> None:
    """Docker Compose accepts it: its schema, and what services refer to."""
    done = compose("config", "--quiet", file=file)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("file", "name"), [(file, name) for file, names in REQUIRED.items() for name in names])
def test_secret_without_value_is_refused(file: Path, name: str) -> None:
    """No secret has a default: what is missing is named, and nothing starts."""
    done = compose("config", "--quiet", without=name, file=file)
    assert done.returncode != 0
    assert name in done.stderr


def test_versions_are_pinned(model: dict[str, Any]) -> None:
    """Down to the release: a tag that moves would give other programs tomorrow."""
    theirs = {one["image"] for one in model["services"].values()} - {"airflow-featurebase:local"}
    assert theirs
    assert all(re.search(r":\d+\.\d+", image) for image in theirs), theirs


def test_every_port_is_bound_to_loopback(model: dict[str, Any]) -> None:
    ports = [port for service in model["services"].values() for port in service.get("ports", [])]
    assert ports
    assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}


def test_lasting_services_have_health_checks(file: Path, model: dict[str, Any]) -> None:
    """Whatever restarts by itself also says whether it is well."""
    lasting = {name for name, service in model["services"].items() if service.get("restart", "no") != "no"}
    assert lasting == LASTING[file]
    assert all(model["services"][name]["healthcheck"]["test"] for name in lasting)


def test_plain_http_stays_on_loopback(file: Path, model: dict[str, Any]) -> None:
    """What calls the sandbox or OpenBao shares their network: the provider refuses http to any other host."""
    beside = {"triggerer", "receiver", "webhook", "events"}
    beside |= {"worker-1", "worker-2", "openbao", "openbao-agent"} if file == CLUSTER else {"scheduler"}
    for name in beside:
        service = model["services"][name]
        assert service["network_mode"] == "service:sandbox"
        for variable, text in (service.get("environment") or {}).items():
            if variable.startswith("AIRFLOW_CONN_"):
                assert json.loads(text)["host"] in ("127.0.0.1", "http://127.0.0.1:8787")


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


def test_what_the_file_tells_to_do_names_what_there_is(file: Path, model: dict[str, Any]) -> None:
    told = file.read_text().partition("\nname: ")[0]
    (webhook,) = load_rotation_config(rotation_file(model)).webhooks
    assert webhook.webhook_name == register_webhook.NAME
    assert set(re.findall(r"featurebase_rotate__\w+", told)) == {webhook.dag_id}
    assert set(re.findall(r"compose (?:exec|logs|kill) (\S+)", told)) <= model["services"].keys()


def test_without_the_sandbox_as_the_hint_has_it_the_file_is_valid(tmp_path: Path) -> None:
    """The way to a real webhook."""
    hint = SMALL.read_text().partition("To rotate a real webhook")[2].partition("\nname: ")[0]
    gone = {"sandbox", "receiver", "webhook", "events"}
    assert all(re.search(rf"\b{name}\b", hint) for name in gone)
    written: dict[str, Any] = yaml.safe_load(SMALL.read_text())
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


def rotation_file(model: dict[str, Any]) -> Path:
    """What Airflow's containers see as the rotation file."""
    target = model["services"]["dag-processor"]["environment"]["AIRFLOW__FEATUREBASE__ROTATION_CONFIG"]
    (source,) = (one["source"] for one in model["services"]["dag-processor"]["volumes"] if one["target"] == target)
    return Path(source)


def test_airflow_and_the_receiver_of_the_cluster_share_no_folder(cluster: dict[str, Any]) -> None:
    """The secret comes by OpenBao and its agent."""
    with_it = {
        name
        for name, service in cluster["services"].items()
        if any(volume["source"] == "receiver-secret" for volume in service.get("volumes", []))
    }
    assert with_it == {"receiver", "openbao-agent", "webhook"}


def test_the_workers_of_the_cluster_are_told_apart(cluster: dict[str, Any]) -> None:
    """They have one network and so one host name: Celery must be given names, and each check asks for its own."""
    for name in ("worker-1", "worker-2"):
        service = cluster["services"][name]
        assert service["command"][-1] == name
        assert service["healthcheck"]["test"][-1] == f"celery@{name}"
        assert service["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"


def test_a_worker_has_time_to_end_its_tasks(cluster: dict[str, Any]) -> None:
    """Docker kills what has not stopped after 10 seconds, unless the file says otherwise."""
    (webhook,) = load_rotation_config(rotation_file(cluster)).webhooks
    assert webhook.probe is not None
    for name in ("worker-1", "worker-2"):
        minutes, _ = cluster["services"][name]["stop_grace_period"].split("m")
        assert timedelta(minutes=int(minutes)) > webhook.probe.timeout


def test_the_rotation_file_says_whose_it_is(file: Path, model: dict[str, Any]) -> None:
    assert re.findall(r"docker-compose[.\w]*\.yaml", rotation_file(model).read_text()) == [file.name]


def test_webhook_and_secret_outlive_a_restart_of_the_sandbox(tmp_path: Path) -> None:
    """The services sandbox, webhook and events in turn, without Docker; the sandbox is started twice."""
    state, secret_file, seen = tmp_path / "webhooks.json", tmp_path / "webhook.env", []
    for _ in range(2):
        with SandboxServer(state=state) as sandbox:
            register_webhook.main(sandbox.url, register_webhook.SecretFile(secret_file))
            (webhook,) = sandbox.state.webhooks.all()
            seen.append((webhook.id, webhook.secret, secret_file.read_text()))
            event = httpx.post(f"{sandbox.url}/_sandbox/events", json=told_event(), trust_env=False).json()
            assert len(event["eventIds"]) == 1
    assert seen[0] == seen[1]
    assert webhook.secret in secret_file.read_text()

    secret_file.unlink()
    with SandboxServer(state=state) as sandbox:
        register_webhook.main(sandbox.url, register_webhook.SecretFile(secret_file))
    assert webhook.secret in secret_file.read_text()


def told_event() -> dict[str, Any]:
    """What the service ``events`` sends."""
    service = yaml.safe_load(SMALL.read_text())["services"]["events"]
    (body,) = re.findall(r"--data '(.+?)'", service["entrypoint"][-1])
    event: dict[str, Any] = json.loads(body)
    return event
