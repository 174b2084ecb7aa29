"""Writes .env beside the compose files with fresh secrets; what an existing .env has stays as it is."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parents[2] / ".env"


def main(env_file: Path = ENV_FILE) -> None:
    """Create the file for its owner's eyes only, or add what it lacks; hex values are safe in URLs, too."""
    values = {
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW_SECRET_KEY": secrets.token_hex(32),
        "OPENBAO_TOKEN": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "REDIS_PASSWORD": secrets.token_hex(16),
    }
    there = env_file.read_text() if env_file.exists() else ""
    missing = values.keys() - {line.partition("=")[0] for line in there.splitlines()}
    if not missing:
        print(f"{env_file} has them all; delete it to get new secrets (the old database then can't be read)")
        return
    separator = "\n" if there and not there.endswith("\n") else ""
    with os.fdopen(os.open(env_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as opened:
        opened.write(separator + "".join(f"{name}={values[name]}\n" for name in sorted(missing)))
    print(f"wrote {', '.join(sorted(missing))} into {env_file}")


if __name__ == "__main__":
    main()
