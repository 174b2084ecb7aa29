"""A Kubernetes cluster behind an Airflow connection: a client of its own, and calls whose errors are a store's.

The client is imported inside functions: not everybody who imports this has it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import (
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreUnreachable,
    StoreUnusable,
)
from featurebase_provider.stores.shared.connection import check_encrypted, hook_errors
from featurebase_provider.stores.shared.refusals import refuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from kubernetes.client import ApiClient  # type: ignore[import-untyped]  # ships no types

_EXTRA = "kubernetes_secret"


class NoDryRun(StoreRefused):
    """The API server could not try a request without carrying it out."""


def kubernetes_hook(store: str, conn_id: str) -> KubernetesHook:
    """Fetch a connection to a cluster, on the task's main thread.

    :param store: the store's name, for messages.
    :raises StoreUnusable: Airflow's Kubernetes provider or the connection is missing.
    """
    with hook_errors(store, conn_id=conn_id, extra=_EXTRA):
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

        hook = KubernetesHook(conn_id=conn_id)
        _ = hook.conn_extras  # fetched here, as the hook keeps it
        return hook


def kubernetes_client(store: str, hook: KubernetesHook) -> ApiClient:
    """Load the kube config, which may run a program that logs in, and build a client that shares nothing.

    :raises StoreUnusable: there is no usable kube config, or it leads to another host by plain http.
    """
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException  # type: ignore[import-untyped]  # ships no types

    extras = hook.conn_extras
    with hook_errors(store, conn_id=str(hook.conn_id), extra=_EXTRA):
        try:
            if extras.get("in_cluster") or extras.get("extra__kubernetes__in_cluster"):
                client = hook.get_conn()
            else:
                # Without a configuration of its own, what is loaded becomes the process's, which stores that
                # connect at once would take from one another. (Older hooks' clients take that nevertheless.)
                hook.client_configuration = Configuration()
                hook.get_conn().close()
                client = ApiClient(hook.client_configuration)
        except ConfigException:
            raise StoreUnusable(
                store,
                f"the Airflow connection {hook.conn_id} holds no usable kube config; nothing was changed",
                "Check its kube config and context",
            ) from None  # the text may quote the kube config
    check_encrypted(store, client.configuration.host, advice="Name an https server in the kube config")
    return client


@dataclass(frozen=True, slots=True)
class KubernetesCalls:
    """Requests about the objects of one namespace.

    Answers are taken raw: the client would log a decoded one, secret and all, at debug level. None is for 404.

    :param store: the store's name, for messages.
    :param client: from :func:`kubernetes_client`.
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

    def close(self) -> None:
        """Give the connections back."""
        self.client.rest_client.pool_manager.clear()
        self.client.close()

    def call(
        self, verb: str, what: str, call: Callable[..., Any], *args: Any, dry_run: bool = False, **options: Any
    ) -> dict[str, Any] | None:
        """Make one request; None for 404. A connection that broke is tried once more: each call may be repeated.

        :param verb: what is done, in RBAC's word, and ``what`` it is done to: for messages.
        :raises NoDryRun: a dry run was asked for, and something in the way can't try the request.
        :raises StoreConflict: the object is not at the ``resourceVersion`` that the body names.
        :raises StoreError: the API server refused, or gave no answer.
        """
        from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError, ProtocolError

        options["_request_timeout"] = (self.timeout, self.timeout)  # kubernetes 33 ignores a single float
        if dry_run:
            options["dry_run"] = "All"
        for attempt in (1, 2):
            try:
                answer = call(*args, _preload_content=False, **options)
                document: dict[str, Any] = json.loads(answer.data)
                return document
            except ApiException as error:
                if error.status == 404:
                    return None
                raise self._error(verb, what, error.status, dry_run=dry_run) from None  # quotes the body
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
