"""Makes text that came from outside fit for a message or a log."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"

# Featurebase's own prefixes: signing secrets and API keys.
_TOKEN = re.compile(r"(?:whsec|\bsk)_[^\s\"'`,;<>()\[\]{}]+")


def clean_text(text: str, *, secrets: Iterable[str] = (), limit: int = 300) -> str:
    """Remove control characters and secrets from ``text``, then shorten it.

    :param text: text of unknown origin, for example an error message of the API.
    :param secrets: values that must not be shown, beside everything that looks like a Featurebase token.
    :param limit: most characters to return.
    """
    # In this order: a control character within a secret, or a cut through it, would hide it from the search.
    text = "".join(map(_printable, text))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    text = _TOKEN.sub(REDACTED, text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    # C*: control, format (text direction marks among them), surrogate, private and unassigned characters.
    return "" if unicodedata.category(character).startswith("C") else character
