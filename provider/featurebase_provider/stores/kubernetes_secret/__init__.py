"""The store type ``kubernetes_secret``: one key of a Secret."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from featurebase_provider.rotation.errors import StoreUnusable
from featurebase_provider.stores.shared.connection import check_encrypted, hook_errors
from featurebase_provider.stores.shared.formatted import KeyedEntryStore

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    from featurebase_provider.stores.kubernetes_secret.api import KubernetesApi
    from featurebase_provider.stores.kubernetes_secret.armed import ArmedKubernetesSecret

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
Namespace = Annotated[str, Field(pattern=rf"^{_LABEL}$", examples=["feedback"])]
ObjectName = Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253, examples=["feedback-webhook"])]
DataKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253, examples=["FEATUREBASE_WEBHOOK_SECRET"])]


class Workload(BaseModel):
    """What is restarted when the secret has changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Annotated[Literal["Deployment", "StatefulSet", "DaemonSet"], Field(description="What kind it is")]
    name: Annotated[ObjectName, Field(description="Its name, in the Secret's namespace")]


class KubernetesSecretStore(KeyedEntryStore):
    """The signing secret under one key of a Kubernetes Secret; written only if nobody else wrote meanwhile.

    :param conn_id: Airflow connection to the cluster.
    :param namespace: the Secret's namespace.
    :param name: the Secret's name.
    :param key: the key of its data that holds the secret; other keys stay as they are.
    :param previous_key: the key that holds the previous secret; none is kept without it.
    :param format: ``raw`` (nothing but the secret), or the format of the text that the key holds.
    :param entry: where the secret lies in that text.
    :param previous_entry: where the previous secret lies in that text.
    :param create: whether a missing Secret is created, and a missing key or entry added; a namespace never is made.
    :param restart: workloads in the same namespace whose rollout restarts once the secret has changed.
    """

    type: Literal["kubernetes_secret"] = "kubernetes_secret"
    conn_id: Annotated[str, Field(min_length=1)] = "kubernetes_default"
    namespace: Namespace
    name: ObjectName
    key: DataKey = "FEATUREBASE_WEBHOOK_SECRET"
    previous_key: DataKey | None = None
    create: bool = False
    restart: tuple[Workload, ...] = ()

    @field_validator("restart")
    @classmethod
    def _check_restart(cls, restart: tuple[Workload, ...]) -> tuple[Workload, ...]:
        if len(set(restart)) < len(restart):
            raise ValueError("name each workload once")
        return restart

    def place(self, key: str | None) -> str:
        """Connection, namespace, Secret and key."""
        return f"kubernetes://{self.conn_id}@{self.namespace}/{self.name}#{key}"

    def arm(self) -> ArmedKubernetesSecret:
        """Fetch the connection; connecting loads its kube config, which may run a program that logs in.

        :raises StoreUnusable: Airflow's Kubernetes provider or the connection is missing.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id, extra=self.type):
            from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

            from featurebase_provider.stores.kubernetes_secret.armed import ArmedKubernetesSecret

            hook = KubernetesHook(conn_id=self.conn_id)
            _ = hook.conn_extras  # fetched here, as the hook keeps it
            return ArmedKubernetesSecret(
                self.full_name,
                partial(self._api, hook),
                secret=self.name,
                keys=(self.key, self.previous_key),
                text=self.entry_text(create=self.create),
                create=self.create,
                restart=[(one.kind, one.name) for one in self.restart],
            )

    def _api(self, hook: KubernetesHook) -> KubernetesApi:
        from kubernetes.client import ApiClient, Configuration  # type: ignore[import-untyped]  # ships no types
        from kubernetes.config import ConfigException  # type: ignore[import-untyped]  # ships no types

        from featurebase_provider.stores.kubernetes_secret.api import KubernetesApi

        extras = hook.conn_extras
        with hook_errors(self.full_name, conn_id=self.conn_id, extra=self.type):
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
                    self.full_name,
                    f"the Airflow connection {self.conn_id} holds no usable kube config; nothing was changed",
                    "Check its kube config and context",
                ) from None  # the text may quote the kube config
        check_encrypted(self.full_name, client.configuration.host, advice="Name an https server in the kube config")
        return KubernetesApi(self.full_name, client, self.namespace, self.timeout)
