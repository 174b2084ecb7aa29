"""Local files: the real file system."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import javaproperties
import yaml

from featurebase_provider.stores.object_storage import ObjectStorageStore
from tests.contract.store_case import HELD, Seen, StoreCase, not_applicable

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


@contextmanager
def without_root() -> Iterator[None]:
    """Give up root's right to everything for a while, if it is there."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


class LocalRawCase(StoreCase):
    bare = True
    file_name = "webhook.secret"

    def __init__(self) -> None:
        # pytest's own folders are closed to other users, whom without_root() needs
        self.root = Path(tempfile.mkdtemp(prefix="featurebase-store-"))
        self.root.chmod(0o755)
        self.folder = self.root / "app"
        self.folder.mkdir()
        self.file = self.folder / self.file_name

    def close(self) -> None:
        shutil.rmtree(self.root)

    def config(self, **changes: Any) -> ObjectStorageStore:
        return ObjectStorageStore(**{"path": str(self.file), **changes})

    def text(self, current: str, previous: str | None) -> str:
        return current + "\n"

    def parse(self, text: str) -> Seen:
        return Seen(text.removesuffix("\n"), None, text.endswith("\n"))

    def put(self, current: str, previous: str | None = None) -> None:
        self.file.write_text(self.text(current, previous))
        self.file.chmod(0o644)

    def remove(self) -> None:
        self.file.unlink()

    def seen(self) -> Seen | None:
        return self.parse(self.file.read_text()) if self.file.exists() else None

    def evidence(self) -> Any:
        def facts(path: Path) -> tuple[Any, ...]:
            status = path.stat()
            return path.name, path.read_bytes(), status.st_mtime_ns, status.st_ino, status.st_mode

        # The empty file on which writers lock each other out stays beside the file, and nobody reads it.
        return sorted(facts(path) for path in self.folder.iterdir() if not path.name.endswith(".featurebase-lock"))

    def put_wrong_type(self) -> None:
        self.file.write_bytes(b"\xff\xfe" + HELD.encode())

    def missing_place(self) -> ObjectStorageStore:
        return self.config(path=str(self.root / "missing" / self.file_name), create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[ObjectStorageStore]:
        self.folder.chmod(0o555)
        with without_root():
            yield self.config()
        self.folder.chmod(0o755)

    def server_down(self) -> AbstractContextManager[ObjectStorageStore]:
        not_applicable("a local file has no server")


class LocalJsonCase(LocalRawCase):
    bare = False
    file_name = "webhook.json"
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "previous", "previous_key": None}
    misspelt: ClassVar = {"key": "webhookSecret"}

    def text(self, current: str, previous: str | None) -> str:
        document: dict[str, Any] = {"url": "https://example.com", "limit": 1.50, "current": current}
        if previous:
            document["previous"] = previous
        return json.dumps(document | {"last": ["kept", {"as": "it is"}]}, indent=4) + "\n"

    def parse(self, text: str) -> Seen:
        document = json.loads(text)
        return Seen(document.pop("current", None), document.pop("previous", None), list(document.items()) or None)

    def put_wrong_type(self) -> None:
        self.file.write_text(json.dumps({"current": [HELD]}))


class LocalNestedJsonCase(LocalJsonCase):
    """The secret lies in an object within an object, and other keys in each of them."""

    previous_as_current: ClassVar = {"key": "feedback.webhook.previous", "previous_key": None}
    misspelt: ClassVar = {"key": "feedback.webhook.secrets"}

    def config(self, **changes: Any) -> ObjectStorageStore:
        keys = {"key": "feedback.webhook.secret", "previous_key": ["feedback", "webhook", "previous"]}
        return super().config(**{**keys, **changes})

    def text(self, current: str, previous: str | None) -> str:
        webhook: dict[str, Any] = {"url": "https://example.com", "secret": current, "limit": 1.50}
        if previous:
            webhook["previous"] = previous
        return json.dumps({"log": {"level": 1e3}, "feedback": {"webhook": webhook, "on": True}}, indent="\t")

    def parse(self, text: str) -> Seen:
        document = json.loads(text)
        webhook = document["feedback"].pop("webhook")
        current, previous = (webhook.pop(key, None) for key in ("secret", "previous"))
        return Seen(current, previous, [list(webhook.items()), document] if webhook else None)

    def put_wrong_type(self) -> None:
        self.file.write_text(json.dumps({"feedback": {"webhook": HELD}}))


class LocalDotenvCase(LocalRawCase):
    bare = False
    file_name = "webhook.env"
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "SIGNING_OLD", "previous_key": None}
    misspelt: ClassVar = {"key": "SINGING"}

    def config(self, **changes: Any) -> ObjectStorageStore:
        return super().config(**{"key": "SIGNING", "previous_key": "SIGNING_OLD", **changes})

    def text(self, current: str, previous: str | None) -> str:
        old = f"SIGNING_OLD={previous}\n" if previous else ""
        return f"# settings\nFIRST=1\n\nexport SIGNING='{current}' # rotated\n{old}LAST=2\n"

    def parse(self, text: str) -> Seen:
        values: dict[str, str] = {}
        others = []
        for line in text.splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            if key in {"SIGNING", "SIGNING_OLD"}:
                values[key] = value.partition(" #")[0].strip("'")
            else:
                others.append(line)
        return Seen(values.get("SIGNING"), values.get("SIGNING_OLD"), others or None)

    def put_wrong_type(self) -> None:
        self.file.write_text(f'SIGNING="{HELD}\n')


class LocalYamlCase(LocalRawCase):
    bare = False
    file_name = "application-prod.yml"
    bare = False
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "webhook.signing_old", "previous_key": None}

    def config(self, **changes: Any) -> ObjectStorageStore:
        return super().config(**{"key": "webhook.signing", "previous_key": "webhook.signing_old", **changes})

    def text(self, current: str, previous: str | None) -> str:
        old = f'  signing_old: "{previous}"\n' if previous else ""
        return f"# settings\nfirst: [1, 2]\nwebhook:\n  signing: '{current}' # rotated\n{old}  id: 7\nlast: 1.50\n"

    def parse(self, text: str) -> Seen:
        document = yaml.safe_load(text)
        webhook = document.get("webhook", {})
        current, previous = webhook.pop("signing", None), webhook.pop("signing_old", None)
        return Seen(current, previous, list(document.items()) if webhook else None)

    def put_wrong_type(self) -> None:
        self.file.write_text(f"webhook:\n  signing: [{HELD}]\n")


class LocalPropertiesCase(LocalRawCase):
    bare = False
    file_name = "application.properties"
    bare = False
    keeps_previous = True
    previous_as_current: ClassVar = {"key": "webhook.signing-old", "previous_key": None}

    def config(self, **changes: Any) -> ObjectStorageStore:
        return super().config(**{"key": "webhook.signing", "previous_key": "webhook.signing-old", **changes})

    def text(self, current: str, previous: str | None) -> str:
        old = f"webhook.signing-old={previous}\n" if previous else ""
        return f"# settings\nfirst=1,\\\n  2\nwebhook.signing: {current}\n{old}last = 1.50\n"

    def parse(self, text: str) -> Seen:
        values = javaproperties.loads(text)
        current, previous = values.pop("webhook.signing", None), values.pop("webhook.signing-old", None)
        return Seen(current, previous, list(values.items()) or None)

    def put_wrong_type(self) -> None:
        self.file.write_text(f"webhook.signing={HELD}\nwebhook.signing=\n")
