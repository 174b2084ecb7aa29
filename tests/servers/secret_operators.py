"""External Secrets Operator and Vault Secrets Operator in a stand-in cluster: what they do when an object is changed.

How they read an object and date their status is that of their controllers: ``externalsecret_controller.go`` of
external-secrets 2.x, and ``vaultstaticsecret_controller.go`` of vault-secrets-operator 1.x.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.kubernetes_api_server import FakeKubernetes, Key

EXTERNAL_SECRET = ("external-secrets.io", "externalsecrets")
VAULT_STATIC_SECRET = ("secrets.hashicorp.com", "vaultstaticsecrets")


def _now() -> str:
    return datetime.now(tz=timezone.utc).isoformat()


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass
class Operator:
    """Both operators: what they fetch from a store goes into ``copies``.

    :param fetch: reads the store as an operator would; raising means that it could not.
    :param lag: seconds from a change of an object to its reconciliation.
    :param dates: whether the status of a VaultStaticSecret has conditions, as from version 1.0 on.
    """

    cluster: FakeKubernetes
    fetch: Callable[[], str | None]
    lag: float = 0.0
    stopped: bool = False
    dates: bool = True
    copies: list[str | None] = field(default_factory=list)

    def define(self, namespace: str, name: str, *, group: str, resource: str, version: str, **spec: Any) -> Key:
        """Serve an API, and make an object that has fetched once."""
        self.cluster.served.add(f"{group}/{version}")
        key = (resource, namespace, name)
        metadata = {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": _now()}
        self.cluster.objects[key] = {
            "apiVersion": f"{group}/{version}",
            "metadata": {**metadata, "generation": 1, "resourceVersion": "1", "annotations": {}},
            "spec": spec,
        }
        self.cluster.operators[resource] = self.touched
        self._reconcile(key)
        return key

    def touched(self, key: Key) -> None:
        """An object was changed."""
        if self.lag:
            threading.Timer(self.lag, self._reconcile, [key]).start()
        else:
            self._reconcile(key)

    def _reconcile(self, key: Key) -> None:
        if self.stopped:
            return
        found = self.cluster.objects[key]
        metadata, status = found["metadata"], dict(found.get("status") or {})
        external = key[0] == "externalsecrets"
        seen = f"{metadata['generation']}-{_hash(metadata['annotations'])}"
        if external and status.get("syncedResourceVersion") and found["spec"].get("refreshInterval") == "0s":
            return
        try:
            value = self.fetch()
        except OSError:
            conditions = [{"type": "Ready" if external else "Healthy", "status": "False", "lastTransitionTime": _now()}]
            self.cluster.set_status(key, {**status, "conditions": conditions})
            return
        self.copies.append(value)
        if external:
            ready = [{"type": "Ready", "status": "True", "reason": "SecretSynced"}]
            status = {"refreshTime": _now(), "syncedResourceVersion": seen, "conditions": ready}
        else:
            healthy = [{"type": "Healthy", "status": "True", "lastTransitionTime": _now()}]
            status = {"secretMAC": _hash(value), "lastGeneration": 1} | ({"conditions": healthy} if self.dates else {})
        self.cluster.set_status(key, status)
