"""One of our writers at a time for a local file: a lock on an empty file beside it.

The kernel keeps the lock (flock), so it ends with the process that holds it. It counts for every process on the
machine, in whatever container. Linux hands it to the server of an NFS or SMB mount, so it counts for other machines
too. The lock file is never removed: whoever waited for the lock on a removed file would hold one that nobody else sees.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_SECONDS = 5.0
"""How long a writer waits for another; one holds the lock for milliseconds."""

_POLL_SECONDS = 0.002
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def file_lock(store: str, path: Path, *, make: bool) -> Iterator[None]:
    """Keep other writers of ours out. Where the file system has no locks, or the lock file may not be made, nobody is.

    :param store: the store's name, for messages.
    :param path: the lock file.
    :param make: whether a missing lock file is made; if not, nobody has ever written there.
    :raises StoreRefused: this user may not open the lock file.
    :raises StoreUnreachable: another writer held it for :data:`LOCK_SECONDS`.
    """
    descriptor = _open(store, path, make)
    if descriptor is None:
        yield
        return
    try:
        _wait_for(store, path, descriptor)
        yield
    finally:
        with suppress(OSError):  # closing alone leaves the lock to a child process that was forked meanwhile
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def has_locks(descriptor: int) -> bool:
    """Whether the file system of an open file, which nobody else has open, can lock files."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _wait_for(store: str, path: Path, descriptor: int) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows either for a lock that somebody holds
            if time.monotonic() > end:
                raise StoreUnreachable(
                    store,
                    f"another process has held the lock {path} for {LOCK_SECONDS:g} s; the file is as it was",
                    "If it hangs, end it (fuser names it): its lock ends with it. Leave the lock file where it is",
                ) from None
            time.sleep(_POLL_SECONDS * random.uniform(0.5, 2))  # noqa: S311 - so that waiting writers don't meet
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return
        else:
            return


def _open(store: str, path: Path, make: bool) -> int | None:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW  # NFS locks for itself alone only what is open for writing
    for pause in (0.05, None):
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            if not make:
                return None
            with suppress(FileExistsError):
                return _made(path, flags)
        except PermissionError:
            if pause is None:
                raise StoreRefused(
                    store,
                    f"its lock file {path} can't be opened by this user (uid {os.geteuid()}); the file is as it was",
                    "Give this user the right to write the lock file, or remove it while no rotation runs",
                ) from None
            time.sleep(pause)  # its maker may be about to open it to others
    return os.open(path, flags)


def _made(path: Path, flags: int) -> int:
    """A new lock file, for all who may write into the folder and for nobody else."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    folder = os.stat(path.parent)
    with suppress(PermissionError):
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    with suppress(PermissionError):
        os.fchown(descriptor, -1, folder.st_gid)
    writers = stat.S_IMODE(folder.st_mode) & 0o022
    os.fchmod(descriptor, 0o600 | writers | writers << 1)
    return descriptor
