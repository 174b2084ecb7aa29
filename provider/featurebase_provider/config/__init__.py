"""The rotation file: which webhooks are rotated, when, and where their secrets are written.

``load_rotation_config`` reads it and reports all its errors in one :class:`ConfigError`; ``configured_path`` asks
Airflow for its path. ``docs/configuration.md`` describes every field. The names are imported on first use: a Dag file
loads only what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import names_of

if TYPE_CHECKING:
    from featurebase_provider.config.audit import AuditConfig
    from featurebase_provider.config.base import OverlapConfig, VerifyConfig
    from featurebase_provider.config.errors import ConfigError, Fault
    from featurebase_provider.config.file import configured_path
    from featurebase_provider.config.loading import load_rotation_config
    from featurebase_provider.config.models import WebhookConfig
    from featurebase_provider.config.notify import ApprovalConfig, NotifyConfig
    from featurebase_provider.config.probe import ProbeConfig
    from featurebase_provider.config.right_entries import RightEntries, load_right_entries
    from featurebase_provider.config.rotation_config import RotationConfig

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

if not TYPE_CHECKING:  # or type checkers would accept any name
    __getattr__ = names_of(
        __name__,
        {
            "ApprovalConfig": f"{__name__}.notify",
            "AuditConfig": f"{__name__}.audit",
            "ConfigError": f"{__name__}.errors",
            "Fault": f"{__name__}.errors",
            "NotifyConfig": f"{__name__}.notify",
            "OverlapConfig": f"{__name__}.base",
            "ProbeConfig": f"{__name__}.probe",
            "RightEntries": f"{__name__}.right_entries",
            "RotationConfig": f"{__name__}.rotation_config",
            "VerifyConfig": f"{__name__}.base",
            "WebhookConfig": f"{__name__}.models",
            "configured_path": f"{__name__}.file",
            "load_right_entries": f"{__name__}.right_entries",
            "load_rotation_config": f"{__name__}.loading",
        },
    )
