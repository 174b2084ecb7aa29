"""Reads a response although some of its fields are invalid; only a few required fields must be valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic.alias_generators import to_snake

from featurebase_provider.featurebase.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

T = TypeVar("T")

_CONFIDENTIAL = ("secret", "requestConfig")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class OddField:
    """A field that could not be read.

    :param name: its path, such as ``lastStatus.timestamp``, safe for a log line.
    :param confidential: its texts and numbers, if they must not be shown.
    """

    name: str
    confidential: tuple[SecretStr, ...] = field(default=(), repr=False)


def read_what_can_be(
    document: Any, read: Callable[[Any], T], *, required: Collection[str]
) -> tuple[T, tuple[OddField, ...]]:
    """Read a document, leaving out each invalid field.

    :param read: builds the value; raises ValidationError.
    :param required: names of the fields that must be valid.
    :returns: the value, and the fields that were left out.
    :raises ValidationError: the document is not an object, or a required field is invalid.
    """
    odd: list[OddField] = []
    while True:
        try:
            return read(document), tuple(odd)
        except ValidationError as exc:
            faults = exc.errors(include_url=False, include_context=False, include_input=False)
            paths = list(dict.fromkeys(fault["loc"] for fault in faults))
            if not isinstance(document, dict) or any(path[0] in required for path in paths):
                raise
        document = dict(document)
        odd += [_take_out(document, path) for path in reversed(paths)]  # a list's last items first


def _take_out(document: Any, path: tuple[int | str, ...]) -> OddField:
    """Remove the value at ``path``, or its nearest parent, from the document; containers on the path are copied."""
    key = _key(document, path[0])
    taken = [key]
    for step in path[1:]:
        if _key(document[key], step) is None:
            break
        document[key] = document[key].copy()
        document, key = document[key], _key(document[key], step)
        taken.append(key)
    value = document.pop(key)
    secrets = tuple(map(SecretStr, _texts_in(value))) if path[0] in _CONFIDENTIAL else ()
    return OddField(clean_text(".".join(map(str, taken)), limit=_LONGEST_NAME), secrets)


def _key(container: Any, step: int | str) -> Any:
    if isinstance(container, list):
        return step if isinstance(step, int) else None
    if isinstance(container, dict):
        return next((name for name in (step, to_snake(str(step))) if name in container), None)
    return None


def _texts_in(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            left += part.values()
        elif isinstance(part, list):
            left += part
        elif isinstance(part, (str, int, float)) and not isinstance(part, bool):
            yield str(part)
