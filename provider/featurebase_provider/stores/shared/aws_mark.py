"""Our mark as tags of something in AWS, beside everybody else's tags."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from featurebase_provider.rotation.store import MANAGED_BY, StoreMark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MARK_PREFIX = "featurebase-"


def tags_of(mark: StoreMark) -> list[dict[str, str]]:
    """Our mark as tags; characters that tags cannot hold are written ``=XX``."""
    facts = {
        "webhook-id": mark.webhook_id,
        "fingerprint": mark.fingerprint,
        "managed-from": mark.managed_from,
        "managed-by": mark.managed_by,
    }
    return [
        {"Key": _MARK_PREFIX + name, "Value": quote(value, safe=":/.-_@+ ").replace("~", "%7E").replace("%", "=")[:256]}
        for name, value in facts.items()
    ]


def own_tags(tags: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Those of an object's tags that are ours."""
    return [{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags if tag["Key"].startswith(_MARK_PREFIX)]


def mark_in(tags: Iterable[Mapping[str, str]]) -> StoreMark | None:
    """Our mark, whatever value is there now: tags outlive one that somebody else replaces."""
    facts = {tag["Key"].removeprefix(_MARK_PREFIX): unquote(tag["Value"].replace("=", "%")) for tag in own_tags(tags)}
    names = ("webhook-id", "fingerprint", "managed-from")
    if facts.get("managed-by") != MANAGED_BY or not all(facts.get(name) for name in names):
        return None
    return StoreMark(*(facts[name] for name in names))
