"""Makes text that came from outside fit for a message or a log."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"
SHORTEST_SECRET = 4
"""Characters; to remove a shorter value would garble the text and hide nothing."""

# Featurebase's own prefixes: signing secrets and API keys.
_TOKEN = re.compile(r"(?:whsec|\bsk)_[^\s\"'`,;<>()\[\]{}]+")


def forms_of(value: str) -> list[str]:
    """A secret as it is, URL- and base64-encoded, JSON- and repr-escaped: the forms in which text may quote it."""
    raw = value.encode()
    forms = [
        value,
        quote(value, safe=""),
        quote_plus(value),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        json.dumps(value)[1:-1],
        repr(f'{value}"')[1:-2],
        repr(f"{value}'\"")[1:-4],  # where the text around it has both kinds of quotes
    ]
    return list(dict.fromkeys(forms))


def clean_text(text: str, *, secrets: Iterable[str] = (), limit: int = 300) -> str:
    """Remove control characters and secrets from ``text``, then shorten it.

    :param text: text of unknown origin, for example an error message of the API.
    :param secrets: values that must not be shown in any form, beside everything that looks like a Featurebase token.
    :param limit: most characters to return.
    """
    # In this order: a control character within a secret, or a cut through it, would hide it from the search.
    text = "".join(map(_printable, text))
    forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in forms_of(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    text = _TOKEN.sub(REDACTED, text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    # C*: control, format (text direction marks among them), surrogate, private and unassigned characters.
    return "" if unicodedata.category(character).startswith("C") else character
