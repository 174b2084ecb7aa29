"""The sections of the rotation file. A Dag file loads the modules of those that it needs, not this one."""

from __future__ import annotations

from featurebase_provider.config.audit import AuditConfig
from featurebase_provider.config.base import OverlapConfig, VerifyConfig
from featurebase_provider.config.probe import ProbeConfig

__all__ = ["AuditConfig", "OverlapConfig", "ProbeConfig", "VerifyConfig"]
