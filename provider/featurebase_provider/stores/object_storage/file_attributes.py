"""What a new file takes over from the one that it replaces: owner, group, mode, access list, extended attributes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreRefused

if TYPE_CHECKING:
    from pathlib import Path

_ACCESS_LIST = "system.posix_acl_access"
_OF_THE_CONTENT = frozenset({"security.ima", "security.evm"})
"""Hashes that the kernel makes of each file's own content."""
_CANNOT = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP})

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS of linux/fs.h, which other systems refuse
_APPEND_ONLY = 0x20


def take_over(store: str, source: Path, before: os.stat_result, descriptor: int) -> None:
    """Make a new file, which only its owner can read so far, what another one is.

    :param source: the file to be replaced.
    :param before: its status.
    :param descriptor: the new file.
    :raises StoreRefused: it can't be made so; nobody gains or loses a right to read.
    """
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        except PermissionError:
            raise StoreRefused(
                store,
                f"a new file cannot get the old one's owner and group ({before.st_uid}:{before.st_gid})",
                "Run the worker as that owner and in that group; nothing was changed",
            ) from None
    wanted = _attributes(source)
    _drop_inherited(store, descriptor, wanted)
    for name, value in wanted.items():
        _set(store, descriptor, name, value)
    _set_mode(store, descriptor, stat.S_IMODE(before.st_mode))


def begin_with(store: str, mode: int, descriptor: int) -> None:
    """Give a new file, which replaces none, these permissions and no others, whatever its folder's default is.

    :raises StoreRefused: the file system gives it others.
    """
    _drop_inherited(store, descriptor, {})
    _set_mode(store, descriptor, mode)


def is_append_only(path: Path) -> bool:
    """Whether nobody, root included, may replace what is there (``chattr +a``)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:  # a folder that may be written and not be listed
        return False
    try:
        answer = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:  # the file system has no such flags
        return False
    finally:
        os.close(descriptor)
    return bool(struct.unpack("@L", answer)[0] & _APPEND_ONLY)


def _attributes(file: Path | int) -> dict[str, bytes]:
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(file)
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.EOPNOTSUPP}:
            return {}
        raise
    return {name: os.getxattr(file, name) for name in names if name not in _OF_THE_CONTENT}


def _drop_inherited(store: str, descriptor: int, wanted: dict[str, bytes]) -> None:
    """A folder's default access list gives each new file one of its own."""
    for name in _attributes(descriptor).keys() - wanted.keys():
        if name == _ACCESS_LIST:
            try:
                os.removexattr(descriptor, name)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                raise _cannot(store, f"the access list ({name}) that its folder gives it can't be removed") from None


def _set(store: str, descriptor: int, name: str, value: bytes) -> None:
    if _attributes(descriptor).get(name) == value:
        return
    try:
        os.setxattr(descriptor, name, value)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        raise _cannot(store, f"it can't get the old one's extended attribute {name}") from None


def _set_mode(store: str, descriptor: int, mode: int) -> None:
    os.fchmod(descriptor, mode)
    given = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if given != mode:
        raise _cannot(store, f"the file system gives it the mode {given:04o} and not {mode:04o}")


def _cannot(store: str, why: str) -> StoreRefused:
    return StoreRefused(
        store,
        f"a new file would not have the permissions that it must have: {why}; nothing was changed",
        "Run the worker as a user who can set them, or configure another file",
    )
