"""Azure credentials from an Airflow connection, without Airflow's Azure provider.

That provider has no hook for Key Vault and brings some fifty packages. The fields of its connection type ``azure``
are read here as it names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreUnusable

if TYPE_CHECKING:
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

_UNKNOWN = ("key_path", "key_json")


def azure_credential(store: str, connection: Any, *, timeout: float) -> ClientSecretCredential | DefaultAzureCredential:
    """Build a credential; it fetches no token yet.

    :param store: the store's name, for messages.
    :param connection: the Airflow connection; None for the worker's own identity.
    :param timeout: seconds that one request for a token may take.
    :raises StoreUnusable: the connection's fields make no credential.
    """
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

    login, password = (connection.login, connection.password) if connection else (None, None)
    extra: dict[str, Any] = dict(connection.extra_dejson) if connection else {}
    tenant = extra.get("tenantId")
    options: dict[str, Any] = {"connection_timeout": timeout, "read_timeout": timeout, "retry_total": 0}
    if authority := _authority(store, extra.get("cloud_environment")):
        options["authority"] = authority
    if unknown := [name for name in _UNKNOWN if extra.get(name)]:
        raise _unusable(store, f"has {unknown[0]}, which this store does not know")
    if login and password and tenant:
        return ClientSecretCredential(tenant, login, password, **options)
    if login or password or tenant:
        raise _unusable(store, "has a client id, a secret or a tenant, but not all three")
    for name in ("managed_identity_client_id", "workload_identity_tenant_id"):
        if extra.get(name):
            options[name] = extra[name]
    return DefaultAzureCredential(**options)


def _authority(store: str, cloud: str | None) -> str | None:
    from azure.identity import AzureAuthorityHosts

    if not cloud:
        return None  # azure-identity goes by AZURE_AUTHORITY_HOST, else the public cloud
    known: dict[str, str] = {
        "AzurePublicCloud": AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
        "AzureUSGovernment": AzureAuthorityHosts.AZURE_GOVERNMENT,
        "AzureChinaCloud": AzureAuthorityHosts.AZURE_CHINA,
    }
    if cloud not in known:
        raise _unusable(store, f"has an unknown cloud_environment; there are {', '.join(known)}")
    return known[cloud]


def _unusable(store: str, problem: str) -> StoreUnusable:
    return StoreUnusable(
        store,
        f"its Airflow connection {problem}; nothing was changed",
        "Give client id (login), secret (password) and tenantId, or none of them to use the worker's own identity",
    )
