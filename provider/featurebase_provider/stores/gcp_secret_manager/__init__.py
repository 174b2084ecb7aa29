"""The store type ``gcp_secret_manager``: a secret in Google Cloud's Secret Manager, or one key of its value."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from featurebase_provider.stores.shared.connection import GCP_LOGGERS, hook_errors, quieten
from featurebase_provider.stores.shared.secret_manager import SecretManagerStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featurebase_provider.rotation.store import ArmedStore
    from featurebase_provider.stores.gcp_secret_manager.calls import GcpCalls


class GcpSecretManagerStore(SecretManagerStore):
    """The signing secret as the latest version of a secret in Google Cloud, or under a key of its value.

    Each write adds a version. Google adds one without asking what was there before: the latest version is compared
    just before, and a version that somebody adds in that instant is put back.

    :param conn_id: Airflow connection of the type ``google_cloud_platform``; null for the worker's own identity.
    :param project_id: the Google Cloud project's id.
    :param location: the region of a regional secret (``europe-west3``); left out, the secret is a global one.
    :param secret_id: what the secret is called in the project.
    :param create: whether a missing secret is created, replicated automatically, and a missing key of an existing one
        added.
    :param older_versions: ``keep``, or ``disable`` every older version once the new one is in place.
    """

    type: Literal["gcp_secret_manager"] = "gcp_secret_manager"
    conn_id: Annotated[str, Field(min_length=1)] | None = "google_cloud_default"
    project_id: Annotated[
        str, Field(pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", examples=["acme-feedback"])
    ]
    location: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$", examples=["europe-west3"])] | None = None
    secret_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$", examples=["featurebase-webhook-secret"])]
    create: bool = False
    older_versions: Literal["keep", "disable"] = "keep"

    @property
    def parent(self) -> str:
        """The project, or its region, as Google names it."""
        return f"projects/{self.project_id}" + (f"/locations/{self.location}" if self.location else "")

    @property
    def whole(self) -> str:
        """The secret, with the connection before."""
        user = f"{self.conn_id}@" if self.conn_id else ""
        place = f"{self.project_id}/{self.location}" if self.location else self.project_id
        return f"gcp-secret-manager://{user}{place}/{self.secret_id}"

    def arm(self) -> "ArmedStore":
        """Fetch the connection; connecting gets an access token and builds the client.

        :raises StoreUnusable: the client or the connection is missing.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id or "", extra=self.type):
            from airflow.sdk import BaseHook
            from google.cloud.secretmanager_v1 import SecretManagerServiceClient  # noqa: F401  takes long; no hurry here

            from featurebase_provider.stores.gcp_secret_manager.armed import ArmedGcpSecret

            extra = dict(BaseHook.get_connection(self.conn_id).extra_dejson) if self.conn_id else {}
            quieten(GCP_LOGGERS)
            return self.followed(
                ArmedGcpSecret(
                    self.full_name,
                    partial(self._client, extra),
                    self.secret_text(missing=self._missing),
                    parent=self.parent,
                    secret_id=self.secret_id,
                    disables=self.older_versions == "disable",
                )
            )

    def _client(self, extra: "Mapping[str, Any]") -> "GcpCalls":
        with hook_errors(self.full_name, conn_id=self.conn_id or "", extra=self.type):
            from google.cloud.secretmanager_v1 import SecretManagerServiceClient
            from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
                SecretManagerServiceRestTransport,
            )

            from featurebase_provider.stores.gcp_secret_manager.calls import GcpCalls
            from featurebase_provider.stores.gcp_secret_manager.credentials import google_credentials

            credentials = google_credentials(self.full_name, extra, timeout=self.timeout)
            # HTTP rather than gRPC: Airflow forks its tasks, which gRPC's threads do not survive.
            transport = SecretManagerServiceRestTransport(host=self._host, credentials=credentials)
            client = SecretManagerServiceClient(transport=transport)
            return GcpCalls(self.full_name, client, timeout=self.timeout)

    @property
    def _missing(self) -> str:
        """What to say if there is no such secret: one of the other kind may have the same name."""
        if self.location:
            return f"the region {self.location} has no such secret (for a global secret, leave out location)"
        return "there is no such global secret (for a regional one, write its location)"

    @property
    def _host(self) -> str:
        region = f"{self.location}.rep." if self.location else ""
        return f"secretmanager.{region}googleapis.com"
