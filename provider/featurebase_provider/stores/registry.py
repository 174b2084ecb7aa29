"""Which store types are built in, and the class behind each store type.

What other distributions offer is in :mod:`~featurebase_provider.stores.plug_ins`, loaded only for a type that is not
built in.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featurebase_provider.stores.base import StoreConfig

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


def store_class(type_name: str) -> type[StoreConfig]:
    """Import the class of one store type; a built-in type never loads a plug-in.

    :raises UnknownStoreType: nothing offers this type.
    :raises StorePluginBroken: a plug-in offers it, but cannot be imported or is no store.
    """
    if type_name in BUILT_IN:
        module, _, attribute = BUILT_IN[type_name].partition(":")
        found: type[StoreConfig] = getattr(import_module(module), attribute)
        return found
    from featurebase_provider.stores.plug_ins import plug_in_class

    return plug_in_class(type_name, built_in=BUILT_IN)


def store_types() -> tuple[str, ...]:
    """Names of all store types that can be configured here, in alphabetical order."""
    from featurebase_provider.stores.plug_ins import offered_types

    return tuple(sorted({*BUILT_IN, *offered_types()}))
