"""The field ``refresh``: what in Kubernetes copies from a store, and is told to do so once the store was written."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from featurebase_provider.rotation.errors import StoreError
from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.shared.kubernetes_names import Namespace, ObjectName

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    from featurebase_provider.rotation.store import ArmedStore


class FollowerConfig(BaseModel):
    """An object in Kubernetes that copies from the store into a Secret, and is told when there is something new.

    :param type: ``external_secret`` (External Secrets Operator) or ``vault_static_secret`` (Vault Secrets Operator).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Annotated[
        Literal["external_secret", "vault_static_secret"], Field(description="Which operator's object it is")
    ]
    conn_id: Annotated[str, Field(min_length=1, description="Airflow connection to the cluster")] = "kubernetes_default"
    namespace: Annotated[Namespace, Field(description="Its namespace")]
    name: Annotated[ObjectName, Field(description="Its name")]


class FollowedStore(StoreConfig):
    """A store that operators in Kubernetes copy from.

    :param refresh: objects that copy from this store into Kubernetes, and are told to do so once it was written.
    """

    refresh: tuple[FollowerConfig, ...] = ()

    @field_validator("refresh")
    @classmethod
    def _check_refresh(cls, refresh: tuple[FollowerConfig, ...]) -> tuple[FollowerConfig, ...]:
        if len(set(refresh)) < len(refresh):
            raise ValueError("name each object once")
        return refresh

    def followed(self, armed: "ArmedStore") -> "ArmedStore":
        """The armed store, which now tells its followers too."""
        if not self.refresh:
            return armed
        from featurebase_provider.stores.shared.followed import FollowedArmedStore
        from featurebase_provider.stores.shared.followers import KINDS

        timeout = self.timeout / 4
        followers = [
            KINDS[one.type](
                self.full_name,
                _hook(self.full_name, one.conn_id),
                (one.conn_id, one.namespace, one.name),
                target=self.target,
                timeout=timeout,
            )
            for one in self.refresh
        ]
        return FollowedArmedStore(armed, followers, timeout=timeout)


def _hook(store: str, conn_id: str) -> "KubernetesHook | StoreError":
    """The connection, or why there is none: that is the follower's trouble, and must not keep the store back."""
    from featurebase_provider.stores.shared.kubernetes import kubernetes_hook

    try:
        return kubernetes_hook(store, conn_id)
    except StoreError as error:
        return error
