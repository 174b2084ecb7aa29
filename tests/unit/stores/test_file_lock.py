from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.object_storage import ObjectStorageStore
from featurebase_provider.stores.object_storage import file_lock as file_lock_module
from featurebase_provider.stores.object_storage.file_lock import file_lock, has_locks
from featurebase_provider.stores.object_storage.local_file import LocalFile
from tests.contract.local_file_cases import NOBODY, without_root
from tests.contract.store_case import write_to

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "here")
WRITES = 40
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / ".a.env.featurebase-lock"


def write_again_and_again(path: str, key: str, results: Any) -> None:
    """Replace one key over and over; tell how often that had to be tried again, and how often it was undone."""
    armed = ObjectStorageStore(path=path, key=key).arm()
    last, retried, lost = SigningSecret("old"), 0, 0
    for number in range(WRITES):
        held = armed.read()
        lost += held.current != last
        last = SigningSecret(f"whsec_{key}_{number}")
        while True:
            try:
                write_to(armed, SecretPair(last), held=held, mark=MARK)
                break
            except StoreConflict:
                retried += 1
                held = armed.read()
    results.put((retried, lost))


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/tmp", "processes"), ("/tmp", "threads"), ("/dev/shm", "threads")],
)
def test_writers_of_neighbouring_keys_neither_lose_nor_repeat_a_write(folder: str, kind: str) -> None:
    """Compare and rename alone loses some: without the lock, of 3,000 writes 5 on tmpfs, 680 on a disk."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = Path(name, "app.env")
        keys = ("ONE", "TWO")
        file.write_text("FIRST=1\n" + "".join(f"{key}=old\n" for key in keys) + "LAST=2\n")
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        make: Any = context.Process if kind == "processes" else threading.Thread
        writers = [make(target=write_again_and_again, args=(str(file), key, results)) for key in keys]
        for writer in writers:
            writer.start()
        counts = [results.get(timeout=300) for _ in writers]
        for writer in writers:
            writer.join(60)
        assert counts == [(0, 0)] * len(keys)
        last = "".join(f"{key}=whsec_{key}_{WRITES - 1}\n" for key in keys)
        assert file.read_text() == f"FIRST=1\n{last}LAST=2\n"


def test_a_changed_neighbour_is_kept_and_a_changed_key_is_a_conflict(tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text("OURS=old\nTHEIRS=old\n")
    armed = ObjectStorageStore(path=str(file), key="OURS").arm()
    held = armed.read()
    file.write_text("OURS=old\nTHEIRS=new\nMORE=1\n")
    write_to(armed, SecretPair(SigningSecret("new")), held=held, mark=MARK)
    assert file.read_text() == "OURS=new\nTHEIRS=new\nMORE=1\n"
    held = armed.read()
    file.write_text("OURS=another\nTHEIRS=new\n")
    with pytest.raises(StoreConflict):
        write_to(armed, SecretPair(SigningSecret("newer")), held=held, mark=MARK)
    file.unlink()
    with pytest.raises(StoreConflict):
        write_to(armed, SecretPair(SigningSecret("newer")), held=held, mark=MARK)
    assert not file.exists()


def holder(lock: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock and hangs."""
    code = (
        "import fcntl, os, sys, time\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)\n"
        "print(1, flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


@pytest.fixture
def hung(lock: Path) -> Iterator[subprocess.Popen[str]]:
    with holder(lock) as process:
        yield process
        process.kill()


def test_a_writer_that_hangs_is_waited_for_and_named(
    lock: Path, hung: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever, preflight neither; the lock ends with its holder, however that ends."""
    file = lock.parent / "a.env"
    file.write_text("old")
    local = LocalFile("a store", str(file))
    with monkeypatch.context() as short:
        short.setattr(file_lock_module, "LOCK_SECONDS", 0.2)
        started = time.monotonic()
        with pytest.raises(StoreUnreachable, match=f"the lock {lock} for 0.2 s; the file is as it was"):
            local.prove_writable(local.read(), [b"new"])
        with pytest.raises(StoreUnreachable, match="held the lock"), local.changing(local.read()):
            pytest.fail("nobody else has the lock")
    assert 0.4 <= time.monotonic() - started < 60
    hung.kill()
    hung.wait()
    with_lock(lock)


def with_lock(lock: Path) -> None:
    with file_lock("a store", lock, make=True):
        pass


def test_a_child_process_that_was_forked_meanwhile_keeps_no_lock(lock: Path) -> None:
    """A worker forks for each task; the child has every open file of its parent."""
    with file_lock("a store", lock, make=True):
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
    try:
        with_lock(lock)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_the_lock_file_stays_and_the_proof_makes_none(lock: Path) -> None:
    file = lock.parent / "a.env"
    file.write_text("old")
    local = LocalFile("a store", str(file))
    proof = local.prove_writable(local.read(), [b"new"])
    assert "no locks" not in proof.detail
    assert not lock.exists()
    with local.changing(local.read()) as held:
        local.write(b"new", held=held, mark=MARK)
    assert lock.read_bytes() == b""
    assert sorted(entry.name for entry in lock.parent.iterdir()) == [lock.name, "a.env"]


@pytest.mark.parametrize(("folder", "expected"), [(0o755, 0o600), (0o775, 0o660), (0o777, 0o666), (0o700, 0o600)])
def test_who_may_write_the_folder_may_lock_and_nobody_else(lock: Path, folder: int, expected: int) -> None:
    """Whoever may open the lock file can hold a rotation up."""
    lock.parent.chmod(folder)
    before = os.umask(0o077)
    try:
        with_lock(lock)
    finally:
        os.umask(before)
        lock.parent.chmod(0o755)
    assert stat.S_IMODE(lock.stat().st_mode) == expected


@needs_root
def test_the_folders_owner_can_lock_after_root_has(lock: Path) -> None:
    for folder in lock.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    os.chown(lock.parent, NOBODY, NOBODY)
    with_lock(lock)
    with without_root():
        with_lock(lock)
    os.chown(lock, 0, 0)
    with without_root(), pytest.raises(StoreRefused, match=rf"can't be opened by this user \(uid {NOBODY}\)"):
        with_lock(lock)


def test_a_link_in_place_of_the_lock_file_is_not_followed(lock: Path) -> None:
    lock.symlink_to(lock.parent / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        with_lock(lock)
    assert not (lock.parent / "elsewhere").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_written_and_said_to_have_none(
    lock: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    file = lock.parent / "a.env"
    file.write_text("old")
    local = LocalFile("a store", str(file))
    assert "this file system has no locks" in local.prove_writable(local.read(), [b"new"]).detail
    with local.changing(local.read()) as held:
        local.write(b"new", held=held, mark=MARK)
    assert file.read_text() == "new"


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADF])
def test_a_lock_that_fails_otherwise_is_no_lock(lock: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        with_lock(lock)
    with pytest.raises(OSError, match=os.strerror(number)), lock.open() as file:
        has_locks(file.fileno())
