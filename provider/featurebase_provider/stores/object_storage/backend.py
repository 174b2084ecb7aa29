"""What lies below the text formats of the object storage: whole objects, read and written in one step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from featurebase_provider.rotation.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from featurebase_provider.rotation.store import StoreMark, Writability

MAX_BYTES = 1024 * 1024
"""Objects larger than this are refused: a file of settings is small."""


@dataclass(frozen=True, slots=True)
class HeldObject:
    """An object as it was read.

    :param data: its bytes; None if the store says that it does not exist.
    :param state: what the conditional write needs; opaque to everybody but the backend.
    :param mark: our mark, where the object carries metadata.
    """

    data: bytes | None = field(repr=False)
    state: Any = field(default=None, repr=False)
    mark: StoreMark | None = None


class ObjectBackend(Protocol):
    """Reads and writes one object as a whole. Methods raise ``StoreError`` only."""

    def read(self) -> HeldObject:
        """Read the object. A missing object is an answer; a missing folder or bucket is an error."""

    def changing(self, held: HeldObject) -> AbstractContextManager[HeldObject]:
        """The time of one change: what the object holds now, with other writers kept out where there are locks.

        Where there are none, what was ``held``, and the write is conditional, or compares.
        """

    def look_again(self, held: HeldObject) -> None:
        """Check that the object still is as it was read, where :meth:`write` can't make that its condition.

        :raises StoreConflict: it is not.
        """

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> Callable[[], None] | None:
        """Put the whole object in one step, within :meth:`changing`.

        :returns: what follows, or None.
        :raises StoreConflict: it is not as ``held`` says any more; nothing was written.
        """

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Show that :meth:`write` would succeed, without changing what readers see.

        :param trials: as long as what a run may write; all are tried.
        """


def check_size(store: str, data: bytes) -> bytes:
    """Give the data back if it is of a size that settings have.

    :raises StoreRefused: it is larger.
    """
    check_length(store, len(data))
    return data


def check_length(store: str, length: object) -> None:
    """Look at an object's size before it is read; what a storage that tells none holds is seen when it is read.

    :raises StoreRefused: it is larger than settings are.
    """
    if isinstance(length, int) and length > MAX_BYTES:
        raise StoreRefused(store, f"it is larger than {MAX_BYTES // 1024} KiB; nothing was changed")
