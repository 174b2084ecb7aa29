"""Objects in Kubernetes that copy a secret from a store: how each is told that there is something new, and shows it.

Each is told by an annotation, which also names what it is to fetch, by fingerprint, and what its status was before: a
worker that is lost leaves that behind, and no two clocks are compared. Nothing here holds a secret.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from featurebase_provider.featurebase.text import clean_text
from featurebase_provider.rotation.errors import StoreError, StoreRefused
from featurebase_provider.rotation.store import MANAGED_BY
from featurebase_provider.stores.shared.kubernetes import KubernetesCalls, kubernetes_client

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

State = Literal["untold", "pending", "done"]


class Follower(ABC):
    """An object that copies from a store into a Secret.

    :param store: the store's name, for messages.
    :param hook: of the cluster's connection, or why that can't be had.
    :param place: where the object is: its cluster's connection, namespace and name.
    :param target: what the store writes; stores that have the same follower tell it apart.
    :param timeout: seconds that an answer of the cluster may take.
    """

    kind: ClassVar[str]
    group: ClassVar[str]
    versions: ClassVar[tuple[str, ...]]
    """Of the object's API, the newest first."""
    plural: ClassVar[str]

    def __init__(
        self, store: str, hook: KubernetesHook | StoreError, place: tuple[str, str, str], *, target: str, timeout: float
    ) -> None:
        conn_id, self._namespace, self._name = place
        self.full_name = f"{self.kind} {self._namespace}/{self._name} of {conn_id}"
        self._store, self._hook, self._timeout = store, hook, timeout
        self._annotation = f"{MANAGED_BY}/{hashlib.sha256(target.encode()).hexdigest()[:16]}"
        self._built: KubernetesCalls | None = None
        self._version: str | None = None

    def prove(self) -> str:
        """Let the API server try to tell it, without doing so.

        :returns: what was proven.
        :raises NoDryRun: that can't be tried.
        :raises StoreRefused: there is no such object, it never looks again, or it may not be told.
        """
        found = self._get()
        self.check(found)
        self._patch(found, "0" * 64, dry_run=True)
        return f"{self.full_name}, which fills the Secret {self._secret(found)}, can be told to follow"

    def state(self, value: str) -> State:
        """Whether it was told to fetch this, and has done so.

        :param value: names what the store holds, by fingerprints.
        """
        found = self._get()
        told = self._told(found)
        if told.get("value") != value:
            return "untold"
        return "done" if self.has_synced(found.get("status") or {}, told.get("before")) else "pending"

    def tell(self, value: str) -> None:
        """Have it fetch what the store holds now.

        :param value: as in :meth:`state`.
        """
        self._patch(self._get(), value)

    def close(self) -> None:
        """Give the connection back."""
        if self._built is not None:
            self._built.close()

    def check(self, found: dict[str, Any]) -> None:  # noqa: B027 - some fetch whenever they are told
        """Refuse an object that does not follow when it is told."""

    @abstractmethod
    def token(self, status: dict[str, Any]) -> list[Any]:
        """What its status shows of the last time that it fetched."""

    @abstractmethod
    def has_synced(self, status: dict[str, Any], before: Any) -> bool:
        """Whether it has fetched since its status was ``before``, and could."""

    @abstractmethod
    def _secret(self, found: dict[str, Any]) -> str:
        """The name of the Secret that it fills."""

    def _extra_annotations(self) -> dict[str, str]:
        return {}

    @property
    def _calls(self) -> KubernetesCalls:
        if isinstance(self._hook, StoreError):
            raise self._hook
        if self._built is None:
            client = kubernetes_client(self._store, self._hook)
            self._built = KubernetesCalls(self._store, client, self._namespace, self._timeout)
        return self._built

    def _get(self) -> dict[str, Any]:
        from kubernetes.client import CustomObjectsApi  # type: ignore[import-untyped]  # ships no types

        get = CustomObjectsApi(self._calls.client).get_namespaced_custom_object
        for version in (self._version,) if self._version else self.versions:
            place = (self.group, version, self._namespace, self.plural, self._name)
            found = self._calls.call("get", self.full_name, get, *place)
            if found is not None:
                self._version = version
                return found
        raise StoreRefused(
            self._store,
            f"there is no {self.full_name} to tell",
            "Correct the store's refresh list, or its cluster's conn_id, or create it",
        )

    def _patch(self, found: dict[str, Any], value: str, *, dry_run: bool = False) -> None:
        from kubernetes.client import CustomObjectsApi

        note = {"value": value, "before": self.token(found.get("status") or {}), "at": _now()}
        annotations = {**self._extra_annotations(), self._annotation: json.dumps(note)}
        self._calls.call(
            "patch",
            self.full_name,
            CustomObjectsApi(self._calls.client).patch_namespaced_custom_object,
            self.group,
            self._version,
            self._namespace,
            self.plural,
            self._name,
            {"metadata": {"annotations": annotations}},
            dry_run=dry_run,
            _content_type="application/merge-patch+json",
        )

    def _told(self, found: dict[str, Any]) -> dict[str, Any]:
        try:
            told = json.loads(found["metadata"]["annotations"][self._annotation])
        except (KeyError, TypeError, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}


