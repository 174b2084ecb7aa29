"""Our mark as named texts (annotations, tags) of a secret, beside everybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.rotation.store import MANAGED_BY, StoreMark

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = tuple(f"featurebase-{name}" for name in ("webhook-id", "fingerprint", "managed-from", "managed-by"))
_LONGEST = 256


def labels_of(mark: StoreMark) -> dict[str, str]:
    """Our mark; texts are cut to the 256 characters that every store takes."""
    facts = (mark.webhook_id, mark.fingerprint, mark.managed_from, mark.managed_by)
    return {label: fact[:_LONGEST] for label, fact in zip(LABELS, facts, strict=True)}


def mark_in(labels: Mapping[str, str], *, fingerprint: str | None) -> StoreMark | None:
    """Our mark, if it is about the value that is there now: labels outlive a value that somebody else replaces.

    :param fingerprint: of the current value.
    """
    webhook_id, marked, managed_from, managed_by = (labels.get(label, "") for label in LABELS)
    if managed_by != MANAGED_BY or marked != fingerprint or not (webhook_id and managed_from):
        return None
    return StoreMark(webhook_id, marked, managed_from)
