"""Asks Airflow's configuration which rotation file to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featurebase_provider.config.errors import Fault, FileUnusable
from featurebase_provider.config.reading import how_to_set

SECTION = "featurebase"
OPTION = "rotation_config"
_FIELD = f"[{SECTION}] {OPTION}"


def configured_path() -> Path:
    """The rotation file that ``[featurebase] rotation_config`` names.

    :raises FileUnusable: the setting is missing, empty, or no absolute path.
    """
    value = str(_airflow_conf().get(SECTION, OPTION, fallback=None) or "").strip()
    if not value:
        raise FileUnusable("", (Fault(0, _FIELD, f"is not set, so there is nothing to rotate; {how_to_set()}"),))
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # ~name of a user that does not exist
        path = Path(value)
    if not path.is_absolute():
        # Airflow's processes have different working directories.
        raise FileUnusable("", (Fault(0, _FIELD, f"must be an absolute path, not {path}; {how_to_set()}"),))
    return path


def _airflow_conf() -> Any:
    # Inside the function: reading the models must not need an Airflow that is set up.
    try:
        from airflow.sdk.configuration import conf
    except ImportError:  # Airflow 3.1 keeps it in its core
        from airflow.configuration import conf
    return conf