class ExternalSecret(Follower):
    """One of External Secrets Operator.

    The annotation is that of https://external-secrets.io/latest/introduction/faq/; which refresh policies heed it, says
    https://external-secrets.io/latest/guides/ownership-deletion-policy/. ``syncedResourceVersion`` changes with each
    fetch after the object's metadata has changed, and with no other.
    """

    kind = "ExternalSecret"
    group = "external-secrets.io"
    versions = ("v1", "v1beta1")
    plural = "externalsecrets"

    def check(self, found: dict[str, Any]) -> None:
        """Refuse one that fetches only once, or fills a Secret that can't change."""
        spec = found.get("spec") or {}
        if (spec.get("target") or {}).get("immutable"):
            raise StoreRefused(
                self._store,
                f"{self.full_name} fills an immutable Secret, which would keep the old secret; nothing was changed",
                "Set its spec.target.immutable to false and remove the Secret, or take it out of refresh",
            )
        policy, interval = spec.get("refreshPolicy") or "Periodic", spec.get("refreshInterval")
        only_once = policy == "CreatedOnce" or (policy == "Periodic" and str(interval).strip("0hms.") == "")
        if only_once:
            shown = clean_text(f"refreshPolicy {policy}, refreshInterval {interval}")
            raise StoreRefused(
                self._store,
                f"{self.full_name} has fetched once and never does again ({shown}), so it would keep the old secret; "
                "nothing was changed",
                "Give it an interval, or refreshPolicy: OnChange, or take it out of refresh",
            )

    def token(self, status: dict[str, Any]) -> list[Any]:
        """What it has synced."""
        return [status.get("syncedResourceVersion")]

    def has_synced(self, status: dict[str, Any], before: Any) -> bool:
        """Whether that is another version, and it is ready."""
        return self.token(status) != before and _condition(status, "Ready").get("status") == "True"

    def _secret(self, found: dict[str, Any]) -> str:
        target = ((found.get("spec") or {}).get("target") or {}).get("name") or self._name
        return clean_text(f"{self._namespace}/{target}")

    def _extra_annotations(self) -> dict[str, str]:
        return {"force-sync": _now()}


class VaultStaticSecret(Follower):
    """One of Vault Secrets Operator.

    Its documentation names no way to have a secret fetched now (https://github.com/hashicorp/vault-secrets-operator/issues/680
    asks for one) but ``spec.syncConfig.instantUpdates`` of Vault Enterprise. Since its version 0.5 it fetches when an
    annotation changes (https://github.com/hashicorp/vault-secrets-operator/pull/576). From 1.0 on its status has
    conditions, dated by each fetch; an older one shows a fetch only where it has found something new.
    """

    kind = "VaultStaticSecret"
    group = "secrets.hashicorp.com"
    versions = ("v1beta1",)
    plural = "vaultstaticsecrets"

    def token(self, status: dict[str, Any]) -> list[Any]:
        """The secret's MAC, and when it fetched."""
        return [status.get("secretMAC"), _condition(status, "Healthy").get("lastTransitionTime")]

    def has_synced(self, status: dict[str, Any], before: Any) -> bool:
        """Whether one of them has changed and all is well; an old version that shows neither counts as done."""
        healthy = _condition(status, "Healthy").get("status")
        return healthy is None or (self.token(status) != before and healthy == "True")

    def _secret(self, found: dict[str, Any]) -> str:
        name = ((found.get("spec") or {}).get("destination") or {}).get("name")
        return clean_text(f"{self._namespace}/{name}")


KINDS: dict[str, type[Follower]] = {"external_secret": ExternalSecret, "vault_static_secret": VaultStaticSecret}


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [one for one in status.get("conditions") or () if one.get("type") == kind]
    return found[0] if found else {}


def _now() -> str:
    return datetime.now(tz=timezone.utc).isoformat(timespec="microseconds")
