"""Finds what looks like a credential, so that it is refused and never repeated."""

from __future__ import annotations

import re

from featurebase_provider.featurebase.text import STARTS_CREDENTIAL, without_tokens

_VALUE = re.compile(rf"^\s*(?:bearer\s+)?{STARTS_CREDENTIAL}", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_FIELD = re.compile(
    r"api_?key|passw(or)?d|passwd|passphrase|^pass$|token|credential|authorization|private_?key"
    r"|access_?key|signing_?secret|webhook_?secret|client_?secret|secret_?key|^secret$|^login$",
    re.IGNORECASE,
)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")

ADVICE = (
    "Credentials have no place in this file: keep the API key in the Airflow connection's password field, and "
    "a store's login in the store's own connection. Replace this one at its source, since it was written here"
)


def is_credential(value: str) -> bool:
    """Whether a text looks like an API key, a signing secret, or a URL with a password in it."""
    return bool(_VALUE.search(value) or _USERINFO.search(value))


def names_credential(field: str) -> bool:
    """Whether a field's name says that it holds a credential."""
    return bool(_FIELD.search(field.replace("-", "_")))


def shown_key(key: str) -> str:
    """A mapping's key as it may appear in a message: only a plain name is repeated."""
    return key if _PLAIN_KEY.fullmatch(key) and without_tokens(key) == key else "?"


def shown_value(value: object) -> str:
    """A short value in quotes, for a message; a long one or one like a credential stays unsaid."""
    text = str(value)
    if len(text) > 60 or is_credential(text) or without_tokens(text) != text:
        return "the value"
    return f'"{text}"' if text.isprintable() else repr(text)
