"""The store type ``kubernetes_secret``: one key of a Secret."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from featurebase_provider.stores.base import Duration
from featurebase_provider.stores.shared.entry import KeyedEntryStore
from featurebase_provider.stores.shared.kubernetes import kubernetes_client, kubernetes_hook
from featurebase_provider.stores.shared.kubernetes_names import Namespace, ObjectName

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    from featurebase_provider.stores.kubernetes_secret.api import KubernetesApi
    from featurebase_provider.stores.kubernetes_secret.armed import ArmedKubernetesSecret

DataKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253, examples=["FEATUREBASE_WEBHOOK_SECRET"])]

_MOST_SPREAD = timedelta(minutes=10)


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
    :param shared: whether the Secret may be written although another program (External Secrets Operator, Helm, Argo CD
        and their like) writes it too.
    :param restart: workloads in the same namespace whose rollout restarts once the secret has changed.
    :param spread: the time between the beginnings of two of these restarts, in the order given; by default they begin
        together.
    """

    type: Literal["kubernetes_secret"] = "kubernetes_secret"
    conn_id: Annotated[str, Field(min_length=1)] = "kubernetes_default"
    namespace: Namespace
    name: ObjectName
    key: DataKey = "FEATUREBASE_WEBHOOK_SECRET"
    previous_key: DataKey | None = None
    create: bool = False
    shared: bool = False
    restart: tuple[Workload, ...] = ()
    spread: Duration = timedelta(0)

    @field_validator("spread")
    @classmethod
    def _check_spread(cls, spread: timedelta) -> timedelta:
        if not timedelta(0) <= spread <= _MOST_SPREAD:
            raise ValueError("give at most PT10M: the workloads that wait refuse deliveries meanwhile")
        return spread

    @field_validator("restart")
    @classmethod
    def _check_restart(cls, restart: tuple[Workload, ...]) -> tuple[Workload, ...]:
        if len(set(restart)) < len(restart):
            raise ValueError("name each workload once")
        return restart

    def place(self, key: str | None) -> str:
        """Connection, namespace, Secret and key."""
        return f"kubernetes://{self.conn_id}@{self.namespace}/{self.name}#{key}"

    def arm(self) -> "ArmedKubernetesSecret":
        """Fetch the connection; connecting loads its kube config, which may run a program that logs in.

        :raises StoreUnusable: Airflow's Kubernetes provider or the connection is missing.
        """
        hook = kubernetes_hook(self.full_name, self.conn_id)
        from featurebase_provider.stores.kubernetes_secret.armed import ArmedKubernetesSecret

        return ArmedKubernetesSecret(
            self.full_name,
            partial(self._api, hook),
            secret=self.name,
            keys=(self.key, self.previous_key),
            text=self.entry_text(create=self.create),
            create=self.create,
            shared=self.shared,
            restart=[(one.kind, one.name) for one in self.restart],
            spread=self.spread,
        )

    def _api(self, hook: "KubernetesHook") -> "KubernetesApi":
        from featurebase_provider.stores.kubernetes_secret.api import KubernetesApi

        return KubernetesApi(self.full_name, kubernetes_client(self.full_name, hook), self.namespace, self.timeout)
