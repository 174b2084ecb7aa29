from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark
from featurebase_provider.stores.object_storage import local_file
from featurebase_provider.stores.object_storage.backend import MAX_BYTES, HeldObject
from featurebase_provider.stores.object_storage.local_file import LocalFile
from tests.contract.local_file_cases import NOBODY, without_root

TRIALS = (b"a text as long as the next one",)
MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "app" / "webhook.secret"
    file.parent.mkdir()
    file.write_text("old")
    return file


@pytest.fixture
def open_path(path: Path) -> Path:
    """A path that other users can get to, as pytest's folders are closed to them."""
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    path.parent.chmod(0o777)
    return path


def local(path: Path, **changes: Any) -> LocalFile:
    return LocalFile("a store", str(path), **changes)


def replace(path: Path, text: str = "new") -> None:
    file = local(path)
    held = file.read()
    file.prove_writable(held, TRIALS)
    file.write(text.encode(), held=held, mark=MARK)()


def refusal_of(path: Path) -> str:
    """The refusal that the proof and the write agree on; the file stays, and no temporary file does."""
    file = local(path)
    held = HeldObject(b"old")
    with pytest.raises(StoreRefused) as proof:
        file.prove_writable(held, TRIALS)
    with pytest.raises(StoreRefused) as write:
        file.write(b"new", held=held, mark=MARK)
    assert path.read_text() == "old"
    assert not list(path.parent.glob(".*featurebase*"))
    assert str(proof.value).replace("proven writable", "replaced") == str(write.value)
    return str(write.value)


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o666, 0o444 | 0o200])
def test_mode_is_kept(path: Path, mode: int) -> None:
    path.chmod(mode)
    replace(path)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@needs_root
def test_owner_and_group_are_kept(path: Path) -> None:
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    replace(path)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)


@needs_root
def test_a_file_whose_owner_cannot_be_kept_is_refused(open_path: Path) -> None:
    """Who may write the folder but cannot give files away would lock the file's readers out."""
    open_path.chmod(0o666)
    with without_root():
        assert "old one's owner and group (0:0)" in refusal_of(open_path)


@needs_root
def test_the_owner_without_root_replaces_the_file(open_path: Path) -> None:
    os.chown(open_path, NOBODY, NOBODY)
    os.chown(open_path.parent, NOBODY, NOBODY)
    with without_root():
        replace(open_path)
    assert open_path.read_text() == "new"
    assert open_path.stat().st_uid == NOBODY


def test_extended_attributes_are_kept(path: Path) -> None:
    try:
        os.setxattr(path, "user.team", b"feedback")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    replace(path)
    assert os.getxattr(path, "user.team") == b"feedback"


