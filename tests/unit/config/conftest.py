from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.config import ConfigError, RotationConfig, load_rotation_config

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[[str], RotationConfig]
Faults = Callable[[str], list[tuple[int, str, str]]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a rotation file with this text."""

    def from_text(text: str) -> RotationConfig:
        file = tmp_path / "rotation.yaml"
        file.write_text(text, encoding="utf-8")
        return load_rotation_config(file)

    return from_text


@pytest.fixture
def faults(load: Load) -> Faults:
    """Load a text that is wrong, and give line, field and message of each fault."""

    def from_text(text: str) -> list[tuple[int, str, str]]:
        with pytest.raises(ConfigError) as caught:
            load(text)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        return [(fault.line, fault.field, fault.message) for fault in caught.value.faults]

    return from_text


@pytest.fixture
def one_webhook() -> Callable[[str], str]:
    """A file with one webhook that is right, and further lines of it."""

    def text(*lines: str) -> str:
        head = """webhooks:
  - name: production
    webhook_id: 507f1f77bcf86cd799439011
    stores: [{type: airflow_variable, name: signing}]
"""
        return head + "".join(f"    {line}\n" for line in lines)

    return text
