"""Gives the compose file's sandbox its webhook, and the sample receiver that webhook's first secret."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from featurebase_provider.featurebase.client import Client
from featurebase_provider.featurebase.settings import ApiSettings

NAME = "Sample receiver"
RECEIVER = "http://127.0.0.1:8788/"
SECRET_FILE = Path("/opt/airflow/shared/webhook.env")


def main(api_url: str = "http://127.0.0.1:8787", secret_file: Path = SECRET_FILE) -> None:
    """Create the webhook unless the sandbox has it; a sandbox that was started anew has forgotten all."""
    with Client(ApiSettings(api_key=SecretStr("sk_sandbox"), base_url=api_url)) as client:
        if any(webhook.name == NAME for webhook in client.list_webhooks()):
            print(f"the sandbox has the webhook {NAME!r} already")
            return
        webhook = client.create_webhook(name=NAME, url=RECEIVER, topics=["post.created", "post.updated"])
    if webhook.secret is None:
        raise SystemExit("the sandbox created a webhook without a secret")
    # The file of an earlier sandbox holds a secret that signs nothing any more.
    new_file = secret_file.with_suffix(".new")
    descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"FEATUREBASE_WEBHOOK_SECRET={webhook.secret.reveal()}\n")
    new_file.replace(secret_file)
    print(f"created the webhook {NAME!r}; its secret {webhook.secret.fingerprint} is in {secret_file}")


if __name__ == "__main__":
    main()
