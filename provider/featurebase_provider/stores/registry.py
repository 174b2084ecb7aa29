"""Which store types exist, and the class behind each: built in, or offered by an installed plug-in.

A plug-in is a distribution with an entry point in the group ``featurebase_provider.stores`` whose name is
the store type and whose object is a subclass of :class:`~featurebase_provider.stores.base.StoreConfig`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.stores.base import StoreConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "featurebase_provider.stores"

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "airflow_variable": "featurebase_provider.stores.airflow_variable:AirflowVariableStore",
        "aws_secrets_manager": "featurebase_provider.stores.aws_secrets_manager:AwsSecretsManagerStore",
        "aws_ssm": "featurebase_provider.stores.aws_ssm:AwsSsmStore",
        "azure_key_vault": "featurebase_provider.stores.azure_key_vault:AzureKeyVaultStore",
        "gcp_secret_manager": "featurebase_provider.stores.gcp_secret_manager:GcpSecretManagerStore",
        "hashicorp_vault": "featurebase_provider.stores.hashicorp_vault:HashicorpVaultStore",
        "http": "featurebase_provider.stores.http:HttpStore",
        "github_actions": "featurebase_provider.stores.github_actions:GithubActionsStore",
        "kubernetes_secret": "featurebase_provider.stores.kubernetes_secret:KubernetesSecretStore",
        "object_storage": "featurebase_provider.stores.object_storage:ObjectStorageStore",
        "redis": "featurebase_provider.stores.redis:RedisStore",
        "sql": "featurebase_provider.stores.sql:SqlStore",
    }
)


class UnknownStoreType(FeaturebaseError):
    """No store type has this name."""

    retry_helps = False

    def __init__(self, type_name: str, known: tuple[str, ...]) -> None:
        super().__init__(type_name, known)
        self.type_name, self.known = type_name, known

    def __str__(self) -> str:
        return f"unknown store type {self.type_name!r}; there are {', '.join(self.known)}"


class StorePluginBroken(FeaturebaseError):
    """An installed distribution offers a store type that cannot be used."""

    retry_helps = False

    def __init__(self, type_name: str, distribution: str, value: str, problem: str) -> None:
        super().__init__(type_name, distribution, value, problem)
        self.type_name, self.distribution, self.value, self.problem = type_name, distribution, value, problem

    def __str__(self) -> str:
        return (
            f"store type {self.type_name!r} comes from the distribution {self.distribution} "
            f"(entry point {ENTRY_POINT_GROUP}: {self.type_name} = {self.value}), but {self.problem}. "
            "Repair or remove that distribution"
        )


def store_types() -> tuple[str, ...]:
    """Names of all store types that can be configured here, in alphabetical order."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))}))


def store_class(type_name: str) -> type[StoreConfig]:
    """Import the class of one store type; a built-in type never loads a plug-in.

    :raises UnknownStoreType: nothing offers this type.
    :raises StorePluginBroken: a plug-in offers it, but cannot be imported or is no store.
    """
    if type_name in BUILT_IN:
        module, _, attribute = BUILT_IN[type_name].partition(":")
        found: type[StoreConfig] = getattr(import_module(module), attribute)
        return found
    offers = tuple(entry_points(group=ENTRY_POINT_GROUP, name=type_name))
    if not offers:
        raise UnknownStoreType(type_name, store_types())
    return _plugin_class(type_name, offers)


def _plugin_class(type_name: str, offers: tuple[EntryPoint, ...]) -> type[StoreConfig]:
    offer = offers[0]
    distribution = offer.dist.name if offer.dist else "of unknown name"
    if others := {point.value for point in offers[1:]} - {offer.value}:
        raise StorePluginBroken(
            type_name, distribution, offer.value, f"another distribution offers it too ({', '.join(others)})"
        )
    try:
        loaded = offer.load()
    except Exception as error:  # a plug-in's import can fail in any way
        raise StorePluginBroken(
            type_name, distribution, offer.value, f"importing it fails with {error.__class__.__name__}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, StoreConfig)):
        raise StorePluginBroken(type_name, distribution, offer.value, "it is no subclass of StoreConfig")
    if loaded.model_fields["type"].default != type_name:
        raise StorePluginBroken(
            type_name, distribution, offer.value, f"its class does not declare type: Literal[{type_name!r}]"
        )
    return loaded
