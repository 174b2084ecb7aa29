"""The errors in a rotation file: all of them at once, in words that repeat no credential."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.text import STARTS_CREDENTIAL, without_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

_VALUE = re.compile(rf"^\s*(?:bearer\s+)?{STARTS_CREDENTIAL}", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_FIELD = re.compile(
    r"api_?key|passw(or)?d|passwd|passphrase|^pass$|token|credential|authorization|private_?key"
    r"|access_?key|signing_?secret|webhook_?secret|client_?secret|secret_?key|^secret$|^login$",
    re.IGNORECASE,
)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Key = str | int
"""A key of a mapping, or an index of a list."""

ADVICE = (
    "Credentials must not be in this file: keep the API key in the Airflow connection's password field, and a store's "
    "login in the store's own connection. Revoke and replace this credential, since it was written here"
)

_SHOWN = 50
DISAGREEMENT = "disagreement"
"""Pydantic's error type for fields that contradict each other."""


def is_credential(value: str) -> bool:
    """Whether a text looks like an API key, a signing secret, or a URL with a password in it."""
    return bool(_VALUE.search(value) or _USERINFO.search(value))


def names_credential(field: str) -> bool:
    """Whether a field's name says that it holds a credential."""
    return bool(_FIELD.search(field.replace("-", "_")))


def shown_key(key: str) -> str:
    """A mapping's key for a message: only a plain name is shown."""
    return key if _PLAIN_KEY.fullmatch(key) and without_tokens(key) == key else "?"


def shown_value(value: object) -> str:
    """A short value in quotes, for a message; "the value" if it is long or looks like a credential."""
    text = str(value)
    if len(text) > 60 or is_credential(text) or without_tokens(text) != text:
        return "the value"
    return f'"{text}"' if text.isprintable() else repr(text)


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a field in the file.

    :param field: its name, whether or not the file has it.
    :param line: its line, or the line of the deepest part of its path that the file has.
    :param found: whether the file has it.
    """

    field: str
    line: int
    found: bool = True


def field_name(path: tuple[Key, ...]) -> str:
    """A path as people write it: ``webhooks[0].probe.timeout``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{shown_key(key)}"
    return text.removeprefix(".")


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One error in the rotation file.

    :param line: line in the file, counted from 1; 0 if no single line is wrong (for example, a missing file).
    :param field: the field, such as ``webhooks[0].probe.timeout``; empty if the error concerns the whole file.
    :param message: what is wrong and what is allowed; never a value that could be a secret.
    """

    line: int
    field: str
    message: str

    def within(self, path: str) -> str:
        """The error with its file and line, in the form that editors understand: ``path:line: field: message``."""
        place = f"{path}:{self.line}" if self.line and path else path
        return ": ".join(part for part in (place, self.field, self.message) if part)


class ConfigError(FeaturebaseError):
    """The rotation file can't be used; no rotation Dag is built from it, and nothing else was changed.

    :param path: the rotation file, or empty if no file is configured.
    :param faults: every error found, in the order of the file.
    """

    retry_helps = False

    def __init__(self, path: str, faults: tuple[Fault, ...]) -> None:
        super().__init__(path, faults)
        self.path, self.faults = path, faults

    def __str__(self) -> str:
        count = "1 error" if len(self.faults) == 1 else f"{len(self.faults)} errors"
        what = f"{count} in the rotation file" if self.path else "no rotation file is configured"
        lines = [f"{what}; no rotation Dag is built until this is fixed:"]
        lines += [fault.within(self.path) for fault in self.faults[:_SHOWN]]
        if (hidden := len(self.faults) - _SHOWN) > 0:
            lines.append(f"... and {hidden} more")
        return "\n".join(lines)


class FileUnusable(ConfigError):
    """There is no rotation file to check: none is configured, or it can't be read as text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Fields that contradict each other.

    :param fields: their names, beginning with the one to change.
    :param message: why they contradict each other.
    :param loc: the path of the one to change, if it is not a top-level field.
    """

    fields: tuple[str, ...]
    message: str
    loc: tuple[str | int, ...] = ()


def disagreement(problems: Iterable[Problem]) -> ValidationError:
    """An error for a model's validator to raise, with each problem at its own field."""
    details = [
        InitErrorDetails(
            # The message is passed as a value: braces in it would be read as a template.
            type=PydanticCustomError(DISAGREEMENT, "{message}", {"message": p.message, "fields": p.fields}),
            loc=p.loc or (p.fields[0],),
            input=None,
        )
        for p in problems
    ]
    return ValidationError.from_exception_data("rotation file", details, hide_input=True)
