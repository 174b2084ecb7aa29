"""Which format a text has: as the configuration names it, or as a file's name tells."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.stores.shared.formats import KeyPath, TextFormat

FormatName = Literal["raw", "json", "dotenv", "yaml", "properties"]
"""``raw``: the text is nothing but the secret."""

_SUFFIXES: dict[str, FormatName] = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".properties": "properties"}
_DOTENV = r"\.env(?:rc)?(?:[._-].*)?\Z"


def format_of_name(path: str) -> FormatName:
    """The format that a file's name tells, whatever its case: ``c.JSON``, ``.envrc``, ``app.env.production``."""
    name = posixpath.basename(path).lower()
    return _SUFFIXES.get(posixpath.splitext(name)[1], "dotenv" if re.search(_DOTENV, name) else "raw")


def text_format(
    store: str, name: FormatName, key: KeyPath | None, previous_key: KeyPath | None, *, line_break: bool = True
) -> TextFormat:
    """The format of that name, with our keys.

    :param store: the store's name, for messages.
    :param key: where the current secret lies; None for ``raw``.
    :param previous_key: where the previous one lies; None keeps none.
    :param line_break: False where a line break at the end of a ``raw`` text is part of the value.
    """
    from featurebase_provider.stores.shared.formats import RawFormat
    from featurebase_provider.stores.shared.formats.dotenv import DotenvFormat
    from featurebase_provider.stores.shared.formats.json import JsonFormat
    from featurebase_provider.stores.shared.formats.properties import PropertiesFormat
    from featurebase_provider.stores.shared.formats.yaml import YamlFormat

    if name == "raw" or key is None:
        return RawFormat(store, line_break=line_break)
    classes: dict[str, Callable[[str, KeyPath, KeyPath | None], TextFormat]] = {
        "json": JsonFormat,
        "dotenv": DotenvFormat,
        "yaml": YamlFormat,
        "properties": PropertiesFormat,
    }
    return classes[name](store, key, previous_key)
