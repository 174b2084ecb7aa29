"""Emulators of Azure Blob Storage and Google Cloud Storage, one of each for the whole test session."""

from __future__ import annotations

import shutil
import socket
import sys
from functools import cache
from pathlib import Path

from tests.servers.local_server import free_port, program, start
from tests.world.npm import installed

BUCKET = "app"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, and its key, as Microsoft's documentation shows them."""


@cache
def azurite() -> str:
    """Azurite, Microsoft's own emulator, which comes from npm: its connection string."""
    folder = installed(Path(__file__).parent / "azurite")
    port, main = free_port(), folder / "node_modules/azurite/dist/src/blob/main.js"
    node = shutil.which("node")
    assert node is not None
    flags = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    start([node, str(main), "--blobPort", str(port), *flags], lambda: _listens(port))
    endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={endpoint};"


@cache
def google_cloud_storage() -> str:
    """An emulator with one bucket: its URL."""
    port = free_port()
    program("gcp-storage-emulator", "it comes with `make setup`")
    flags = ["start", "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", BUCKET]
    start([sys.executable, "-m", "gcp_storage_emulator", *flags], lambda: _listens(port))
    return f"http://127.0.0.1:{port}"


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True
