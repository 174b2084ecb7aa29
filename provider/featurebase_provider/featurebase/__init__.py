"""The Featurebase API: client, models, errors and delivery signatures. Knows no Airflow.

The public names are imported on first use: a Dag file that only needs an error class loads no HTTP client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurebase_provider.featurebase.client import AsyncClient, Client
    from featurebase_provider.featurebase.errors import (
        ApiError,
        ApiUnavailable,
        ApiUnreachable,
        AuthenticationFailed,
        CertificateRefused,
        FeaturebaseError,
        InvalidRequest,
        PermissionDenied,
        RateLimited,
        SettingsInvalid,
        SettingsUnknown,
        SignatureRejected,
        UnexpectedAnswer,
        WebhookNotFound,
    )
    from featurebase_provider.featurebase.models import DeletedWebhook, Health, LastStatus, RequestConfig, Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.featurebase.settings import ApiSettings
    from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign, verify
    from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of

__all__ = [
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "ApiError",
    "ApiSettings",
    "ApiUnavailable",
    "ApiUnreachable",
    "AsyncClient",
    "AuthenticationFailed",
    "CertificateRefused",
    "Client",
    "DeletedWebhook",
    "FeaturebaseError",
    "Health",
    "InvalidRequest",
    "LastStatus",
    "PermissionDenied",
    "RateLimited",
    "RequestConfig",
    "ServerClock",
    "SettingsInvalid",
    "SettingsUnknown",
    "SignatureRejected",
    "SigningSecret",
    "UnexpectedAnswer",
    "Webhook",
    "WebhookNotFound",
    "fingerprint_of",
    "sign",
    "verify",
]

_MODULES = ("errors", "signing_secret", "signatures", "settings", "server_clock", "models", "client")


def __getattr__(name: str) -> Any:
    # From light to heavy: what needs no HTTP client is found before the client is loaded.
    for module_name in _MODULES if name in __all__ else ():
        module = importlib.import_module(f"{__name__}.{module_name}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
