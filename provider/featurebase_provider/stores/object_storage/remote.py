"""An object behind any fsspec file system that has no conditional write we know of."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark, Writability
from featurebase_provider.stores.object_storage.backend import HeldObject, check_length, check_size
from featurebase_provider.stores.shared.refusals import changed_since, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]  # ships no types


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object, compared just before it is written: a writer in that instant is overwritten.

    :param store: the store's name, for messages.
    :param fs: the file system, authenticated.
    :param path: the object's path as ``fs`` names it.
    """

    container: ClassVar[str | None] = None
    """What the storage calls the place that its objects lie in; None where folders are made as needed."""

    store: str
    fs: AbstractFileSystem
    path: str

    def read(self) -> HeldObject:
        """Read the object."""
        with self._translated("read"):
            self.fs.invalidate_cache()
            try:
                info = self.fs.info(self.path)  # first: if the object changes meanwhile, a condition on this one fails
                check_length(self.store, info.get("size"))
                data = self.fs.cat_file(self.path)
            except FileNotFoundError:
                self._check_container()
                return HeldObject(None)
            return HeldObject(check_size(self.store, data), info)

    def _check_container(self) -> None:
        """Tell a missing container from a missing object, where the storage has such.

        :raises StoreRefused: it does not exist.
        """
        if self.container is None:
            return
        name = self.fs.split_path(self.path)[0]
        try:
            self.fs.info(name)
        except FileNotFoundError:
            raise StoreRefused(
                self.store, f"the {self.container} {name} does not exist", "Correct the path; nothing was changed"
            ) from None

    def changing(self, held: HeldObject) -> AbstractContextManager[HeldObject]:
        """Keep nobody out."""
        return nullcontext(held)

    def look_again(self, held: HeldObject) -> None:
        """Read the object again."""
        if self.read().data != held.data:
            raise changed_since(self.store, "the object")

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> None:
        """Put the object; ``mark`` is not kept."""
        with self._translated("written"):
            self.fs.pipe_file(self.path, data)

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Say that only a write can show it, and what it can't keep."""
        return Writability(
            False,
            "not provable: the object can be read; whether it can be written shows only when it is, and not "
            "conditionally. A content type or metadata that it has may be lost",
        )

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except FileExistsError:
            raise changed_since(self.store, "the object") from None
        except (PermissionError, FileNotFoundError, IsADirectoryError, NotImplementedError) as error:
            raise StoreRefused(
                self.store,
                f"the object could not be {done} ({error.__class__.__name__})",
                "Check the path and what the connection may do; nothing was changed",
            ) from None  # a client's text may quote the request
        except Exception as error:  # noqa: BLE001  each file system has errors of its own
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            if status == 412:
                raise changed_since(self.store, "the object") from None
            if isinstance(status, int) and refuses(status):
                raise StoreRefused(
                    self.store,
                    f"the object could not be {done} ({status})",
                    "Check the path and what the connection may do; nothing was changed",
                ) from None
            raise StoreUnreachable(self.store, f"the object could not be {done} ({error.__class__.__name__})") from None
