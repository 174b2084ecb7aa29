"""Keeps a vendor's client from logging whole requests and answers, values included, where Airflow logs at DEBUG.

Airflow's masking knows the values that it was told: Featurebase's current secret. What a store held before, its
neighbours in the same JSON, and the keys of a role that was assumed for it are told to nobody.
"""

from __future__ import annotations

import logging

AWS_LOGGERS = ("botocore.endpoint", "botocore.parsers")
"""Log the body of each request and of each answer."""
GCP_LOGGERS = ("google.cloud.secretmanager_v1",)
"""Logs them as fields of its records, which handlers that write JSON keep."""


def quieten(names: tuple[str, ...]) -> None:
    """Let these loggers write nothing below INFO in this process, whatever level is configured for them."""
    for name in names:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)
