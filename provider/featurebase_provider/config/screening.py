"""Looks through the whole file for what may stand nowhere in it, whatever the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featurebase_provider.config.credentials import ADVICE, is_credential
from featurebase_provider.config.document import Key, Node, field_name
from featurebase_provider.config.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def screen(root: Node) -> Iterator[Fault]:
    r"""Texts that look like a credential, and texts with control characters that came in as escapes."""
    yield from _below(root, ())


def _below(node: Node, path: tuple[Key, ...]) -> Iterator[Fault]:
    if isinstance(node.value, str):
        yield from _text_faults(node.value, node.line, path)
    for key, child in node.children():
        if isinstance(key, str):
            yield from _text_faults(key, node.key_lines[key], (*path, key))
        yield from _below(child, (*path, key))


def _text_faults(text: str, line: int, path: tuple[Key, ...]) -> Iterator[Fault]:
    if is_credential(text):
        yield Fault(line, field_name(path), f"this looks like a credential. {ADVICE}")
    if _BROKEN.search(text):
        yield Fault(line, field_name(path), "the text holds a control character or a broken one")
