"""A file on the worker's own file system, replaced atomically: readers see the old text or the new one.

The new text is written to a temporary file in the same folder, which becomes what the old file is and is renamed over
it. Symbolic links are written through. From its last reading to the rename a writer holds a lock that all writers of
ours respect.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark, Writability
from featurebase_provider.stores.object_storage.backend import MAX_BYTES, HeldObject, check_size
from featurebase_provider.stores.object_storage.file_attributes import begin_with, is_append_only, take_over
from featurebase_provider.stores.object_storage.file_lock import file_lock, has_locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LEFTOVER_AGE_S = 600
"""Age from which a temporary file is taken for one that a killed process left; it may hold a secret."""

_REFUSALS = {
    getattr(errno, name)
    for name in (
        "EACCES",
        "EPERM",
        "EROFS",
        "EISDIR",
        "ENOTDIR",
        "ELOOP",
        "ENAMETOOLONG",
        "EBUSY",
        "EXDEV",
        "ENOENT",
    )
}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file, as an object backend.

    :param store: the store's name, for messages.
    :param path: absolute path; may be a symbolic link.
    :param create_mode: permission bits of a file that has to be created.
    :param clock: Unix seconds.
    """

    store: str
    path: str
    create_mode: int = 0o600
    clock: Callable[[], float] = time.time

    def read(self) -> HeldObject:
        """Read the file; a missing folder is an error, as an unmounted volume looks like one."""
        with self._translated("read"):
            real = self._real()
            try:
                data = self._bytes_of(real)
            except FileNotFoundError:
                return HeldObject(None)
            return HeldObject(check_size(self.store, data))

    @contextmanager
    def changing(self, held: HeldObject) -> Iterator[HeldObject]:
        """Keep other writers of ours out, and read again: until the end only other programs can change the file."""
        with self._locked(make=True):
            yield self.read()

    def look_again(self, held: HeldObject) -> None:
        """Nothing: the write looks itself."""

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> Callable[[], None]:
        """Rename a complete temporary file over the old one, if that still holds what was read; syncing follows.

        ``mark`` is not kept: files have no metadata of that kind.
        """
        with self._translated("replaced"):
            real = self._real()
            with self._prepared(real, data) as (temporary, _):
                try:
                    now: bytes | None = self._bytes_of(real)
                except FileNotFoundError:
                    now = None
                if now != held.data:
                    raise StoreConflict(self.store, "the file changed since it was read; it was left as it is")
                os.replace(temporary, real)
        return partial(self._sync_folder, real.parent)

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Do for each text what a write does, but for the rename: the temporary file is removed again."""
        locks = True
        with self._locked(make=False), self._translated("proven writable"):
            real = self._real()
            self._remove_leftovers(real)
            for data in trials:
                with self._prepared(real, data) as (_, descriptor):
                    locks = has_locks(descriptor)
        proof = "a temporary file as long as the real one could be written beside it and get its permissions"
        if not locks:
            proof += "; this file system has no locks, so that of two changes in one instant one may be lost"
        return Writability(True, proof)

    @contextmanager
    def _locked(self, *, make: bool) -> Iterator[None]:
        with self._translated("locked"):
            real = self._real()
            with file_lock(self.store, real.parent / f"{_prefix(real)}lock", make=make):
                yield

    @contextmanager
    def _prepared(self, real: Path, data: bytes) -> Iterator[tuple[Path, int]]:
        """A temporary file beside the file that is, synced to disk, what the file is to become."""
        before = self._status_of(real)
        with self._temporary(real) as (temporary, descriptor):
            _write_all(descriptor, data)
            if before is None:
                begin_with(self.store, self.create_mode, descriptor)
            else:
                take_over(self.store, real, before, descriptor)
            os.fsync(descriptor)
            yield temporary, descriptor

    def _real(self) -> Path:
        real = Path(os.path.realpath(self.path))
        if not real.parent.is_dir():
            raise StoreRefused(
                self.store,
                f"the folder {real.parent} does not exist",
                "Create it, or mount the volume; nothing was changed",
            )
        return real

    def _bytes_of(self, real: Path) -> bytes:
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._check_regular(os.fstat(descriptor))
            parts: list[bytes] = []
            while (room := MAX_BYTES + 1 - sum(map(len, parts))) and (part := os.read(descriptor, room)):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def _check_regular(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise StoreRefused(self.store, "it is a folder or a device, not a regular file; nothing was changed")

    def _status_of(self, real: Path) -> os.stat_result | None:
        """What the new file has to look like; None if there is no file yet.

        :raises StoreRefused: the file must not or cannot be replaced.
        """
        if is_append_only(real.parent) or (real.exists() and is_append_only(real)):
            raise StoreRefused(
                self.store,
                "the file or its folder is append-only, so it cannot be replaced",
                "Lift that (chattr -a), or configure another file; nothing was changed",
            )
        try:
            status = os.stat(real)
        except FileNotFoundError:
            return None
        self._check_regular(status)
        if not status.st_mode & 0o222 or not os.access(real, os.W_OK):
            raise StoreRefused(
                self.store,
                "the file is read-only",
                "Allow writing to it, or configure another file; nothing was changed",
            )
        if status.st_nlink > 1:
            raise StoreRefused(
                self.store,
                f"the file has {status.st_nlink} hard links, and the others would keep the old secret",
                "Use symbolic links; nothing was changed",
            )
        if status.st_dev != os.stat(real.parent).st_dev or str(real) in _mount_points():
            raise StoreRefused(
                self.store,
                "the file is itself a mount point, so it cannot be replaced atomically",
                "Mount its folder instead; nothing was changed",
            )
        return status

    @contextmanager
    def _temporary(self, real: Path) -> Iterator[tuple[Path, int]]:
        temporary = real.parent / f"{_prefix(real)}{secrets.token_hex(4)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        try:
            yield temporary, descriptor
        finally:
            os.close(descriptor)
            with suppress(FileNotFoundError):  # renamed
                os.unlink(temporary)

    def _sync_folder(self, folder: Path) -> None:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.EACCES}:  # a folder that cannot be synced, or not be listed
                return
            raise StoreUnreachable(
                self.store, "the file was replaced, but its folder could not be synced: a power cut may undo it"
            ) from error

    def _remove_leftovers(self, real: Path) -> None:
        prefix = _prefix(real)
        try:
            entries = os.scandir(real.parent)
        except PermissionError:  # a folder that may be written and not be listed
            return
        for entry in entries:
            if not (entry.name.startswith(prefix) and entry.name.endswith(".tmp")):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and self.clock() - status.st_mtime > LEFTOVER_AGE_S:
                    os.unlink(entry.path)

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error.__class__.__name__
            problem = f"the file could not be {done} ({reason}); it is as it was"
            if error.errno in _REFUSALS:
                raise StoreRefused(
                    self.store, problem, "Check the permissions and mounts of the file and of its folder"
                ) from error
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreUnreachable(
                    self.store, problem, "Free space there, or raise the quota; a retry reads it before it writes"
                ) from error
            raise StoreUnreachable(self.store, problem) from error


def _prefix(real: Path) -> str:
    name = os.fsencode(real.name)[:100].decode(errors="ignore")  # a file's name has at most 255 bytes, or 143
    return f".{name}.featurebase-"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _mount_points() -> frozenset[str]:
    """Paths that something is mounted on, from Linux's ``/proc/self/mountinfo``; empty elsewhere."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return frozenset()
    fields = (line.split(" ")[4] for line in lines)
    return frozenset(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path) for path in fields)
