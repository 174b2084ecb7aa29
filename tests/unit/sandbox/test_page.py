"""docs/sandbox.md names what there is, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.cli import main
from featurebase_provider.sandbox.control_routes import CONTROL_PREFIX, ForceInput
from featurebase_provider.sandbox.faults import FaultInput, FaultKind
from featurebase_provider.sandbox.gate import API_PREFIX, VERSIONS
from featurebase_provider.sandbox.inputs import CreateInput, RequestConfigInput, UpdateInput
from featurebase_provider.sandbox.server import ReceiverServer, SandboxServer

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def rows_of(chapter: str) -> dict[str, str]:
    """The first table of a chapter: what is in code in each row's first cell, and the rest of the row."""
    text = PAGE.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    return {name: rest for name, rest in re.findall(r"^\| `([^`]+)` \|(.+)\|$", text, re.MULTILINE)}


def calls_of(app: FastAPI, prefix: str) -> set[str]:
    return {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, APIRoute) and route.path.startswith(prefix)
        for method in route.methods
    }


def test_page_has_every_control_call(app):
    assert set(rows_of("Control")) == calls_of(app, CONTROL_PREFIX)


def test_page_has_every_call_of_the_api(app):
    rows = rows_of("The API")
    assert set(rows) == calls_of(app, API_PREFIX)
    create, update = rows["POST /v2/webhooks"], rows["PATCH /v2/webhooks/{webhook_id}"]
    for name in (*CreateInput.model_fields, *RequestConfigInput.model_fields):
        assert f"`{name}`" in create
    for name in UpdateInput.model_fields.keys() - CreateInput.model_fields.keys():
        assert f"`{name}`" in update


@pytest.mark.asyncio
async def test_page_tells_what_the_version_header_does(api):
    chapter = PAGE.split("\n**The version header.**")[1].split("\n\n")[0]
    assert [version for version in VERSIONS if f"`{version}`" not in chapter] == []
    del api.headers["Featurebase-Version"]
    answer = await api.get("/v2/webhooks")
    assert f"{answer.status_code},\n`{answer.json()['error']['code']}`" in chapter


def test_the_pages_first_webhook_delivers_to_the_receiver(tmp_path):
    """What its curl sends is sent, and its line of Python is run."""
    chapter = PAGE.split("\n## A first webhook\n")[1].split("\n## ")[0]
    sent = re.findall(r"curl -s http://127.0.0.1:8787(\S+)(.*?)-d '(.+?)'", chapter, re.DOTALL)
    script = re.search(r"python3 -c '(.+?)' > feedback.env", chapter).group(1)
    file = tmp_path / "feedback.env"
    with SandboxServer() as sandbox, ReceiverServer(file, key="FEATUREBASE_WEBHOOK_SECRET") as receiver:
        answers = []
        for path, options, body in sent:
            if answers:
                (tmp_path / "webhook.json").write_bytes(answers[0].content)
                made = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True)
                file.write_bytes(made.stdout)
            headers = dict(re.findall(r'-H "([^:]+): ([^"]+)"', options))
            content = body.replace("http://127.0.0.1:8788", receiver.url)
            answers.append(httpx.post(f"{sandbox.url}{path}", content=content, headers=headers, trust_env=False))
        assert [answer.status_code for answer in answers] == [201, 202]
        give_up = time.monotonic() + 60
        while not httpx.get(f"{receiver.url}/received", trust_env=False).json():
            assert time.monotonic() < give_up
            time.sleep(0.01)


def test_page_has_what_can_be_forced():
    row = rows_of("Control")["POST /_sandbox/webhooks/{webhook_id}"]
    assert {name for name in re.findall(r"`(\w+)`", row) if name != "suspended"} == set(ForceInput.model_fields)


def test_page_has_every_switch_with_its_values():
    rows = rows_of("Switches")
    assert set(rows) == set(Behaviour.model_fields)
    for name, field in Behaviour.model_fields.items():
        choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
        values = rows[name].split(" | ")[0]
        assert re.findall(r"`(\w+)`", values) == (choices if name != "retry_signing" else ["current", "first"])


def test_page_has_every_kind_of_fault_with_its_fields():
    assert set(rows_of("Faults")) == set(get_args(FaultKind))
    chapter = PAGE.split("\n## Faults\n")[1].split("\n## ")[0]
    for name in FaultInput.model_fields:
        assert re.search(rf'[`"]{name}[`":]', chapter), name


@pytest.mark.parametrize("command", ["serve", "receiver"])
def test_page_has_every_option(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--host"}
    switches = {f"--{name.replace('_', '-')}" for name in Behaviour.model_fields}
    assert options - (switches if command == "serve" else set()) <= set(re.findall(r"--[a-z-]+", PAGE))
