"""What Airflow's triggerer runs while tasks wait.

Operators use its modules as attributes (``triggers.cut_over``), which loads them on first use: parsing a Dag loads
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import modules_of

if TYPE_CHECKING:
    from featurebase_provider.triggers import cut_over, first_pause, webhook_delivery_health

__all__ = ["cut_over", "first_pause", "webhook_delivery_health"]

if not TYPE_CHECKING:  # or type checkers would accept any attribute
    __getattr__ = modules_of(__name__, __all__)
