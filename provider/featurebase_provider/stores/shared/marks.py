"""Our mark on what a store holds, as the named texts that the vendor keeps beside a value: tags, labels, metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from featurebase_provider.rotation.store import MANAGED_BY, StoreMark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FACTS = ("webhook_id", "fingerprint", "managed_from", "managed_by")


def _as_it_is(text: str) -> str:
    return text


def _aws_escaped(text: str) -> str:
    return quote(text, safe=":/.-_@+ ").replace("~", "%7E").replace("%", "=")


def _aws_read(text: str) -> str:
    return unquote(text.replace("=", "%"))


@dataclass(frozen=True, slots=True)
class MarkCodec:
    """Writes a mark as named texts and reads it back.

    The names on stored secrets never change: a mark that an older version of this provider left is read.

    :param prefix: what the names begin with, so that ours are told from everybody else's.
    :param between: what stands between the words of a name.
    :param longest: characters that the vendor takes; what is longer is cut.
    :param escape: spells what the vendor's texts can't hold.
    :param unescape: reads that back.
    """

    prefix: str = "featurebase-"
    between: str = "-"
    longest: int | None = None
    escape: Callable[[str], str] = _as_it_is
    unescape: Callable[[str], str] = _as_it_is

    @property
    def names(self) -> tuple[str, ...]:
        """The names of our texts."""
        return tuple(self.prefix + fact.replace("_", self.between) for fact in _FACTS)

    def texts_of(self, mark: StoreMark) -> dict[str, str]:
        """The mark as the vendor keeps it."""
        facts = (getattr(mark, fact) for fact in _FACTS)
        return {name: self.escape(fact)[: self.longest] for name, fact in zip(self.names, facts, strict=True)}

    def own(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Those of the texts that are ours."""
        return {name: texts[name] for name in self.names if name in texts}

    def mark_in(self, texts: Mapping[str, str]) -> StoreMark | None:
        """Our mark, whatever value is there now: it outlives one that somebody else replaces."""
        facts = [self.unescape(texts.get(name, "")) for name in self.names]
        *told, managed_by = facts
        return StoreMark(*told) if managed_by == MANAGED_BY and all(told) else None


LABELS = MarkCodec(longest=256)
"""Annotations of Google Cloud, and tags of Azure: 256 characters."""
VAULT_METADATA = MarkCodec(longest=512)
AWS_TAGS = MarkCodec(longest=256, escape=_aws_escaped, unescape=_aws_read)
"""What tags can't hold is written ``=XX``."""
S3_METADATA = MarkCodec(escape=lambda text: quote(text, safe=":/.-_ "), unescape=unquote)
"""S3 keeps ASCII."""
NOTE = MarkCodec(prefix="", between="_")
"""A JSON object of our own, such as the one in a Kubernetes annotation."""
