from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark
from featurebase_provider.stores.object_storage.local_file import LocalFile
from tests.contract.local_file_cases import NOBODY, without_root

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "here")
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
OWNER, USER, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20
OTHER_USER = 65533


def access_list(*, user: int, user_may: int, group: int = 0, mask: int = 7, others: int = 0) -> bytes:
    """An access list as Linux keeps it (``posix_acl_xattr.h``), with one named user."""
    nobody_else = 0xFFFFFFFF
    entries = [
        (OWNER, 6, nobody_else), (USER, user_may, user), (GROUP, group, nobody_else),
        (MASK, mask, nobody_else), (OTHERS, others, nobody_else),
    ]  # fmt: skip
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose new files a user can read who is named in its default access list."""
    for parent in tmp_path.parents:
        if os.geteuid() == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    try:
        os.setxattr(tmp_path, DEFAULT, access_list(user=NOBODY, user_may=4, group=4, others=4))
    except OSError:
        pytest.skip("this file system has no access lists")
    return tmp_path


def replace(path: Path, mode: int = 0o600) -> None:
    file = LocalFile("a store", str(path), mode)
    held = file.read()
    file.prove_writable(held, [b"new"])
    file.write(b"new", held=held, mark=MARK)


def refusal_of(path: Path) -> str:
    """The refusal of the proof, which the write repeats; the file stays, and no temporary file does."""
    file = LocalFile("a store", str(path))
    with pytest.raises(StoreRefused) as proof:
        file.prove_writable(file.read(), [b"new"])
    with pytest.raises(StoreRefused) as write:
        file.write(b"new", held=file.read(), mark=MARK)
    assert str(proof.value) == str(write.value)
    assert path.read_text() == "old"
    assert not list(path.parent.glob(".*.tmp"))
    return str(write.value)


def bare(path: Path, mode: int) -> None:
    """A file without an access list."""
    path.write_text("old")
    if ACCESS in os.listxattr(path):
        os.removexattr(path, ACCESS)
    path.chmod(mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_a_folders_default_access_list_makes_no_new_readers(folder: Path, mode: int) -> None:
    """Neither of a file that is replaced nor of one that is created."""
    old, new = folder / "old", folder / "new"
    bare(old, mode)
    replace(old)
    replace(new, mode)
    for file in (old, new):
        assert file.read_text() == "new"
        assert stat.S_IMODE(file.stat().st_mode) == mode
        assert ACCESS not in os.listxattr(file)
        if os.geteuid() == 0:
            with without_root(), pytest.raises(PermissionError):
                file.read_text()


def test_the_files_own_access_list_stays_as_it_is(folder: Path) -> None:
    """It is the old file's and not a mixture with the folder's."""
    file = folder / "app.env"
    file.write_text("old")
    own = access_list(user=OTHER_USER, user_may=4)
    os.setxattr(file, ACCESS, own)
    mode = file.stat().st_mode
    replace(file)
    assert os.getxattr(file, ACCESS) == own
    assert file.stat().st_mode == mode


def test_the_new_text_is_readable_to_nobody_before_the_permissions_are_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step the temporary file can be read by whoever could read the old one, or by fewer."""
    file = folder / "app.env"
    bare(file, 0o640)
    seen: list[int] = []

    def noting(name: str) -> None:
        step = getattr(os, name)

        def call(*args: object) -> object:
            done = step(*args)
            if isinstance(args[0], int):
                status = os.fstat(args[0])
                has_list = stat.S_ISREG(status.st_mode) and ACCESS in os.listxattr(args[0])
                # With an access list the group's bits are its mask: what named users may do at most.
                seen.append(stat.S_IMODE(status.st_mode) & 0o077 if has_list else 0)
            return done

        monkeypatch.setattr(os, name, call)

    for name in ("write", "fchown", "setxattr", "removexattr", "fchmod"):
        noting(name)
    replace(file)
    assert seen
    assert not any(seen)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_created_file_has_its_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace(tmp_path / "new", 0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644


def test_a_file_system_that_gives_another_mode_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounts of Windows shares have one mode for all files, and say nothing when another one is set."""
    (tmp_path / "app.env").write_text("old")
    (tmp_path / "app.env").chmod(0o640)
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    assert "gives it the mode 0600 and not 0640" in refusal_of(tmp_path / "app.env")
    with pytest.raises(StoreRefused, match="the mode 0600 and not 0640"):
        replace(tmp_path / "new", 0o640)


@pytest.mark.parametrize(
    ("name", "number"),
    [("security.selinux", errno.EPERM), ("user.team", errno.ENOTSUP), (ACCESS, errno.EPERM), (ACCESS, errno.EACCES)],
)
def test_an_attribute_that_cannot_be_kept_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """A label or an access list decides who can read the file."""
    file = tmp_path / "app.env"
    file.write_text("old")

    def fail(descriptor: int, attribute: str, value: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "listxattr", lambda where: [] if isinstance(where, int) else [name])
    monkeypatch.setattr(os, "getxattr", lambda where, attribute: b"x")
    monkeypatch.setattr(os, "setxattr", fail)
    assert f"attribute {name}" in refusal_of(file)


def test_what_the_new_file_has_already_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that every file of a mount has can't be set, and need not be; a content's hash is the kernel's."""
    file = tmp_path / "app.env"
    file.write_text("old")

    def fail(descriptor: int, attribute: str, value: bytes) -> None:
        pytest.fail(f"{attribute} was set")

    labels = {"security.selinux": b"label", "security.ima": b"hash"}
    monkeypatch.setattr(os, "listxattr", lambda where: ["security.selinux"] if isinstance(where, int) else list(labels))
    monkeypatch.setattr(os, "getxattr", lambda where, attribute: labels[attribute])
    monkeypatch.setattr(os, "setxattr", fail)
    replace(file)
    assert file.read_text() == "new"


def test_an_inherited_access_list_that_cannot_be_removed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "app.env"
    file.write_text("old")

    def fail(descriptor: int, attribute: str) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "listxattr", lambda where: [ACCESS] if isinstance(where, int) else [])
    monkeypatch.setattr(os, "getxattr", lambda where, attribute: b"x")
    monkeypatch.setattr(os, "removexattr", fail)
    assert "can't be removed" in refusal_of(file)


