"""Secrets of GitHub Actions through Airflow's hook and PyGithub, against a stand-in that opens the sealed boxes."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from github import Auth, Github
from github.PublicKey import encrypt

from featurebase_provider.stores.github_actions import GithubActionsStore
from tests.contract.store_case import Seen, StoreCase, not_applicable
from tests.servers.dead_servers import silent_server
from tests.servers.github_api import ENVIRONMENT, ORGANIZATION, REPOSITORY, fake_github
from tests.servers.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "FEATUREBASE_WEBHOOK_SECRET"


class GithubRepositoryCase(StoreCase):
    calls_to_readable = 1
    is_conditional = False
    proves_writability = False
    reads_back = False
    asks_airflow = True
    place = REPOSITORY
    fields: ClassVar[dict[str, Any]] = {"repository": "acme/feedback"}
    missing: ClassVar[dict[str, Any]] = {"repository": "acme/missing"}

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.stack = ExitStack()
        self.github = self.stack.enter_context(fake_github())
        self.github.tokens["rotation"] = {"read", "write"}
        self.conn_id = self.connection("rotation")
        self.client = Github(
            auth=Auth.Token("admin"),
            base_url=f"http://127.0.0.1:{self.github.port}/api/v3",
            retry=0,
            seconds_between_writes=0,
            seconds_between_requests=0,
            lazy=True,
        )
        self.put_named("NEIGHBOUR", "something")

    def connection(self, token: str, port: int | None = None) -> str:
        conn_id = f"github_{uuid4().hex}"
        host = f"http://127.0.0.1:{port or self.github.port}/api/v3"
        connection = {"conn_type": "github", "password": token, "host": host}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.client.close()
        self.stack.close()
        self.patch.undo()

    def config(self, **changes: Any) -> GithubActionsStore:
        return GithubActionsStore(**{"conn_id": self.conn_id, "adopt": True, "name": NAME, **self.fields, **changes})

    def put_named(self, name: str, value: str) -> None:
        """As PyGithub itself writes a secret."""
        self.client.get_repo("acme/feedback").create_secret(name, value)

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_named(NAME, current)

    def remove(self) -> None:
        self.client.get_repo("acme/feedback").delete_secret(NAME)

    def seen(self) -> Seen | None:
        found = dict(self.github.places[self.place])
        mine = found.pop(NAME, None)
        if mine is None:
            return None
        return Seen(mine["value"], None, (found, mine["created_at"], mine.get("visibility"), mine.get("repositories")))

    def evidence(self) -> Any:
        return json.dumps(self.github.places)

    def put_wrong_type(self) -> None:
        not_applicable("a GitHub secret is always text")

    def missing_place(self) -> GithubActionsStore:
        return self.config(**self.missing, create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[GithubActionsStore]:
        self.github.tokens["reader"] = {"read"}
        yield self.config(conn_id=self.connection("reader"))

    @contextmanager
    def server_down(self) -> Iterator[GithubActionsStore]:
        yield self.config(conn_id=self.connection("rotation", free_port()))

    @contextmanager
    def dead(self) -> Iterator[tuple[GithubActionsStore, Callable[[], None]]]:
        with silent_server() as server:
            yield self.config(conn_id=self.connection("rotation", server.port), timeout=300), server.wait


class GithubEnvironmentCase(GithubRepositoryCase):
    place = ENVIRONMENT
    fields: ClassVar[dict[str, Any]] = {"repository": "acme/feedback", "environment": "prod eu"}
    missing: ClassVar[dict[str, Any]] = {"environment": "missing"}

    def put_named(self, name: str, value: str) -> None:
        self.client.get_repo("acme/feedback").get_environment("prod eu").create_secret(name, value)

    def remove(self) -> None:
        self.client.get_repo("acme/feedback").get_environment("prod eu").delete_secret(NAME)


class GithubOrganizationCase(GithubRepositoryCase):
    place = ORGANIZATION
    fields: ClassVar[dict[str, Any]] = {"organization": "acme"}
    missing: ClassVar[dict[str, Any]] = {"organization": "missing"}
    repositories: ClassVar[list[int]] = list(range(1, 252))
    """More than two pages."""

    def config(self, **changes: Any) -> GithubActionsStore:
        visibility = {"visibility": "private"} if changes.get("create") else {}
        return super().config(**visibility, **changes)

    def put_named(self, name: str, value: str) -> None:
        body = {"visibility": "selected", "selected_repository_ids": self.repositories}
        url = "/orgs/acme/actions/secrets"
        _, key = self.client.requester.requestJsonAndCheck("GET", f"{url}/public-key")
        body |= {"encrypted_value": encrypt(key["key"], value), "key_id": key["key_id"]}
        self.client.requester.requestJsonAndCheck("PUT", f"{url}/{name}", input=body)

    def remove(self) -> None:
        self.client.requester.requestJsonAndCheck("DELETE", f"/orgs/acme/actions/secrets/{NAME}")
