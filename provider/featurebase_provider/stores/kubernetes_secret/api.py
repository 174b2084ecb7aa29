"""The few calls to a Kubernetes API server that the store ``kubernetes_secret`` makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused
from featurebase_provider.stores.shared.kubernetes import KubernetesCalls

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What ``kubectl rollout restart`` sets on a pod template."""

_PATCHES = {
    "Deployment": "patch_namespaced_deployment",
    "StatefulSet": "patch_namespaced_stateful_set",
    "DaemonSet": "patch_namespaced_daemon_set",
}


@dataclass(frozen=True, slots=True)
class KubernetesApi(KubernetesCalls):
    """Secrets and workloads of one namespace.

    Patches that are a mapping go out as strategic merge patches, which merge annotations and data key by key; None
    removes a key.
    """

    def secret(self, name: str) -> dict[str, Any] | None:
        """Read a Secret; None if there is none, or no such namespace."""
        return self.call("get", f"Secret {name}", self._core.read_namespaced_secret, name, self.namespace)

    def create_secret(self, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create a Secret.

        :raises StoreConflict: somebody else created it.
        """
        name = body["metadata"]["name"]
        answer = self.call(
            "create", f"Secret {name}", self._core.create_namespaced_secret, self.namespace, body, dry_run=dry_run
        )
        if answer is None:
            raise StoreRefused(
                self.store,
                f"there is no namespace {self.namespace}",
                "Correct the store's namespace, or the connection's cluster; nothing was changed",
            )
        return answer

    def patch_secret(self, name: str, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Merge ``body`` into a Secret.

        :raises StoreConflict: it is not at the ``resourceVersion`` that the body names, or is gone.
        """
        patch = self._core.patch_namespaced_secret
        answer = self.call("patch", f"Secret {name}", patch, name, self.namespace, body, dry_run=dry_run)
        if answer is None:
            raise StoreConflict(self.store, "the Secret was removed since it was read; nothing was written")
        return answer

    def restart(self, kind: str, name: str, at: str, *, dry_run: bool = False) -> None:
        """Begin a rollout, as ``kubectl rollout restart`` does; the same ``at`` again changes nothing."""
        from kubernetes.client import AppsV1Api  # type: ignore[import-untyped]  # ships no types

        patch = getattr(AppsV1Api(self.client), _PATCHES[kind])
        body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}}}
        if self.call("patch", f"{kind} {name}", patch, name, self.namespace, body, dry_run=dry_run) is None:
            raise StoreRefused(
                self.store, f"there is no {kind} {name} to restart", "Correct the store's restart list, or create it"
            )

    @property
    def _core(self) -> Any:
        from kubernetes.client import CoreV1Api

        return CoreV1Api(self.client)
