"""Tells a text that holds more than one secret from one that is nothing but a secret."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_SECRET = re.compile(r"(?!WHSEC_[A-Z0-9_]*=[^=]|\w+=[\"']?whsec_)(?i:whsec_)\S*\Z")
"""Not ``WHSEC_PRODUCTION=...``, which is a variable."""
_VARIABLE = re.compile(r"(?:export[ \t]+)?[A-Za-z_][A-Za-z0-9_]*[ \t]*=")
_PROPERTY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*[ \t]*=")
_MAPPING = re.compile(r"(?:-[ \t]+)?[\"']?[A-Za-z_][A-Za-z0-9_.-]*[\"']?[ \t]*:(?=[ \t]|\Z)")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={1,2}\Z")
_BRACES = re.compile(r"\{\s*(?:\"[^\"]*\"|'[^']*'|[\w.-]+)\s*:")
_COMMENT = re.compile(r"\s*(?:[#!].*)?\Z")


class MoreThanSecret(NamedTuple):
    """What a text is instead of a bare secret, and how a store that is to hold it is configured."""

    what: str
    advice: str


def more_than_secret(text: str) -> MoreThanSecret | None:
    """What would be lost, were the text replaced by the bare secret; None where that is one value.

    White space around a value is no part of it. A text in Base64 may end in ``=`` and still is a value.
    """
    text = text.strip("\ufeff \t\r\n")
    if json_kind := _json_kind(text):
        if json_kind == "text":
            return MoreThanSecret(
                "a JSON text in quotes", "Store it without the quotes, or as a JSON object with a key"
            )
        return MoreThanSecret(f"a JSON {json_kind}", _naming("json" if json_kind == "object" else None))
    if _BRACES.match(text):  # comments and trailing commas are no JSON, and many readers take them
        return MoreThanSecret(
            "an object in braces",
            "Write format: json (yaml, if it is no strict JSON) and the key that holds the secret",
        )
    lines = [line.strip() for line in text.splitlines() if not _COMMENT.match(line)]
    kinds = {_kind(line) for line in lines}
    several = len(text.splitlines()) > 1
    for name, what in (("dotenv", "variables (KEY=...)"), ("properties", "properties"), ("yaml", "YAML")):
        if name in kinds:
            return MoreThanSecret(what, _naming(name))
    return MoreThanSecret("several lines", _naming(None)) if several else None


def _json_kind(text: str) -> str | None:
    if text[:1] not in {"{", "[", '"'}:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "text"


def _kind(line: str) -> str | None:
    if _SECRET.match(line) or _is_base64(line):
        return None
    for name, pattern in (("dotenv", _VARIABLE), ("properties", _PROPERTY), ("yaml", _MAPPING)):
        if pattern.match(line):
            return name
    return None


def _is_base64(line: str) -> bool:
    """Whether a text that looks like ``KEY=`` is a value in Base64: names mix no cases and digits, values do."""
    mixed = all(re.search(kind, line) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return bool(_BASE64.match(line)) and len(line) % 4 == 0 and mixed


def _naming(name: str | None) -> str:
    if name is None:
        return "Name the place of the secret alone, or the text's format and the key in it"
    return f"Write format: {name} and the key that holds the secret"
