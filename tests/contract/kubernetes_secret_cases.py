"""A Secret through Airflow's hook and the official client, against a stand-in for the API server.

The account has the Role that docs/stores/kubernetes_secret.md tells to grant, and no more.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
import yaml
from kubernetes.client import ApiException, AppsV1Api, CoreV1Api
from kubernetes.config import new_client_from_config_dict

from featurebase_provider.stores.kubernetes_secret import KubernetesSecretStore
from tests.contract.store_case import HELD, Seen, StoreCase
from tests.servers.dead_servers import silent_server
from tests.servers.kubernetes_api_server import fake_kubernetes, kube_config
from tests.servers.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMESPACE, NAME = "feedback", "feedback-webhook"
KEY, PREVIOUS_KEY = "FEATUREBASE_WEBHOOK_SECRET", "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"
PAGE = Path(__file__).parents[2] / "docs/stores/kubernetes_secret.md"


def documented_rules() -> list[dict[str, Any]]:
    """The rules of the Role in the documentation."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (role,) = (one for block in blocks for one in yaml.safe_load_all(block) if one.get("kind") == "Role")
    rules: list[dict[str, Any]] = role["rules"]
    return rules


class KubernetesSecretCase(StoreCase):
    calls_to_readable = 1
    keeps_previous = True
    has_mark = True
    asks_airflow = True
    bare = True
    misspelt: ClassVar = {"key": "FEATUREBASE_WEBHOOK_SECERT", "previous_key": None}
    previous_as_current: ClassVar = {"key": PREVIOUS_KEY, "previous_key": None}

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.stack = ExitStack()
        self.cluster = self.stack.enter_context(fake_kubernetes())
        self.cluster.rules["rotation"] = documented_rules()
        self.conn_id = self.connection("rotation")
        self.admin = new_client_from_config_dict(kube_config(self.cluster.port, "admin"))
        self.core, self.apps = CoreV1Api(self.admin), AppsV1Api(self.admin)
        self.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "neighbour"}, "data": {"a": "Yg=="}})

    def connection(self, token: str, port: int | None = None, **user: Any) -> str:
        conn_id = f"kubernetes_{uuid4().hex}"
        document = kube_config(port or self.cluster.port, token)
        if user:
            document["users"][0]["user"] = user
        extra = {"kube_config": json.dumps(document)}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra}))
        return conn_id

    def close(self) -> None:
        self.admin.close()
        self.stack.close()
        self.patch.undo()

    def config(self, **changes: Any) -> KubernetesSecretStore:
        fields = {
            "conn_id": self.conn_id,
            "namespace": NAMESPACE,
            "name": NAME,
            "key": KEY,
            "previous_key": PREVIOUS_KEY,
        }
        return KubernetesSecretStore(**{**fields, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_bytes({KEY: current.encode()} | ({PREVIOUS_KEY: previous.encode()} if previous else {}))

    def put_bytes(self, data: dict[str, bytes], **facts: Any) -> None:
        metadata = {"name": NAME, "labels": {"app": "feedback"}, "annotations": {"owner": "feedback-team"}}
        body = {
            "metadata": metadata,
            "type": "Opaque",
            "data": {key: base64.b64encode(value).decode() for key, value in {"OTHER": b"\xff\x00", **data}.items()},
            **facts,
        }
        if self.secret() is None:
            self.core.create_namespaced_secret(NAMESPACE, body)
        else:
            self.core.replace_namespaced_secret(NAME, NAMESPACE, body)

    def remove(self) -> None:
        self.core.delete_namespaced_secret(NAME, NAMESPACE)

    def secret(self) -> Any:
        """The Secret as the official client shows it; None if there is none."""
        try:
            return self.core.read_namespaced_secret(NAME, NAMESPACE)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def seen(self) -> Seen | None:
        found = self.secret()
        if found is None:
            return None
        data = {key: base64.b64decode(value) for key, value in found.data.items()}
        current, previous = (data.pop(key, b"").decode() or None for key in (KEY, PREVIOUS_KEY))
        others = (data, found.type, found.metadata.labels, (found.metadata.annotations or {}).get("owner"))
        return Seen(current, previous, others)

    def evidence(self) -> Any:
        return json.dumps(sorted(self.cluster.objects.items()))

    def put_wrong_type(self) -> None:
        self.put_bytes({KEY: b"\xff\xfe" + HELD.encode()})

    def missing_place(self) -> KubernetesSecretStore:
        self.cluster.rules["everywhere"] = None
        return self.config(namespace="missing", create=True, conn_id=self.connection("everywhere"))

    @contextmanager
    def writing_denied(self) -> Iterator[KubernetesSecretStore]:
        self.cluster.rules["reader"] = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
        yield self.config(conn_id=self.connection("reader"))

    @contextmanager
    def server_down(self) -> Iterator[KubernetesSecretStore]:
        yield self.config(conn_id=self.connection("rotation", free_port()))

    @contextmanager
    def dead(self) -> Iterator[tuple[KubernetesSecretStore, Callable[[], None]]]:
        """Nobody answers the program that the kube config names for the login."""
        with silent_server() as server:
            asks = f"import socket; socket.create_connection(('127.0.0.1', {server.port})).recv(1)"
            command = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": ["-c", asks]}
            yield self.config(conn_id=self.connection("", exec=command), timeout=300), server.wait


class KubernetesJsonCase(KubernetesSecretCase):
    """The secret in a JSON document that is one key of the Secret, as an application mounts it."""

    bare = False
    misspelt: ClassVar = {"entry": "feedback.signing", "previous_entry": None}
    previous_as_current: ClassVar = {"entry": "feedback.previous", "previous_entry": None}

    def config(self, **changes: Any) -> KubernetesSecretStore:
        entries = {"format": "json", "entry": "feedback.secret", "previous_entry": "feedback.previous"}
        return super().config(**{"key": "app.json", "previous_key": None, **entries, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        feedback = {"secret": current, "url": "https://a"} | ({"previous": previous} if previous else {})
        self.put_bytes({"app.json": json.dumps({"feedback": feedback, "n": 1.50}).encode()})

    def seen(self) -> Seen | None:
        found = self.secret()
        if found is None:
            return None
        document = json.loads(base64.b64decode(found.data["app.json"]))
        feedback = document["feedback"]
        current, previous = feedback.pop("secret", None), feedback.pop("previous", None)
        return Seen(current, previous, (document, found.data.get("OTHER")))

    def put_wrong_type(self) -> None:
        self.put_bytes({"app.json": json.dumps({"feedback": HELD}).encode()})
