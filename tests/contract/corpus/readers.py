"""Programs that read configuration files, each asked what it sees in a text."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dotenv
import javaproperties
import jproperties
import ruamel.yaml
import yaml

from featurebase_provider.stores.shared.format_names import FormatName

Tree = Any
"""What a reader sees: mappings, lists and plain values; None where it gives up."""

NODE: Mapping[FormatName, tuple[str, ...]] = {
    "dotenv": ("node", "npm dotenv"),
    "json": ("node JSON",),
    "yaml": ("npm yaml", "npm js-yaml"),
}


def _python_dotenv(text: str) -> Tree:
    return dict(dotenv.dotenv_values(stream=io.StringIO(text)))


def _bash(text: str) -> Tree:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.env"
        file.write_text(text, newline="")
        done = subprocess.run(
            ["bash", "-c", 'set -a; . "$1"; exec env -0', "bash", str(file)],
            cwd="/",  # a file may name the folder
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
        )
    pairs = (part.split("=", 1) for part in done.stdout.decode().split("\0") if part)
    return {name: value for name, value in pairs if name not in {"PWD", "SHLVL", "_", "PATH"}}


def _json(text: str) -> Tree:
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except ValueError:
        return None


def _jproperties(text: str) -> Tree:
    found = jproperties.Properties()
    found.load(text)
    return {key: value.data for key, value in found.items()}


PYTHON: Mapping[FormatName, Mapping[str, Callable[[str], Tree]]] = {
    "dotenv": {"python-dotenv": _python_dotenv, "bash": _bash},
    "json": {"python": _json},
    "yaml": {"PyYAML": yaml.safe_load, "ruamel.yaml": ruamel.yaml.YAML(typ="safe", pure=True).load},
    "properties": {"javaproperties": javaproperties.loads, "jproperties": _jproperties},
}


def read_in_node(folder: Path, asked: list[tuple[str, str]]) -> list[Tree]:
    """What Node and packages from npm see.

    :param folder: where the packages are installed.
    :param asked: pairs of a reader's name and a text.
    """
    done = subprocess.run(
        ["node", "read.mjs"],
        cwd=folder,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seen: list[Tree] = json.loads(done.stdout)
    return seen


def read_by_node_itself(text: str) -> Tree:
    """What ``node --env-file`` puts into the environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.env"
        file.write_text(text, newline="")
        done = subprocess.run(
            ["node", f"--env-file={file}", "-p", "JSON.stringify(process.env)"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    return {name: value for name, value in json.loads(done.stdout).items() if name != "PATH"}


def read_by_compose(compose: str, texts: list[str]) -> list[Tree]:
    """What Compose gives services whose ``env_file`` the texts are.

    :param compose: the program.
    """
    with tempfile.TemporaryDirectory() as folder:
        services = {}
        for number, text in enumerate(texts):
            (Path(folder) / f"{number}.env").write_text(text, newline="")
            services[f"service{number}"] = {"image": "none", "env_file": [f"{number}.env"]}
        (Path(folder) / "compose.json").write_text(json.dumps({"services": services}))
        done = subprocess.run(
            [compose, "-f", "compose.json", "config", "--format", "json"],
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    found = json.loads(done.stdout)["services"]
    return [found[f"service{number}"].get("environment", {}) for number in range(len(texts))]
