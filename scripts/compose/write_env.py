"""Writes .env beside docker-compose.yaml with fresh secrets; an existing .env stays as it is."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parents[2] / ".env"


def main(env_file: Path = ENV_FILE) -> None:
    """Create the file for its owner's eyes only; hex values are safe in URLs, too."""
    lines = [
        f"AIRFLOW_FERNET_KEY={base64.urlsafe_b64encode(os.urandom(32)).decode()}",
        f"AIRFLOW_JWT_SECRET={secrets.token_hex(32)}",
        f"AIRFLOW_SECRET_KEY={secrets.token_hex(32)}",
        f"POSTGRES_PASSWORD={secrets.token_hex(16)}",
    ]
    try:
        descriptor = os.open(env_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{env_file} exists; delete it to get new secrets (the old database then can't be read)")
        return
    with os.fdopen(descriptor, "w") as opened:
        opened.write("\n".join(lines) + "\n")
    print(f"wrote {env_file}")


if __name__ == "__main__":
    main()
