"""From an Airflow connection to a client of a store: what can go wrong on the way, encryption, and quiet loggers."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from featurebase_provider.featurebase.settings import is_loopback_host
from featurebase_provider.rotation.errors import StoreError, StoreUnreachable, StoreUnusable
from featurebase_provider.stores.shared.airflow_channel import is_connection_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

AWS_LOGGERS = ("botocore.endpoint", "botocore.parsers")
"""Log the body of each request and of each answer."""
GCP_LOGGERS = ("google.cloud.secretmanager_v1",)
"""Logs them as fields of its records, which handlers that write JSON keep."""


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address, ``localhost``, or a Unix socket's path."""
    return is_loopback_host(host) or host.startswith(("/", "@"))


def quieten(names: tuple[str, ...]) -> None:
    """Let these loggers write nothing below INFO in this process, whatever level is configured for them.

    At DEBUG they log whole requests and answers. Airflow's masking knows the values that it was told: Featurebase's
    current secret. What a store held before, its neighbours in the same JSON, and the keys of a role that was assumed
    for it are told to nobody.
    """
    for name in names:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)


@contextmanager
def hook_errors(store: str, *, conn_id: str, extra: str) -> Iterator[None]:
    """Turn what a hook raises into errors of this store, without the hook's text, which may quote a login.

    :param store: the store's name, for messages.
    :param conn_id: the connection that the hook fetches.
    :param extra: the extra of this distribution that brings the hook.
    :raises StoreUnusable: the hook is not installed, or there is no such connection.
    :raises StoreUnreachable: Airflow could not be asked for it, or what the login needs failed.
    """
    from featurebase_provider.airflow_compat import AirflowNotFoundException

    try:
        yield
    except StoreError:
        raise
    except ImportError:
        raise StoreUnusable(
            store,
            "its client is not installed here; nothing was changed",
            f"pip install 'airflow-provider-featurebase[{extra}]' on the workers",
        ) from None
    except AirflowNotFoundException:
        if not is_connection_missing(conn_id):
            raise StoreUnreachable(
                store, f"Airflow could not be asked for its connection {conn_id}; nothing was changed"
            ) from None
        raise StoreUnusable(
            store,
            f"there is no Airflow connection {conn_id}; nothing was changed",
            "Create it, or correct conn_id",
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreUnusable(
            store,
            f"the Airflow connection {conn_id} makes no client ({type(error).__name__}); nothing was changed",
            "Check the connection's fields",
        ) from None
    except Exception as error:  # noqa: BLE001  a secrets backend fails in its own way
        raise StoreUnreachable(
            store, f"its Airflow connection {conn_id} could not be used ({type(error).__name__}); nothing was changed"
        ) from None


def check_encrypted(store: str, url: str, *, advice: str) -> None:
    """Insist on https, but for loopback hosts.

    :param url: a server's base URL; not repeated in the message, as it may hold a login.
    :raises StoreUnusable: the signing secret would travel in the clear.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise StoreUnusable(
            store,
            "its Airflow connection leads to plain http on another host; nothing was sent",
            advice,
        )