@pytest.mark.parametrize("call", ["setxattr", "removexattr", "listxattr"])
def test_a_disk_that_fails_meanwhile_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = tmp_path / "app.env"
    file.write_text("old")

    def fail(*args: object) -> list[str]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    names = {"setxattr": ([], ["user.a"]), "removexattr": ([ACCESS], [])}.get(call, ([], []))
    monkeypatch.setattr(os, "listxattr", lambda where: names[0] if isinstance(where, int) else names[1])
    monkeypatch.setattr(os, "getxattr", lambda where, attribute: b"x")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreUnreachable, match="it is as it was"):
        replace(file)
    assert file.read_text() == "old"


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_append_only_is_refused_beforehand(tmp_path: Path, what: str) -> None:
    """The kernel lets nobody rename over it, and of a folder nobody removes anything."""
    folder = tmp_path / "app"
    folder.mkdir()
    file = folder / "app.env"
    file.write_text("old")
    place = file if what == "file" else folder
    try:
        done = subprocess.run(["chattr", "+a", str(place)], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("this machine has no chattr")
    if done.returncode:
        pytest.skip("this file system, or this user, makes nothing append-only")
    try:
        assert "append-only" in refusal_of(file)
        if what == "folder":
            with pytest.raises(StoreRefused, match="append-only"):
                replace(folder / "new")
    finally:
        subprocess.run(["chattr", "-a", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(("size", "expected"), [("8k", "StoreUnreachable"), ("64k", "proven")])
def test_a_disk_without_room_for_the_new_text_is_found_beforehand(tmp_path: Path, size: str, expected: str) -> None:
    """The old text and the new one lie there for an instant, both."""
    code = (
        "import pathlib, sys\n"
        "from featurebase_provider.stores.object_storage import ObjectStorageStore\n"
        "path = pathlib.Path(sys.argv[1], 'app.env')\n"
        "path.write_text('#' * 5000 + '\\nSECRET=old\\n')\n"
        "armed = ObjectStorageStore(path=str(path), key='SECRET').arm()\n"
        "try: armed.prove_writable(); print('proven')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(sorted(entry.name for entry in path.parent.iterdir()))\n"
    )
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && exec "$3" -c "$4" "$2"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", size, str(tmp_path), sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("this machine does not let tests mount")
    assert done.stdout.startswith(expected), done.stdout + done.stderr
    assert ("No space left" in done.stdout) is (expected == "StoreUnreachable")
    assert done.stdout.endswith("['app.env']\n")
