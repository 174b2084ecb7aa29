"""Gives the compose files' sandbox its webhook, and the sample receiver that webhook's first secret.

Usage: register_webhook.py [--openbao URL]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from featurebase_provider.featurebase.client import Client
from featurebase_provider.featurebase.settings import ApiSettings

if TYPE_CHECKING:
    from featurebase_provider.featurebase.signing_secret import SigningSecret

NAME = "Production"
RECEIVER = "http://127.0.0.1:8788/"
KEY = "FEATUREBASE_WEBHOOK_SECRET"


class Place(Protocol):
    """Where the receiver's secret comes from."""

    def is_empty(self) -> bool:
        """Whether it holds no secret yet."""

    def put(self, secret: SigningSecret) -> None:
        """Store one."""


class SecretFile:
    """The file that the receiver reads, in docker-compose.small.yaml."""

    def __init__(self, path: Path = Path("/opt/airflow/shared/webhook.env")) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def is_empty(self) -> bool:
        """Whether it is there; an empty file is none of ours."""
        return not self.path.exists()

    def put(self, secret: SigningSecret) -> None:
        """Replace the file. One of an earlier sandbox holds a secret that signs nothing any more."""
        new_file = self.path.with_suffix(".new")
        descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{KEY}={secret.reveal()}\n")
        new_file.replace(self.path)


class OpenBao:
    """The secret that an agent brings to the receiver, in docker-compose.yaml.

    :param url: of the server.
    :param token: may read and write the secret.
    """

    path = "apps/feedback"

    def __init__(self, url: str, token: str) -> None:
        import hvac

        self._kv = hvac.Client(url, token).secrets.kv.v2

    def __str__(self) -> str:
        return f"OpenBao's secret/{self.path}"

    def is_empty(self) -> bool:
        """Whether there is no such secret."""
        from hvac.exceptions import InvalidPath

        try:
            self._kv.read_secret_version(self.path, raise_on_deleted_version=True)
        except InvalidPath:
            return True
        return False

    def put(self, secret: SigningSecret) -> None:
        """Write a new version."""
        self._kv.create_or_update_secret(self.path, {KEY: secret.reveal()})


def main(api_url: str, place: Place) -> None:
    """Create the webhook unless the sandbox has it, and give the receiver its secret unless it has one of it."""
    with Client(ApiSettings(api_key=SecretStr("sk_sandbox"), base_url=api_url)) as client:
        webhook = next((one for one in client.list_webhooks() if one.name == NAME), None)
        if webhook is not None and not place.is_empty():
            print(f"the sandbox has the webhook {NAME!r} already, and the receiver a secret")
            return
        if webhook is None:
            webhook = client.create_webhook(name=NAME, url=RECEIVER, topics=["post.created", "post.updated"])
    if webhook.secret is None:
        raise SystemExit("the sandbox shows a webhook without a secret")
    place.put(webhook.secret)
    print(f"the webhook {NAME!r} signs with {webhook.secret.fingerprint}, which is in {place}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--openbao", metavar="URL", help="write it into OpenBao there, with the token in OPENBAO_TOKEN")
    url = parser.parse_args().openbao
    main("http://127.0.0.1:8787", OpenBao(url, os.environ["OPENBAO_TOKEN"]) if url else SecretFile())
