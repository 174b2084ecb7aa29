"""What an error tracker would send of an error: the locals of every frame that it came through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.featurebase.text import forms_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


def places_that_tell(error: BaseException, *secrets: str) -> list[str]:
    """Each local variable that shows a secret, in any form, in a frame of the error or of what led to it.

    The tests' own frames, which hold the secrets, are left out.
    """
    forms = [form for secret in secrets for form in forms_of(secret)]
    frames = list(_frames_of(error))
    assert frames, "no frame but the test's own: nothing was looked at"
    return [
        f"{frame.f_code.co_filename}:{frame.f_code.co_name} {name}"
        for frame in frames
        for name, value in frame.f_locals.items()
        if any(form in _shown(value) for form in forms)
    ]


def _errors_in(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        yield from _errors_in(error.__cause__)
        yield from _errors_in(error.__context__)


def _frames_of(error: BaseException) -> Iterator[FrameType]:
    for one in _errors_in(error):
        trace = one.__traceback__
        while trace is not None:
            if "/tests/" not in trace.tb_frame.f_code.co_filename:
                yield trace.tb_frame
            trace = trace.tb_next


def _shown(value: Any) -> str:
    """A value as text, with what it is made of, one level deep."""
    parts = [value]
    if isinstance(value, (list, tuple, set)):
        parts += value
    elif isinstance(value, dict):
        parts += [*value, *value.values()]
    elif not isinstance(value, (SecretStr, SigningSecret, BaseModel)):  # made to hide what they hold
        parts += [getattr(value, "__dict__", {})]
        parts += [getattr(value, name, None) for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return " ".join(f"{part!r} {part}" for part in parts)
