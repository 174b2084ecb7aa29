"""What a file of the corpus is: a text of a shape that people have, and what is to become of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.featurebase.trial_secret import trial_like
from featurebase_provider.stores.shared.format_names import FormatName, format_of_name, text_format
from featurebase_provider.stores.shared.formats import Contents, KeyPath, TextFormat

OLD = "whsec_theOldOne/0123+abcXYZ=="
BEFORE = "whsec_theOneBefore+/09"
THEIRS = "theirs-51e6"
"""A value of somebody else, which no message may show."""
NEW = trial_like(SigningSecret(OLD)).reveal()


@dataclass(frozen=True)
class Shape:
    """A file.

    :param name: as people name such a file; it tells the format.
    :param text: ``<old>`` stands for the current secret, ``<before>`` for the previous one.
    :param key: where the current secret lies.
    :param previous_key: where the previous one lies.
    :param blind: readers of the format that can't read our key in this file, with or without us, and why.
    :param refused: part of the message by which the file is refused; empty where it is edited.
    """

    name: str
    text: str = field(repr=False)
    key: KeyPath = ("FEATUREBASE_WEBHOOK_SECRET",)
    previous_key: KeyPath = ("FEATUREBASE_WEBHOOK_SECRET_PREVIOUS",)
    blind: dict[str, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def format(self) -> FormatName:
        return format_of_name(self.name)

    @cached_property
    def before(self) -> str:
        return self.text.replace("<old>", OLD).replace("<before>", BEFORE)

    def form(self, *, keeps_previous: bool = True) -> TextFormat:
        return text_format("a store", self.format, self.key, self.previous_key if keeps_previous else None)

    @cached_property
    def rotated(self) -> str:
        """After a rotation that keeps no previous secret."""
        return self.form(keeps_previous=False).edit(self.before, Contents(NEW))

    @cached_property
    def kept(self) -> str:
        """After a rotation that keeps the secret that it replaced."""
        return self.form().edit(self.before, Contents(NEW, OLD))

    @cached_property
    def dropped(self) -> str:
        """After the previous secret was dropped, too."""
        return self.form().edit(self.kept, Contents(NEW))

    def __str__(self) -> str:
        return self.name
