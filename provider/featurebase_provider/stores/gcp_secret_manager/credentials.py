"""Google credentials from an Airflow connection, without Airflow's Google provider.

That provider brings more than a hundred packages, and no current version of it resolves beside the versions that
Airflow 3.3.2 is constrained to. The fields of its connection type are read here as it names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable, StoreUnusable

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PREFIX = "extra__google_cloud_platform__"
_UNKNOWN = ("credential_config_file", "key_secret_name", "idp_issuer_url", "is_anonymous")


def google_credentials(store: str, extra: Mapping[str, Any], *, timeout: float) -> Credentials:
    """Build credentials that are ready to be used: a key signs its own tokens, everything else fetches one here.

    :param store: the store's name, for messages.
    :param extra: the connection's extra fields; without a key in them, the worker's own identity is used.
    :param timeout: seconds that one request for a token may take.
    :raises StoreUnusable: the fields make no credentials, or the worker has none.
    :raises StoreRefused: Google refuses them.
    :raises StoreUnreachable: Google could not be asked.
    """
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.auth.transport.requests import Request

    fields = {name.removeprefix(_PREFIX): value for name, value in extra.items() if value}
    if unknown := [name for name in _UNKNOWN if name in fields]:
        raise StoreUnusable(
            store,
            f"its Airflow connection has {unknown[0]}, which this store does not know; nothing was changed",
            "Use keyfile_dict or key_path, or leave all out for the worker's application default credentials",
        )
    request = partial(Request(), timeout=timeout)
    try:
        has_key = bool(fields.get("keyfile_dict") or fields.get("key_path"))
        credentials = _key_credentials(store, fields) if has_key else _worker_credentials(fields, request)
        if chain := _chain(fields.get("impersonation_chain")):
            credentials = _impersonating(credentials, chain)
        if chain or not has_key:
            credentials.refresh(request)
    except DefaultCredentialsError:
        raise StoreUnusable(
            store,
            "neither its Airflow connection nor this worker has Google credentials; nothing was changed",
            "Complete the connection (keyfile_dict or key_path), or give the worker a service account",
        ) from None
    except GoogleAuthError as error:  # its text may quote Google's answer
        said = f"Google gave no access token ({type(error).__name__}); nothing was changed"
        if error.retryable or type(error).__name__ == "TransportError":
            raise StoreUnreachable(store, said) from None
        raise StoreRefused(store, said, "Check the key of its Airflow connection, or the worker's identity") from None
    return credentials


def _worker_credentials(fields: Mapping[str, Any], request: Any) -> Credentials:
    import google.auth

    quota = fields.get("quota_project_id")
    found: tuple[Credentials, Any] = google.auth.default(scopes=[SCOPE], request=request, quota_project_id=quota)
    return found[0]


def _key_credentials(store: str, fields: Mapping[str, Any]) -> Credentials:
    from google.oauth2.service_account import Credentials

    try:
        key = Credentials.from_service_account_info(_key(fields), scopes=[SCOPE])
    except (OSError, ValueError, TypeError, AttributeError):  # a ValueError may quote the key
        raise StoreUnusable(
            store,
            "its Airflow connection holds no usable service account key; nothing was changed",
            "Check keyfile_dict (the JSON of the key file) or key_path (the file's path on the workers)",
        ) from None
    if fields.get("quota_project_id"):
        key = key.with_quota_project(fields["quota_project_id"])
    signing: Credentials = key.with_always_use_jwt_access(True)
    return signing


def _key(fields: Mapping[str, Any]) -> dict[str, Any]:
    key = fields.get("keyfile_dict")
    if isinstance(key, Mapping):
        return dict(key)
    return dict(json.loads(key or Path(fields["key_path"]).read_text(encoding="utf-8"), strict=False))


def _chain(chain: Any) -> list[str]:
    return [one.strip() for one in chain.split(",")] if isinstance(chain, str) else list(chain or ())


def _impersonating(own: Credentials, chain: list[str]) -> Credentials:
    from google.auth.impersonated_credentials import Credentials

    return Credentials(own, chain[-1], [SCOPE], delegates=chain[:-1])
