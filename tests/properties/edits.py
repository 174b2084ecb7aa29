"""An edit of a text by a format, and what holds for each."""

from __future__ import annotations

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import Contents, TextFormat
from tests.world.fakes import secret

CURRENT, PREVIOUS = secret("current_value"), secret("previous_value")
THEIRS = "theirs-51e6"
"""A value of somebody else, which no message may show."""


def edited(form: TextFormat, text: str, wanted: Contents) -> str | None:
    """The new text, which reads back and does not change again; None where it was refused without being quoted."""
    new, refusal = None, ""
    try:
        new = form.edit(text, wanted)
    except StoreRefused as exc:
        refusal = str(exc)
    if new is None:
        assert refusal.isprintable()
        assert not any(value in refusal for value in (CURRENT.reveal(), PREVIOUS.reveal(), THEIRS))
        return None
    assert form.read(new) == wanted
    assert form.edit(new, wanted) == new
    return new


def is_in_order(parts: list[str], text: str) -> bool:
    """Whether the parts stand in the text one after the other."""
    at = 0
    for part in parts:
        at = text.find(part.rstrip("\r\n"), at)
        if at < 0:
            return False
        at += len(part.rstrip("\r\n"))
    return True