def test_symbolic_links_are_written_through(path: Path, tmp_path: Path) -> None:
    """A link to a link stays one; the file at its end is replaced."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(path)
    second.symlink_to("first")
    replace(second)
    assert second.is_symlink()
    assert first.is_symlink()
    assert not path.is_symlink()
    assert path.read_text() == second.read_text() == "new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["app", "first", "second"]


def test_a_dangling_link_creates_its_target(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    local(link, create_mode=0o640).write(b"new", held=HeldObject(None), mark=MARK)
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StoreRefused):
        local(tmp_path / "a").read()


def test_hard_links_are_refused(path: Path) -> None:
    """The other name would go on holding the old secret."""
    os.link(path, path.parent / "twin")
    assert "2 hard links" in refusal_of(path)


def test_a_read_only_file_is_refused(path: Path) -> None:
    path.chmod(0o444)
    assert "read-only" in refusal_of(path)


def test_a_read_only_folder_is_refused(open_path: Path) -> None:
    open_path.chmod(0o644)
    open_path.parent.chmod(0o555)
    with without_root():
        assert "Permission denied" in refusal_of(open_path)
    open_path.parent.chmod(0o755)


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_regular_file_is_refused_without_waiting(path: Path, kind: str) -> None:
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    for call in (local(path).read, lambda: local(path).prove_writable(HeldObject(None), TRIALS)):
        with pytest.raises(StoreRefused, match="not a regular file"):
            call()


def test_a_file_in_place_of_the_folder_is_refused(path: Path) -> None:
    with pytest.raises(StoreRefused, match="does not exist"):
        local(path / "inner").read()


def test_a_large_file_is_refused(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(StoreRefused, match="larger than 1024 KiB"):
        local(path).read()


@needs_root
def test_a_file_that_is_a_mount_point_is_refused(path: Path, tmp_path: Path) -> None:
    """A bind-mounted file, as container platforms make them, cannot be renamed over."""
    source = tmp_path / "source file"
    source.write_text("old")
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"'
    code = (
        "import sys\n"
        "from featurebase_provider.stores.object_storage.local_file import LocalFile\n"
        "file = LocalFile('a store', sys.argv[1])\n"
        "try: file.prove_writable(file.read(), [b'new'])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(source), str(path), sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("this machine does not let tests mount")
    assert done.stdout.startswith("StoreRefused"), done.stderr
    assert "Mount its folder instead" in done.stdout


def test_a_change_in_the_last_moment_is_a_conflict(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes while the temporary file is being synced."""
    file = local(path)
    held = file.read()
    sync = os.fsync

    def write_meanwhile(descriptor: int) -> None:
        sync(descriptor)
        path.write_text("theirs")

    monkeypatch.setattr(os, "fsync", write_meanwhile)
    with pytest.raises(StoreConflict):
        file.write(b"new", held=held, mark=MARK)
    assert path.read_text() == "theirs"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreUnreachable),
        (errno.EIO, StoreUnreachable),
        (errno.ESTALE, StoreUnreachable),
        (errno.EROFS, StoreRefused),
        (errno.EBUSY, StoreRefused),
    ],
)
def test_a_write_that_fails_leaves_the_file_and_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    """A full disk may be over soon; a read-only file system will not."""
    file = local(path)
    held = file.read()

    def fail(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(kind, match="it is as it was"):
        file.write(b"new", held=held, mark=MARK)
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_full_disk_is_named_with_what_helps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnreachable, match=r"proven writable \(No space left on device\).* Free space there"):
        local(path).prove_writable(HeldObject(b"old"), TRIALS)


def test_the_proof_removes_what_a_killed_process_left(path: Path) -> None:
    """A temporary file holds a secret; one that is too young may belong to a writer at work."""
    left, young = (path.parent / f".webhook.secret.featurebase-{name}.tmp" for name in ("left", "young"))
    foreign = path.parent / ".other.featurebase-left.tmp"
    for file in (left, young, foreign):
        file.write_text("whsec_left_behind")
    now = young.stat().st_mtime
    for file in (left, foreign):
        os.utime(file, (now - 601, now - 601))
    local(path, clock=lambda: now).prove_writable(HeldObject(b"old"), TRIALS)
    assert not left.exists()
    assert young.exists()
    assert foreign.exists()


@needs_root
def test_a_folder_that_may_be_written_and_not_be_listed(open_path: Path) -> None:
    """The proof finds no leftovers there, and is as good as the write."""
    os.chown(open_path, NOBODY, NOBODY)
    open_path.parent.chmod(0o733)
    with without_root():
        replace(open_path)
    assert open_path.read_text() == "new"


def test_names_of_255_bytes_can_be_replaced(path: Path) -> None:
    long = path.parent / ("ü" * 127)
    long.write_text("old")
    replace(long)
    assert long.read_text() == "new"


def test_readers_see_the_old_text_or_the_new_one(path: Path) -> None:
    """A reader that polls through many writes never finds the file missing, empty or half-written."""
    texts = {letter * 5000 for letter in "abcdef"}
    path.write_text("a" * 5000)
    seen: set[str] = set()
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for text in sorted(texts) * 5:
            replace(path, text)
    finally:
        done.set()
        reader.join()
    assert seen
    assert seen <= texts


def test_a_mount_point_on_the_same_device_is_found_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_file, "_mount_points", lambda: frozenset({str(path)}))
    assert "Mount its folder instead" in refusal_of(path)


def test_mount_points_are_what_the_kernel_says() -> None:
    assert "/" in local_file._mount_points()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced_after_the_rename(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The file is replaced; only a real failure to sync is told, and does not claim that nothing changed."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnreachable, match="was replaced") if number == errno.EIO else nullcontext():
        replace(path)
    assert path.read_text() == "new"
