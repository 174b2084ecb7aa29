"""The few calls to a Kubernetes API server that the store ``kubernetes_secret`` makes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.stores.shared.refusals import refuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes.client import ApiClient  # type: ignore[import-untyped]  # ships no types

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What ``kubectl rollout restart`` sets on a pod template."""

_PATCHES = {
    "Deployment": "patch_namespaced_deployment",
    "StatefulSet": "patch_namespaced_stateful_set",
    "DaemonSet": "patch_namespaced_daemon_set",
}


class NoDryRun(StoreRefused):
    """The API server could not try a request without carrying it out."""


@dataclass(frozen=True, slots=True)
class KubernetesApi:
    """Secrets and workloads of one namespace.

    Answers are taken raw: the client would log a decoded one, secret and all, at debug level. Patches that are a
    mapping go out as strategic merge patches, which merge annotations and data key by key; None removes a key.

    :param store: the store's name, for messages.
    :param client: from Airflow's hook.
    :param timeout: seconds that one connection, or one answer, may take.
    """

    store: str
    client: ApiClient
    namespace: str
    timeout: float

    def __post_init__(self) -> None:
        from urllib3 import Retry

        # The default asks three times, each as long as the timeout, and follows redirects with the body.
        self.client.rest_client.pool_manager.connection_pool_kw["retries"] = Retry(0, redirect=0, status=0)

    def secret(self, name: str) -> dict[str, Any] | None:
        """Read a Secret; None if there is none, or no such namespace."""
        return self._call("get", f"Secret {name}", self._core.read_namespaced_secret, name, self.namespace)

    def create_secret(self, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create a Secret.

        :raises StoreConflict: somebody else created it.
        """
        name = body["metadata"]["name"]
        answer = self._call(
            "create", f"Secret {name}", self._core.create_namespaced_secret, self.namespace, body, **_dry(dry_run)
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
        answer = self._call("patch", f"Secret {name}", patch, name, self.namespace, body, **_dry(dry_run))
        if answer is None:
            raise StoreConflict(self.store, "the Secret was removed since it was read; nothing was written")
        return answer

    def restart(self, kind: str, name: str, at: str, *, dry_run: bool = False) -> None:
        """Begin a rollout, as ``kubectl rollout restart`` does; the same ``at`` again changes nothing."""
        from kubernetes.client import AppsV1Api

        patch = getattr(AppsV1Api(self.client), _PATCHES[kind])
        body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}}}
        if self._call("patch", f"{kind} {name}", patch, name, self.namespace, body, **_dry(dry_run)) is None:
            raise StoreRefused(
                self.store, f"there is no {kind} {name} to restart", "Correct the store's restart list, or create it"
            )

    def close(self) -> None:
        """Give the connections back."""
        self.client.rest_client.pool_manager.clear()
        self.client.close()

    @property
    def _core(self) -> Any:
        from kubernetes.client import CoreV1Api

        return CoreV1Api(self.client)

    def _call(
        self, verb: str, what: str, call: Callable[..., Any], *args: Any, **options: Any
    ) -> dict[str, Any] | None:
        """Make one request; None for 404. A connection that broke is tried once more: each call may be repeated."""
        from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError, ProtocolError

        options["_request_timeout"] = (self.timeout, self.timeout)  # kubernetes 33 ignores a single float
        for attempt in (1, 2):
            try:
                answer = call(*args, _preload_content=False, **options)
                document: dict[str, Any] = json.loads(answer.data)
                return document
            except ApiException as error:
                if error.status == 404:
                    return None
                raise self._error(verb, what, error.status, dry_run="dry_run" in options) from None  # quotes the body
            except (HTTPError, OSError, ValueError) as error:
                reason = getattr(error, "reason", error)
                if attempt == 1 and isinstance(reason, ProtocolError):
                    continue
                raise StoreUnreachable(
                    self.store,
                    f"the API server gave no usable answer to {verb} {what} ({type(reason).__name__})",
                ) from None
        raise AssertionError

    def _error(self, verb: str, what: str, status: int, *, dry_run: bool) -> StoreError:
        said = f"the API server answered {status} to {verb} {what} in namespace {self.namespace}"
        if status == 409:
            return StoreConflict(self.store, f"{what} changed since it was read; nothing was written")
        if status == 400 and dry_run:
            return NoDryRun(self.store, f"{said}, as a dry run")
        if status in {401, 403}:
            return StoreRefused(self.store, said, f"Allow the connection's account to {verb} it; nothing was changed")
        if refuses(status):
            return StoreRefused(self.store, said, "It was not changed; see the API server's audit log")
        return StoreUnreachable(
            self.store, said if status else f"no TLS connection to the API server for {verb} {what}"
        )


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dry_run": "All"} if dry_run else {}
