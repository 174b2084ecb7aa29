"""The rotation file: which webhooks are rotated, when, and where their secrets are written.

``load_rotation_config`` reads it and reports all its errors in one :class:`ConfigError`; ``configured_path`` asks
Airflow for its path. ``docs/configuration.md`` describes every field.
"""

from __future__ import annotations

from featurebase_provider.config.errors import ConfigError, Fault
from featurebase_provider.config.file import configured_path
from featurebase_provider.config.loading import load_rotation_config
from featurebase_provider.config.models import RotationConfig, WebhookConfig
from featurebase_provider.config.notify import ApprovalConfig, NotifyConfig
from featurebase_provider.config.right_entries import RightEntries, load_right_entries
from featurebase_provider.config.sections import AuditConfig, OverlapConfig, ProbeConfig, VerifyConfig

__all__ = [
    "ApprovalConfig",
    "AuditConfig",
    "ConfigError",
    "Fault",
    "NotifyConfig",
    "OverlapConfig",
    "ProbeConfig",
    "RightEntries",
    "RotationConfig",
    "VerifyConfig",
    "WebhookConfig",
    "configured_path",
    "load_right_entries",
    "load_rotation_config",
]
