"""A store of a third party whose client logs what it writes, and quotes it in errors of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CODE = '''\
"""The store type ``careless``: a file; each write is logged and then fails with an error that quotes it."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from featurebase_provider.rotation.store import ArmedStore, StoredValue, Writability
from featurebase_provider.stores.base import StoreConfig, secret_or_none

log = logging.getLogger("careless.client")


class CarelessVendorError(RuntimeError):
    pass


class CarelessStore(StoreConfig):
    type: Literal["careless"] = "careless"
    path: str

    @property
    def target(self) -> str:
        return f"careless:{self.path}"

    def arm(self) -> ArmedStore:
        return ArmedCareless(self.full_name, self.path)


class ArmedCareless(ArmedStore):
    def __init__(self, name, path):
        super().__init__(name)
        self.path = Path(path)

    def prove_writable(self):
        return Writability(True, "it says so")

    def read(self):
        return StoredValue(secret_or_none(self.path.read_text()))

    def write(self, pair, *, held, mark):
        value = pair.current.reveal()
        forms = [value, quote(value), base64.b64encode(value.encode()).decode(), json.dumps({"value": value})]
        log.debug("PUT %s", forms)
        log.debug("as an object: %r, %s", {"body": {"secret": value}}, pair)
        # Forms that nobody can foresee, and that no masking knows.
        strange = [value[::-1], value.encode().hex(), base64.b64encode(f"user:x{value}".encode()).decode()]
        try:
            raise ValueError(f"no such value: {forms} {strange}")
        except ValueError as error:
            raise CarelessVendorError({"quoted": [*forms, *strange]}) from error
'''


def install(folder: Path) -> None:
    """Put the plug-in into a folder for PYTHONPATH, as an installer would."""
    metadata = folder / "careless_store-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: careless-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[featurebase_provider.stores]\ncareless = careless_store:CarelessStore\n"
    )
    (folder / "careless_store.py").write_text(CODE)
