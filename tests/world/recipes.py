"""The configuration examples of the documentation, so that tests run what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "docs" / "stores"


def block(page: str, heading: str, language: str) -> str:
    """The first block of a language below a heading of a store's page."""
    _, _, section = (FOLDER / page).read_text().partition(f"# {heading}\n")
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"{page} has no {language} under {heading}")
    return found.group(1)


def recipe(page: str, heading: str, **changes: str) -> dict[str, Any]:
    """The first store in the yaml block below a heading.

    :param changes: texts to replace in the example, before it is read.
    """
    text = block(page, heading, "yaml")
    for old, new in changes.items():
        text = text.replace(old, new)
    store: dict[str, Any] = yaml.safe_load(text)["webhooks"][0]["stores"][0]
    return store
