"""Makes untrusted text safe for messages and logs."""

from __future__ import annotations

import base64
import json
import re
import string
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

REDACTED = "[redacted]"
SHORTEST_SECRET = 4
"""In characters. Removing shorter values would garble the text and hide nothing."""

STARTS_CREDENTIAL = "(?:(?<![a-z])sk_|sk_(?:live|test)_|whsec_)"
"""Matches the start of Featurebase's API keys and signing secrets."""
_TOKEN = STARTS_CREDENTIAL + r"[^\s\"'`,;<>()\[\]{}]+"
_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})


def forms_of(value: str) -> list[str]:
    """The forms in which text may quote a secret: as it is, URL- and base64-encoded, JSON- and repr-escaped."""
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
    :param secrets: values to remove in every form, in addition to everything that looks like a Featurebase token.
    :param limit: most characters to return.
    """
    # In this order: a control character within a secret, or a cut through it, would hide it from the search.
    text = "".join(map(_printable, text))
    forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in forms_of(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    text = without_tokens(text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def without_tokens(text: str) -> str:
    """Remove everything that looks like an API key or a signing secret of Featurebase."""
    return re.sub(_TOKEN, REDACTED, text, flags=re.IGNORECASE) if may_have_token(text) else text


def may_have_token(text: str) -> bool:
    """Whether a text has to be searched for API keys and signing secrets at all.

    Airflow parses Dag files again and again, and to compile the pattern for that takes longer than this.
    """
    folded = text.casefold()  # as IGNORECASE does, which takes more than the 26 letters
    return "sk_" in folded or "whsec_" in folded


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    # C*: control, format (text direction marks among them), surrogate, private and unassigned characters.
    return "" if unicodedata.category(character).startswith("C") else character


def one_line(text: str | None, limit: int | None = 200) -> str:
    """Make an untrusted text safe for a log line: printable, on one line, at most ``limit`` characters.

    :param limit: None for no limit.
    """
    clean = "".join(char if char.isprintable() else " " for char in text or "")
    return " ".join(clean.split())[:limit]


def what_became_of(written: str, seen: str) -> str:
    """How a text that comes back was changed, where that can be told: without a character of either.

    :returns: ``with white space around it``, ``in another case``, ``cut to 40 of 64 characters``, or nothing.
    """
    if seen.strip() == written:
        return "with white space around it"
    if seen.casefold() == written.casefold():
        return "in another case"
    if written.startswith(seen):
        return f"cut to {len(seen)} of {len(written)} characters"
    return ""


def in_words(span: timedelta) -> str:
    """A duration for people: ``2 d 3 h``, ``1 h 5 min``, ``45 s``; negative ones become ``0 s``."""
    seconds = max(int(span.total_seconds()), 0)
    sizes = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = []
    for size, unit in sizes:
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"


def markdown_safe(text: str) -> str:
    """Escape a text for Airflow's Markdown, which renders HTML too: all ASCII punctuation (CommonMark, 2.4)."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean.translate(_ESCAPED)
