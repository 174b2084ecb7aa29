"""Stores whose place holds a text, of which our part is all, or what lies under a key in some format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import model_validator

from featurebase_provider.stores.shared.keyed import Key, KeyedStore, path_of

if TYPE_CHECKING:
    from featurebase_provider.stores.base import StoreConfig
    from featurebase_provider.stores.shared.format_names import FormatName
    from featurebase_provider.stores.shared.text import SecretText

DEFAULT_KEY = {"json": "current", "dotenv": "FEATUREBASE_WEBHOOK_SECRET"}
DEFAULT_PREVIOUS_KEY = {"json": "previous"}

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


class FormattedStore(KeyedStore):
    """A place that holds one text.

    :param format: ``raw`` (nothing but the secret), ``json``, ``dotenv``, ``yaml`` or ``properties``.
    :param key: where the secret lies in the text.
    :param previous_key: where the previous secret lies in the text.
    """

    if TYPE_CHECKING:  # each type declares them itself, in the order in which their defaults depend on each other
        format: FormatName
        key: Key | None
        previous_key: Key | None
        create: bool

    @model_validator(mode="after")
    def _check_format(self) -> FormattedStore:
        check_keys(self.format, ("key", self.key), ("previous_key", self.previous_key))
        return self

    @property
    def edited_format(self) -> str | None:
        """Its format, unless that is ``raw``."""
        return None if self.format == "raw" else self.format

    @property
    def how_to_keep_previous(self) -> str:
        """Under a key of its own, which a format with keys has."""
        return "previous_key" if self.key else "a format with keys, such as json, with key and previous_key"

    def secret_text(self, *, missing: str | None = "the secret does not exist", line_break: bool = False) -> SecretText:
        """How the secret lies in the text.

        :param missing: what to say where there is no text; None where one may always be made.
        :param line_break: whether a line break at the end of a text is no part of a ``raw`` secret.
        """
        return secret_text_of(
            self, self.format, self.key, self.previous_key, create=self.create, missing=missing, line_break=line_break
        )


def secret_text_of(
    store: StoreConfig,
    name: FormatName,
    key: str | tuple[str, ...] | None,
    previous: str | tuple[str, ...] | None,
    *,
    create: bool,
    missing: str | None,
    line_break: bool,
) -> SecretText:
    """How the secret lies in a store's text; the arguments are as for :meth:`FormattedStore.secret_text`."""
    from featurebase_provider.stores.shared.format_names import text_format
    from featurebase_provider.stores.shared.text import SecretText

    path, previous_path = path_of(key) if key else None, path_of(previous) if previous else None
    form = text_format(store.full_name, name, path, previous_path, line_break=line_break)
    return SecretText(store.full_name, form, key=path, previous_key=previous_path, create=create, missing=missing)


def check_keys(
    name: FormatName, key: tuple[str, str | tuple[str, ...] | None], previous: tuple[str, str | tuple[str, ...] | None]
) -> None:
    """Make sure that a format has the keys that it needs.

    :param key: the field's name in the configuration, and what it says.
    :param previous: the same for the previous secret.
    :raises ValueError: it does not.
    """
    paths = [path_of(value) for _, value in (key, previous) if value]
    if name == "raw" and paths:
        alone = "" if key[1] else f", and {previous[0]} needs {key[0]}"
        leave = f"write format: json, or leave out {key[0]} and {previous[0]}"
        raise ValueError(f"the format raw has no keys{alone}; {leave}")
    if name != "raw" and not key[1]:
        raise ValueError(f"the format {name} needs a key: say under {key[0]} where in the text the secret lies")
    if name == "dotenv" and not all(len(path) == 1 and re.fullmatch(_VARIABLE, path[0]) for path in paths):
        raise ValueError("a dotenv key has letters, digits and underscores, and starts with no digit")
    if len(paths) == 2 and ".".join(paths[0]) == ".".join(paths[1]):  # as in a target, and in properties
        raise ValueError(f"{key[0]} and {previous[0]} must differ")
    if name in {"json", "yaml"} and len(paths) == 2 and any(a[: len(b)] == b for a, b in (paths, reversed(paths))):
        raise ValueError(f"{key[0]} and {previous[0]} must lie beside one another, neither in the other")
