"""Gives the compose file's sandbox its webhook, and the sample receiver that webhook's first secret."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from featurebase_provider.featurebase.client import Client
from featurebase_provider.featurebase.settings import ApiSettings

NAME = "Production"
RECEIVER = "http://127.0.0.1:8788/"
SECRET_FILE = Path("/opt/airflow/shared/webhook.env")


def main(api_url: str = "http://127.0.0.1:8787", secret_file: Path = SECRET_FILE) -> None:
    """Create the webhook unless the sandbox has it, and give the receiver its secret unless it has one of it."""
    with Client(ApiSettings(api_key=SecretStr("sk_sandbox"), base_url=api_url)) as client:
        webhook = next((one for one in client.list_webhooks() if one.name == NAME), None)
        if webhook is not None and secret_file.exists():
            print(f"the sandbox has the webhook {NAME!r} already, and the receiver a secret")
            return
        if webhook is None:
            webhook = client.create_webhook(name=NAME, url=RECEIVER, topics=["post.created", "post.updated"])
    if webhook.secret is None:
        raise SystemExit("the sandbox shows a webhook without a secret")
    # The file of an earlier sandbox holds a secret that signs nothing any more.
    new_file = secret_file.with_suffix(".new")
    descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"FEATUREBASE_WEBHOOK_SECRET={webhook.secret.reveal()}\n")
    new_file.replace(secret_file)
    print(f"the webhook {NAME!r} signs with {webhook.secret.fingerprint}, which is in {secret_file}")


if __name__ == "__main__":
    main()
