"""What the AWS store types have in common: their fields, and a bounded client from Airflow's connection."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from featurebase_provider.rotation.errors import StoreError, StoreUnusable
from featurebase_provider.stores.shared.aws_calls import AwsCalls, translated
from featurebase_provider.stores.shared.connection import AWS_LOGGERS, quieten
from featurebase_provider.stores.shared.secret_manager import SecretManagerStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class AwsStore(SecretManagerStore):
    """A secret in AWS, alone or under a key of a text.

    :param conn_id: Airflow connection of the type ``aws``; null for the worker's own AWS credentials.
    :param region: AWS region; by default the connection's.
    :param name: what the secret is called in AWS.
    :param create: whether a missing one is created, and a missing key added.
    :param kms_key_id: KMS key that encrypts it: id, ARN or ``alias/...``.
    """

    conn_id: Annotated[str, Field(min_length=1)] | None = "aws_default"
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")] | None = None
    name: Annotated[str, Field(min_length=1, max_length=2048)]
    create: bool = False
    kms_key_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9:/_-]{1,256}$")] | None = None

    @property
    def used_region(self) -> str | None:
        """The region, if the configuration says it."""
        return self.region

    @property
    def user_part(self) -> str:
        """Connection and region, as the user part of a URL."""
        return "@".join(part for part in (self.conn_id, self.used_region) if part)

    def client_for(self, service: str, *, advice: str) -> "Callable[[], AwsCalls]":
        """Fetch the Airflow connection, and give what builds a client for one AWS service.

        A call and its one retry together take no longer than about the store's timeout; the connection's other
        ``config_kwargs`` stay as they are.

        :param advice: what to do if AWS refuses a call.
        :returns: authenticates and builds the client. It raises ``StoreError``: there are no credentials or no
            region, or AWS refused the role.
        :raises StoreError: the Amazon provider is not installed, or there is no such connection.
        """
        try:
            from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
            from botocore.config import Config
        except ImportError:
            raise StoreUnusable(
                self.full_name,
                "Airflow's Amazon provider is not installed",
                f"Run: pip install 'airflow-provider-featurebase[{self.type}]'",
            ) from None
        quieten(AWS_LOGGERS)
        bounds = Config(
            connect_timeout=self.timeout / 2,
            read_timeout=self.timeout / 2,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        settings: dict[str, Any] = {
            "aws_conn_id": self.conn_id,
            "region_name": self.used_region,
            "client_type": service,
        }
        with self._translated(advice):
            found: Any = AwsBaseHook(**settings)
            if self.conn_id and not found.conn_config:
                raise StoreUnusable(
                    self.full_name,
                    f"Airflow has no connection {self.conn_id!r}; nothing was changed",
                    "Define it (type aws), or write conn_id: null to use the worker's own AWS credentials",
                )
            # A hook that is given a config ignores the connection's; with both, the call for a role is bounded too.
            hook: Any = AwsBaseHook(**settings, config=found.config.merge(bounds))
            _ = hook.conn_config  # fetched here, as the hook keeps it
        return partial(self._session_client, hook, service, advice)

    def _session_client(self, hook: Any, service: str, advice: str) -> AwsCalls:
        with self._translated(advice):
            session = hook.get_session()
            credentials = session.get_credentials()
            if credentials is None:
                raise StoreUnusable(
                    self.full_name,
                    "neither the connection nor this worker has AWS credentials; nothing was changed",
                    "Complete the connection, or give the worker a role",
                )
            credentials.get_frozen_credentials()  # a role is assumed here, and not in the middle of a write
            endpoint = hook.conn_config.get_service_endpoint_url(service)
            client = session.client(service, endpoint_url=endpoint, config=hook.config, verify=hook.verify)
            return AwsCalls(self.full_name, client, advice=advice)

    @contextmanager
    def _translated(self, advice: str) -> "Iterator[None]":
        from botocore.exceptions import ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnection

        try:
            yield
        except StoreError:
            raise
        except (ClientError, HTTPClientError, NoConnection) as error:
            raise translated(error, self.full_name, "armed", advice=advice) from None
        except Exception as error:  # noqa: BLE001  the hook, boto3 and their plug-ins fail in ways of their own
            raise StoreUnusable(
                self.full_name,
                f"no AWS client could be built ({error.__class__.__name__}); nothing was changed",
                "Check the connection's region, role and extra fields",
            ) from None  # the text may quote the connection
