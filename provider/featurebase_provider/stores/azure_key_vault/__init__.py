"""The store type ``azure_key_vault``: a secret in Azure Key Vault, or one key of its value. Experimental."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from featurebase_provider.stores.shared.connection import hook_errors
from featurebase_provider.stores.shared.secret_manager import SecretManagerStore

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import ArmedStore

_VAULT = re.compile(r"https://[a-z][a-z0-9-]{1,22}[a-z0-9](\.[a-z0-9-]+){2,}")


class AzureKeyVaultStore(SecretManagerStore):
    """The signing secret as a secret of Azure Key Vault, or under a key of its value. Experimental.

    Each write makes a new version. Key Vault has no conditional write: the current version is compared just before,
    and a writer in that instant is overwritten (its version stays in the secret's history).

    :param conn_id: Airflow connection of the type ``azure``; null for the worker's own identity.
    :param vault_url: the vault's address, ``https://NAME.vault.azure.net``.
    :param name: what the secret is called in the vault.
    :param create: whether a missing secret is created, and a missing key of an existing one added.
    """

    type: Literal["azure_key_vault"] = "azure_key_vault"
    conn_id: Annotated[str, Field(min_length=1)] | None = "azure_default"
    vault_url: Annotated[str, Field(examples=["https://acme-feedback.vault.azure.net"])]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,127}$", examples=["featurebase-webhook-secret"])]
    create: bool = False

    @field_validator("vault_url")
    @classmethod
    def _check_vault(cls, vault_url: str) -> str:
        url = vault_url.lower().removesuffix("/")
        if not _VAULT.fullmatch(url):
            raise ValueError("write the vault's address, and nothing more: https://NAME.vault.azure.net")
        if ".managedhsm." in url:
            raise ValueError("a Managed HSM holds keys and no secrets; name a vault: https://NAME.vault.azure.net")
        return url

    @property
    def whole(self) -> str:
        """The secret, with the connection as user; Key Vault's names know no case."""
        user = f"{self.conn_id}@" if self.conn_id else ""
        return f"azure-key-vault://{user}{self.vault_url.removeprefix('https://')}/{self.name.lower()}"

    def arm(self) -> "ArmedStore":
        """Fetch the connection and build the client; connecting logs in.

        :raises StoreUnusable: the client or the connection is missing, or makes no credential.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id or "", extra=self.type):
            from airflow.sdk import BaseHook
            from azure.keyvault.secrets import SecretClient

            from featurebase_provider.stores.azure_key_vault.armed import ArmedAzureSecret
            from featurebase_provider.stores.azure_key_vault.credentials import azure_credential

            connection = BaseHook.get_connection(self.conn_id) if self.conn_id else None
            credential = azure_credential(self.full_name, connection, timeout=self.timeout)
            client = SecretClient(
                self.vault_url,
                credential,
                connection_timeout=self.timeout,
                read_timeout=self.timeout,
                retry_total=0,
            )
            return self.followed(
                ArmedAzureSecret(self.full_name, client, credential, self.secret_text(), secret=self.name)
            )
