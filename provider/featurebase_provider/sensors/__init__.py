"""Airflow's sensors. What they say and judge at the end is loaded then: parsing a Dag needs none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import modules_of

if TYPE_CHECKING:
    from featurebase_provider.sensors import verdict

__all__ = ["verdict"]

if not TYPE_CHECKING:  # or type checkers would accept any attribute
    __getattr__ = modules_of(__name__, __all__)
